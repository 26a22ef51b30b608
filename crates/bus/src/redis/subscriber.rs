//! The subscriptions: what the map of followed rooms wants, and what the connection has.
//!
//! fred forgets its subscriptions with the connection, and answers a subscribe before it is written. So there is
//! one task that knows both sides. It subscribes and unsubscribes in batches, and then waits for a `PING` on the
//! same connection: what was asked for before it is in force when the answer is there. After a reconnect it asks
//! for everything again, and has the heads of all followed rooms compared, for something may have been published
//! meanwhile.
//!
//! Each primary of a cluster has a task and a connection of its own for the rooms in its slots, with sharded
//! subscriptions. Those are dropped by the server when a slot moves away, and fred drops its word of it; so when the
//! map of the cluster changes, every shard asks for everything again.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fred::{
    error::Error,
    interfaces::{ClientLike, EventInterface, PubsubInterface},
    types::{CustomCommand, Value, config::Server},
};
use parking_lot::Mutex;
use proto::RoomName;
use tokio::{
    sync::{Notify, broadcast, oneshot},
    time::{sleep, timeout},
};

use super::{Core, call::Detour, keys, metric, shard::Shard};
use crate::{BusError, Notice};

/// Channels in one command.
const CHUNK: usize = 500;

/// How long to wait before trying again what Redis refused.
const PAUSE: Duration = Duration::from_millis(500);

/// Rooms that began or ceased to be followed, for the task to look at.
#[derive(Default)]
pub(super) struct Changes {
    rooms: Mutex<HashMap<RoomName, Change>>,
    /// Whether everything must be asked for again.
    all: AtomicBool,
    notify: Notify,
}

#[derive(Default)]
struct Change {
    /// Who is told when the room is as it should be.
    waiting: Vec<oneshot::Sender<()>>,
    /// Whether to subscribe even if that was done.
    anew: bool,
}

impl Changes {
    /// Waits until the room, which is in the map of followed rooms, is subscribed to.
    pub(super) async fn subscribed(&self, room: &RoomName) -> Result<(), BusError> {
        let (sender, receiver) = oneshot::channel();
        self.rooms.lock().entry(room.clone()).or_default().waiting.push(sender);
        self.notify.notify_one();
        receiver.await.map_err(|_| BusError::unavailable("redis can't be subscribed to"))
    }

    /// The room may have ceased to be followed.
    pub(super) fn look_at(&self, room: &RoomName) {
        self.rooms.lock().entry(room.clone()).or_default();
        self.notify.notify_one();
    }

    /// The room may have lost its subscription without anybody being told: its slot went away and came back.
    pub(super) fn anew(&self, room: &RoomName) {
        self.rooms.lock().entry(room.clone()).or_default().anew = true;
        self.notify.notify_one();
    }

    /// The map of the cluster has changed.
    pub(super) fn all_anew(&self) {
        self.all.store(true, Ordering::Relaxed);
        self.notify.notify_one();
    }

    fn take(&self) -> HashMap<RoomName, Change> {
        mem::take(&mut *self.rooms.lock())
    }
}

struct Subscriber {
    core: Arc<Core>,
    shard: Arc<Shard>,
    /// Rooms whose subscription is known to be in force.
    have: HashSet<RoomName>,
    /// Rooms whose subscription may be in force, or not.
    doubted: HashSet<RoomName>,
    /// Whether the connection has what it should have.
    level: bool,
    reconnects: broadcast::Receiver<Server>,
    was_connected: bool,
    /// What was wrong the last time, so that it is said once and not at every attempt.
    trouble: Option<String>,
}

/// Keeps the subscriptions until the shard is closed. `reconnects` must be older than the connection.
pub(super) async fn run(core: Arc<Core>, shard: Arc<Shard>, reconnects: broadcast::Receiver<Server>) {
    let mut subscriber = Subscriber {
        core,
        shard: Arc::clone(&shard),
        have: HashSet::new(),
        doubted: HashSet::new(),
        level: false,
        reconnects,
        // So it is only when this task is not the first.
        was_connected: shard.subscriber.is_connected(),
        trouble: None,
    };
    shard.closing.run_until_cancelled(subscriber.keep()).await;
}

impl Subscriber {
    async fn keep(&mut self) {
        let shard = Arc::clone(&self.shard);
        loop {
            tokio::select! {
                // Lagging behind the reconnects is a reconnect as well.
                _ = self.reconnects.recv() => self.connected().await,
                () = shard.changes.notify.notified(), if self.level => {
                    if shard.changes.all.load(Ordering::Relaxed) {
                        self.again().await;
                    } else {
                        let changes = shard.changes.take();
                        self.level = self.apply(changes).await;
                    }
                }
                () = sleep(PAUSE), if !self.level && self.was_connected => {
                    self.again().await;
                }
            }
        }
    }

    async fn connected(&mut self) {
        if mem::replace(&mut self.was_connected, true) {
            metric::reconnected();
            tracing::info!(shard = %self.shard, "redis subscriber reconnected");
            let _ = self.core.notices.send(Notice::Anew);
        }
        // The new connection has none.
        self.have.clear();
        self.doubted.clear();
        self.again().await;
    }

    /// Asks for everything.
    async fn again(&mut self) {
        // Before the map is looked at, which may change meanwhile.
        self.shard.changes.all.store(false, Ordering::Relaxed);
        self.doubt();
        let changes = self.shard.changes.take();
        let doubted = self.doubted.iter().cloned();
        let mut wanted: HashMap<RoomName, Change> = self
            .core
            .rooms
            .names()
            .into_iter()
            .chain(doubted)
            .map(|room| (room, Change::default()))
            .collect();
        wanted.extend(changes);
        self.level = match self.own().await {
            Ok(()) => self.apply(wanted).await,
            Err(error) => self.failed(&error),
        };
        if self.level {
            self.trouble = None;
            self.shard.pulse.compare_soon();
            self.shard.pulse.probe_now();
        }
    }

    /// Subscribes to the channels that are no rooms.
    async fn own(&self) -> Result<(), Error> {
        let node = &self.core.node;
        if !self.core.link.is_sharded() {
            let own = keys::node_channel(node);
            self.shard.set_own_channel(&own);
            return self.shard.subscriber.subscribe(vec![keys::CONTROL.to_owned(), own]).await;
        }
        let Some(map) = self.core.link.map() else { return Ok(()) };
        let mut channels = Vec::new();
        if let Some(own) = keys::shard_channel(node, |name| map.has(&self.shard, name)) {
            self.shard.set_own_channel(&own);
            channels.push(own);
        }
        if map.has(&self.shard, keys::CONTROL) {
            channels.push(keys::CONTROL.to_owned());
        }
        self.join_slots(&channels).await
    }

    /// Brings the rooms in line with the map; whether that was possible. Only then those who wait are answered.
    async fn apply(&mut self, rooms: HashMap<RoomName, Change>) -> bool {
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        let map = self.core.link.map();
        for (room, change) in &rooms {
            if change.anew && self.have.remove(room) {
                self.doubted.insert(room.clone());
            }
            let is_here = map.as_ref().is_some_and(|map| map.has(&self.shard, &keys::channel(room)));
            if !is_here {
                // The server has ended this subscription; to end it again would be an error.
                self.have.remove(room);
                self.doubted.remove(room);
                continue;
            }
            match (self.core.rooms.contains(room), self.have.contains(room)) {
                (true, false) => join.push(room.clone()),
                (false, false) if !self.doubted.contains(room) => {}
                (false, _) => leave.push(room.clone()),
                (true, true) => {}
            }
        }
        if let Err(error) = self.change(&join, &leave).await {
            return self.failed(&error);
        }
        for room in leave.iter().chain(&join) {
            self.have.remove(room);
            self.doubted.remove(room);
        }
        self.have.extend(join);
        for waiting in rooms.into_values().flat_map(|change| change.waiting) {
            // Whoever waited may have gone.
            let _ = waiting.send(());
        }
        true
    }

    async fn change(&self, join: &[RoomName], leave: &[RoomName]) -> Result<(), Error> {
        let channels = |rooms: &[RoomName]| -> Vec<String> { rooms.iter().map(keys::channel).collect() };
        let client = &self.shard.subscriber;
        if self.core.link.is_sharded() {
            for room in leave {
                client.sunsubscribe(keys::channel(room)).await?;
            }
            // The barrier, before there is anything whose answer it could take.
            client.ping::<()>(None).await?;
            return self.join_slots(&channels(join)).await;
        }
        for chunk in leave.chunks(CHUNK) {
            client.unsubscribe(channels(chunk)).await?;
        }
        for chunk in join.chunks(CHUNK) {
            client.subscribe(channels(chunk)).await?;
        }
        // The barrier. It comes even when there is nothing to join: an error of what was sent before it, which
        // fred drops, takes its place.
        client.ping::<()>(None).await
    }

    /// Subscribes in a cluster: one command for each channel, for two of different slots are refused together. Each
    /// has an answer, which is the barrier as well.
    async fn join_slots(&self, channels: &[String]) -> Result<(), Error> {
        for chunk in channels.chunks(CHUNK) {
            let pipeline = self.shard.subscriber.pipeline();
            for channel in chunk {
                // Queued, not sent. Not fred's own, which it does not let stand in a pipeline.
                let command = CustomCommand::new_static("SSUBSCRIBE", None::<u16>, false);
                let _: Value = pipeline.custom(command, vec![channel.as_str()]).await?;
            }
            for answer in pipeline.try_all::<Value>().await {
                answer?;
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &Error) -> bool {
        if self.core.link.is_sharded() {
            self.core.link.is_stale();
            if Detour::of(error, self.shard.server.as_ref()).is_some() {
                // An error to an unsubscription stands where an answer should, and the connection is out of step.
                let client = self.shard.subscriber.clone();
                self.core
                    .tasks
                    .spawn(async move { timeout(PAUSE, client.force_reconnection()).await.is_ok() });
            }
        }
        let error = error.to_string();
        if self.trouble.as_ref() != Some(&error) {
            tracing::warn!(shard = %self.shard, error, "redis could not be subscribed to");
        }
        self.trouble = Some(error);
        self.doubt();
        false
    }

    /// All are to be asked for again, though the connection may have them. Those that nobody wants any more are still to be
    /// left, or their messages would come for as long as the connection lasts.
    fn doubt(&mut self) {
        self.doubted.extend(self.have.drain());
    }
}

/// Takes what comes over the subscriptions, until the shard is closed.
pub(super) async fn receive(core: Arc<Core>, shard: Arc<Shard>) {
    let mut messages = shard.subscriber.message_rx();
    // When this task is not the first, something may have come while nobody listened.
    shard.pulse.compare_soon();
    let take = async {
        loop {
            match messages.recv().await {
                Ok(message) => match message.value.as_bytes() {
                    Some(payload) => core.receive(&shard, &message.channel, payload),
                    None => metric::malformed(1),
                },
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "redis subscriber lagged");
                    let _ = core.notices.send(Notice::Anew);
                    shard.pulse.compare_soon();
                }
                // The client is being closed.
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    };
    shard.closing.run_until_cancelled(take).await;
}
