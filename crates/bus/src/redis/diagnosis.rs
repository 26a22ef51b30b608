//! What all shards together amount to: good health, or why not and since when.

use fred::types::config::Server;

use super::{Core, inspect, metric, tls};
use crate::{BusError, Health};

impl Core {
    /// Looks at what was given. What is wrong with it may be right in a while, but for its version and what this node may do.
    pub(super) async fn inspect(&self) -> Result<(), BusError> {
        for shard in self.link.shards() {
            if let Some(refusal) = self.link.refusal(&shard).await {
                return Err(BusError::Config(format!("redis at {shard} appends nothing: {refusal}")));
            }
            if let Some(refusal) = inspect::shard(&shard, self.config.ack).await {
                return Err(BusError::unavailable(refusal));
            }
        }
        Ok(())
    }

    /// Why it makes no sense to go on trying: a Redis that is not there yet may come, but a certificate that is not
    /// trusted stays so.
    pub(super) fn hopeless(&self) -> Result<(), BusError> {
        let shards = self.link.shards();
        let troubles = shards.iter().filter_map(|shard| Some((shard.to_string(), shard.trouble()?)));
        let all =
            self.lost.lock().clone().map(|trouble| ("redis".to_owned(), trouble)).into_iter().chain(troubles);
        for (who, trouble) in all {
            if let Some(advice) = tls::advice(&trouble) {
                return Err(BusError::Config(format!("TLS to {who} failed ({trouble}): {advice}")));
            }
        }
        Ok(())
    }

    /// Remembers why a server could not be asked for the way; none when one could. Said once, not at every attempt.
    pub(super) fn set_lost(&self, why: Option<(&Server, String)>) {
        let mut lost = self.lost.lock();
        let told = why.map(|(server, error)| {
            let told = format!("{}:{}: {error}", server.host, server.port);
            if lost.as_ref() != Some(&told) {
                tracing::warn!(%server, error, advice = tls::advice(&error), "redis could not be asked for its primaries");
            }
            told
        });
        *lost = told;
    }

    /// What the probes of every shard amount to.
    pub(super) fn judge(&self) -> Health {
        let shards = self.link.shards();
        if shards.is_empty() {
            let why = self.lost.lock().as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let detail = format!("no node of the redis cluster was reached yet{why}");
            return Health { up: false, detail, down_since: Some(self.began) };
        }
        let mut health = Health { up: true, detail: String::new(), down_since: None };
        for shard in &shards {
            let own = shard.pulse.health();
            // Of several that are down, the one that has been so for longest.
            if !own.up && (health.up || own.down_since < health.down_since) {
                let detail = if shards.len() > 1 { format!("{shard}: {}", own.detail) } else { own.detail };
                health = Health { detail, ..own };
            } else if health.up {
                health.detail = own.detail;
            }
        }
        health
    }

    /// A shard came up or went down, or there are others now.
    pub(super) fn health_changed(&self) {
        let health = self.judge();
        metric::health(&health);
        if health.up {
            self.health.notify_waiters();
        }
    }

    /// Waits until every path is alive.
    pub(super) async fn up(&self) {
        loop {
            let changed = self.health.notified();
            if self.judge().up {
                return;
            }
            changed.await;
        }
    }
}
