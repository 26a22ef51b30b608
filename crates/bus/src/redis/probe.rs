//! Whether the paths to and from one shard are alive: a nonce goes out on every tick, and nothing that may wait is
//! waited for here. [`Pulse`](super::pulse) says what the nonces amount to.

use std::sync::Arc;

use fred::{clients::Client, interfaces::ClientLike};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Core, pulse::Judgement, shard::Shard, wire};
use crate::BusError;

/// Probes until the shard is closed.
pub(super) async fn run(core: Arc<Core>, shard: Arc<Shard>) {
    let mut probe =
        Probe { core, shard: Arc::clone(&shard), answers: JoinSet::new(), last_reconnect: Instant::now() };
    shard.closing.run_until_cancelled(probe.keep()).await;
}

struct Probe {
    core: Arc<Core>,
    shard: Arc<Shard>,
    /// Nonces whose commands are under way; each ends with the command's timeout.
    answers: JoinSet<(u64, Result<(), BusError>)>,
    last_reconnect: Instant,
}

impl Probe {
    async fn keep(&mut self) {
        let shard = Arc::clone(&self.shard);
        let mut ticks = interval(self.core.probe_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.send(true),
                () = shard.pulse.probe.notified() => self.send(false),
                Some(Ok((number, answer))) = self.answers.join_next() => self.answered(number, answer),
                () = shard.pulse.wake.notified() => {}
            }
            self.judge();
        }
    }

    /// Publishes a nonce on this node's own channel, if it listens there already.
    fn send(&mut self, in_time: bool) {
        let number = self.shard.pulse.next(in_time, Instant::now());
        let (core, shard) = (Arc::clone(&self.core), Arc::clone(&self.shard));
        self.answers.spawn(async move { (number, core.link.probe(&shard, wire::probe(number)).await) });
    }

    fn answered(&self, number: u64, answer: Result<(), BusError>) {
        match answer {
            Ok(()) => {
                self.shard.pulse.answered(number);
                if !self.shard.is_reachable() {
                    self.shard.set_reachable(true);
                    // Whatever happened meanwhile.
                    self.shard.pulse.compare_soon();
                }
            }
            Err(error) => {
                if self.shard.pulse.failed(number, error.to_string()) {
                    self.shard.set_reachable(false);
                }
            }
        }
    }

    /// Says what the probes amount to, and opens anew what is silent.
    fn judge(&mut self) {
        let pulse = &self.shard.pulse;
        let was_up = pulse.health().up;
        let judgement = pulse.judge();
        let health = pulse.health();
        if was_up != health.up {
            let detail = health.detail;
            if health.up {
                tracing::info!(shard = %self.shard, detail, "bus is up");
            } else {
                tracing::warn!(shard = %self.shard, detail, "bus is down");
            }
        }
        self.core.health_changed();
        match judgement {
            Judgement::Up | Judgement::Unknown => {}
            Judgement::Deaf => self.reconnect(self.shard.subscriber.clone()),
            Judgement::Mute(since) => {
                self.shard.set_reachable(false);
                // A connection to a server that hangs looks open: fred's own clock starts again with every command.
                if since.elapsed() > 2 * self.core.patience() {
                    self.reconnect(self.shard.commands.clone());
                }
            }
        }
    }

    /// Opens a new connection in the place of one that is silent, not too often.
    fn reconnect(&mut self, client: Client) {
        let pause = 2 * self.core.patience();
        if self.last_reconnect.elapsed() > pause {
            self.last_reconnect = Instant::now();
            // When it takes longer, the connection is being opened again and again already.
            self.core.tasks.spawn(async move { timeout(pause, client.force_reconnection()).await.is_ok() });
        }
    }
}
