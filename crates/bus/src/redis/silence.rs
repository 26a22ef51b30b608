//! Whether quiet rooms are as quiet as they seem: their heads are compared with their tails, some at a time.
//!
//! It waits for answers, so it is a task of its own: whether the paths are alive is told in time meanwhile.

use std::sync::Arc;

use dashmap::DashSet;
use proto::RoomName;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Core, keys, map::Map, rooms::Followed, shard::Shard};
use crate::{BusError, follow::Observation};

/// Heads in one pipeline.
const BATCH: usize = 250;

/// Heads of quiet rooms that are compared in a second at most.
const HEADS_PER_SECOND: usize = 500;

/// Rooms whose trackers wait for a probe.
pub(super) type Unsettled = DashSet<RoomName>;

/// Compares until the shard is closed.
pub(super) async fn run(core: Arc<Core>, shard: Arc<Shard>) {
    let mut silence = Silence { core, shard: Arc::clone(&shard), round: Vec::new() };
    shard.closing.run_until_cancelled(Box::pin(silence.keep())).await;
}

struct Silence {
    core: Arc<Core>,
    shard: Arc<Shard>,
    /// What remains of this round through the followed rooms.
    round: Vec<RoomName>,
}

impl Silence {
    async fn keep(&mut self) {
        let shard = Arc::clone(&self.shard);
        let mut ticks = interval(self.core.probe_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    self.visit();
                    self.compare_if_needed().await;
                    self.compare_quiet().await;
                }
                () = shard.pulse.look.notified() => self.compare_if_needed().await,
            }
        }
    }

    /// Those of the rooms that this shard has.
    fn own(&self, mut names: Vec<RoomName>) -> Vec<RoomName> {
        if self.core.link.is_sharded() {
            let map: Option<Arc<Map>> = self.core.link.map();
            names.retain(|name| map.as_ref().is_some_and(|map| map.has(&self.shard, &keys::channel(name))));
        }
        names
    }

    /// Comes by the rooms whose trackers wait for that.
    fn visit(&self) {
        if !self.shard.is_reachable() {
            return;
        }
        let names: Vec<RoomName> = self.core.unsettled.iter().map(|name| name.clone()).collect();
        let names = self.own(names);
        for name in names {
            // Before it is looked at: what becomes unsettled meanwhile is put back.
            self.core.unsettled.remove(&name);
            if let Some(followed) = self.core.rooms.get(name.as_str()) {
                let need = followed.tick();
                if need.fill && self.core.link.is_sharded() {
                    // It did not hear what the log has.
                    self.shard.changes.anew(&name);
                }
                self.core.serve(&followed, need);
            }
        }
    }

    /// Compares the heads of all rooms, when something may have been lost in any.
    async fn compare_if_needed(&mut self) {
        if !self.shard.is_reachable() || !self.shard.pulse.must_compare() {
            return;
        }
        for names in self.own(self.core.rooms.names()).chunks(BATCH) {
            let tails = names.iter().filter_map(|name| {
                let followed = self.core.rooms.get(name.as_str())?;
                let tail = followed.tail();
                Some((followed, tail))
            });
            let tails: Vec<_> = tails.collect();
            if !self.compare(&tails, true).await {
                self.shard.pulse.compare_later();
                return;
            }
        }
    }

    /// Compares the heads of some rooms that have been quiet since the last round.
    async fn compare_quiet(&mut self) {
        if !self.shard.is_reachable() {
            return;
        }
        if self.round.is_empty() {
            self.round = self.own(self.core.rooms.names());
        }
        let shards = self.core.link.map().map_or(1, |map| map.shards().len().max(1));
        let share = HEADS_PER_SECOND * self.core.probe_interval.as_millis() as usize / 1000 / shards;
        let some = self.round.split_off(self.round.len().saturating_sub(share.clamp(1, BATCH)));
        let mut quiet = Vec::new();
        for name in &some {
            let Some(followed) = self.core.rooms.get(name.as_str()) else { continue };
            if followed.opened().elapsed() > self.core.config.renew_interval
                && self.core.link.open(name).await.is_ok()
            {
                followed.renewed();
            }
            if let Some(tail) = followed.quiet_tail() {
                quiet.push((followed, tail));
            }
        }
        self.compare(&quiet, false).await;
    }

    /// Asks for the heads of rooms, whose tails were taken before; whether there was an answer.
    async fn compare(&self, rooms: &[(Arc<Followed>, u64)], eager: bool) -> bool {
        let names: Vec<RoomName> = rooms.iter().map(|(followed, _)| followed.name.clone()).collect();
        // Those that are compared next must not wait long for these.
        let heads = timeout(self.core.patience(), self.core.link.heads(&self.shard, &names)).await;
        let heads = heads.unwrap_or_else(|_| Err(BusError::unavailable("no answer in time")));
        match heads {
            Ok(heads) => {
                for ((followed, tail), head) in rooms.iter().zip(&heads) {
                    let Ok(head) = head else { continue };
                    let observation = Observation { head: head.as_ref(), least: *tail, eager };
                    self.core.observe(followed, &observation);
                }
                true
            }
            Err(error) => {
                tracing::debug!(%error, "heads could not be compared");
                false
            }
        }
    }
}
