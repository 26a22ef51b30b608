//! Silence is checked: whether the paths to and from Redis are alive, and whether quiet rooms are as quiet as
//! they seem.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dashmap::DashSet;
use fred::{clients::Client, interfaces::ClientLike};
use parking_lot::Mutex;
use proto::RoomName;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Core, keys, map::Map, rooms::Followed, shard::Shard, wire};
use crate::{BusError, Health, follow::Observation};

/// Heads in one pipeline.
const BATCH: usize = 250;

/// Heads of quiet rooms that are compared in a second at most.
const HEADS_PER_SECOND: usize = 500;

/// Probes without an answer after which a path is down.
const PATIENCE: u32 = 4;

/// Nonces that are remembered: more than can be under way before the path is down.
const NONCES: usize = 2 * PATIENCE as usize;

/// How long a followed room's head goes without being renewed; far less than its life.
const RENEW_AFTER: Duration = Duration::from_hours(24);

/// What the probes have seen.
pub(super) struct Pulse {
    health: Mutex<Health>,
    /// The newest nonces, and when each was published.
    sent: Mutex<VecDeque<(u64, Instant)>>,
    /// When the last nonce that came back had been published.
    returned: Mutex<Option<Instant>>,
    /// Whether events may have been lost in every room.
    compare: AtomicBool,
    /// Has it judged, and the heads compared, before the time.
    wake: Notify,
    /// Has it probed before the time.
    probe: Notify,
}

/// Rooms whose trackers wait for a probe.
pub(super) type Unsettled = DashSet<RoomName>;

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            health: Mutex::new(Health { up: false, detail: "redis was not reached yet".to_owned() }),
            returned: Mutex::new(None),
            sent: Mutex::default(),
            compare: AtomicBool::new(false),
            wake: Notify::new(),
            probe: Notify::new(),
        }
    }

    pub(super) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// A nonce came back.
    pub(super) fn returned(&self, number: u64) {
        // A number that was not sent lately proves nothing.
        let sent = self.sent.lock().iter().find(|(known, _)| *known == number).map(|(_, at)| *at);
        if let Some(at) = sent {
            let mut returned = self.returned.lock();
            *returned = (*returned).max(Some(at));
            self.wake.notify_one();
        }
    }

    /// Has the heads of all followed rooms compared.
    pub(super) fn compare_soon(&self) {
        self.compare.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Probes before the time, for something has changed.
    pub(super) fn probe_now(&self) {
        self.probe.notify_one();
    }
}

/// Probes until the shard is closed.
pub(super) async fn run(core: Arc<Core>, shard: Arc<Shard>) {
    let mut probe = Probe::new(core, Arc::clone(&shard));
    shard.closing.run_until_cancelled(Box::pin(probe.keep())).await;
}

struct Probe {
    core: Arc<Core>,
    shard: Arc<Shard>,
    /// The number that was published last.
    nonce: u64,
    /// What remains of this round through the followed rooms.
    round: Vec<RoomName>,
    commands: Commands,
    last_reconnect: Instant,
}

/// Since when probes have been answered, or not.
enum Commands {
    Answered(Instant),
    Failed(Instant),
}

impl Probe {
    fn new(core: Arc<Core>, shard: Arc<Shard>) -> Self {
        let now = Instant::now();
        Self {
            core,
            shard,
            nonce: 0,
            round: Vec::new(),
            commands: Commands::Failed(now),
            last_reconnect: now,
        }
    }

    async fn keep(&mut self) {
        let shard = Arc::clone(&self.shard);
        let mut ticks = interval(self.core.probe_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    self.send().await;
                    self.judge();
                    self.visit();
                    self.compare_if_needed().await;
                    self.compare_quiet().await;
                }
                () = shard.pulse.probe.notified() => {
                    self.send().await;
                    self.judge();
                    self.compare_if_needed().await;
                }
                () = shard.pulse.wake.notified() => {
                    self.judge();
                    self.compare_if_needed().await;
                }
            }
        }
    }

    /// Publishes a nonce on this node's own channel, if it listens there already.
    async fn send(&mut self) {
        self.nonce += 1;
        let number = self.nonce;
        {
            let mut sent = self.shard.pulse.sent.lock();
            sent.push_back((number, Instant::now()));
            if sent.len() > NONCES {
                sent.pop_front();
            }
        }
        let publish = self.core.link.probe(&self.shard, wire::probe(number));
        let answer = timeout(self.patience(), publish).await;
        let answer = answer.unwrap_or_else(|_| Err(BusError::unavailable("no answer in time")));
        match answer {
            Ok(()) => {
                if let Commands::Failed(_) = self.commands {
                    self.commands = Commands::Answered(Instant::now());
                }
                if !self.shard.is_reachable() {
                    self.shard.set_reachable(true);
                    // Whatever happened meanwhile.
                    self.shard.pulse.compare.store(true, Ordering::Relaxed);
                }
            }
            Err(error) => self.commands_failed(&error),
        }
    }

    fn commands_failed(&mut self, error: &BusError) {
        self.shard.set_reachable(false);
        if let Commands::Answered(_) = self.commands {
            self.commands = Commands::Failed(Instant::now());
        }
        self.set_health(false, &format!("commands are not answered: {error}"));
        // A connection to a server that hangs looks open: fred's own clock starts again with every command.
        if let Commands::Failed(since) = self.commands
            && since.elapsed() > 2 * self.patience()
        {
            self.reconnect(self.shard.commands.clone());
        }
    }

    /// Says what the probes amount to.
    fn judge(&mut self) {
        let Commands::Answered(since) = self.commands else { return };
        let returned = *self.shard.pulse.returned.lock();
        if returned.is_some_and(|at| at.elapsed() <= self.patience()) {
            self.set_health(true, "probes come back");
        } else if since.elapsed() > self.patience() {
            self.set_health(false, "commands are answered, but what is published does not come back");
            self.reconnect(self.shard.subscriber.clone());
        }
    }

    fn set_health(&self, up: bool, detail: &str) {
        let mut health = self.shard.pulse.health.lock();
        if health.up != up {
            if up {
                tracing::info!(shard = %self.shard, detail, "bus is up");
            } else {
                tracing::warn!(shard = %self.shard, detail, "bus is down");
            }
        }
        detail.clone_into(&mut health.detail);
        health.up = up;
        drop(health);
        self.core.health_changed();
    }

    fn patience(&self) -> Duration {
        PATIENCE * self.core.probe_interval
    }

    /// Opens a new connection in the place of one that is silent, not too often.
    fn reconnect(&mut self, client: Client) {
        let pause = 2 * self.patience();
        if self.last_reconnect.elapsed() > pause {
            self.last_reconnect = Instant::now();
            // When it takes longer, the connection is being opened again and again already.
            self.core.tasks.spawn(async move { timeout(pause, client.force_reconnection()).await.is_ok() });
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
        if !self.shard.is_reachable() || !self.shard.pulse.compare.swap(false, Ordering::Relaxed) {
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
                self.shard.pulse.compare.store(true, Ordering::Relaxed);
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
            if followed.opened().elapsed() > RENEW_AFTER && self.core.link.open(name).await.is_ok() {
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
        // The next nonce must not wait long for this.
        let heads = timeout(self.patience(), self.core.link.heads(&self.shard, &names)).await;
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
