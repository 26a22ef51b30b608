//! The subscriptions: what the map of followed rooms wants, and what the connection has.
//!
//! fred forgets its subscriptions with the connection, and answers a subscribe before it is written. So there is
//! one task that knows both sides. It subscribes and unsubscribes in batches, and then waits for a `PING` on the
//! same connection: what was asked for before it is in force when the answer is there. After a reconnect it asks
//! for everything again, and has the heads of all followed rooms compared, for something may have been published
//! meanwhile.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
    time::Duration,
};

use fred::{
    error::Error,
    interfaces::{ClientLike, EventInterface, PubsubInterface},
    types::config::Server,
};
use parking_lot::Mutex;
use proto::RoomName;
use tokio::{
    sync::{Notify, broadcast, oneshot},
    time::sleep,
};

use super::{Core, keys, metric};
use crate::BusError;

/// Channels in one command.
const CHUNK: usize = 500;

/// How long to wait before trying again what Redis refused.
const PAUSE: Duration = Duration::from_millis(500);

/// Rooms that began or ceased to be followed, for the task to look at.
#[derive(Default)]
pub(super) struct Changes {
    rooms: Mutex<HashMap<RoomName, Vec<oneshot::Sender<()>>>>,
    notify: Notify,
}

impl Changes {
    /// Waits until the room, which is in the map of followed rooms, is subscribed to.
    pub(super) async fn subscribed(&self, room: &RoomName) -> Result<(), BusError> {
        let (sender, receiver) = oneshot::channel();
        self.rooms.lock().entry(room.clone()).or_default().push(sender);
        self.notify.notify_one();
        receiver.await.map_err(|_| BusError::unavailable("redis can't be subscribed to"))
    }

    /// The room may have ceased to be followed.
    pub(super) fn look_at(&self, room: &RoomName) {
        self.rooms.lock().entry(room.clone()).or_default();
        self.notify.notify_one();
    }

    fn take(&self) -> HashMap<RoomName, Vec<oneshot::Sender<()>>> {
        mem::take(&mut *self.rooms.lock())
    }
}

struct Subscriber {
    core: Arc<Core>,
    /// Rooms whose subscription is known to be in force.
    have: HashSet<RoomName>,
    /// Whether the connection has what it should have.
    level: bool,
    reconnects: broadcast::Receiver<Server>,
    was_connected: bool,
    /// What was wrong the last time, so that it is said once and not at every attempt.
    trouble: Option<String>,
}

/// Keeps the subscriptions until the bus is closed. `reconnects` must be older than the connection.
pub(super) async fn run(core: Arc<Core>, reconnects: broadcast::Receiver<Server>) {
    let mut subscriber = Subscriber {
        core: Arc::clone(&core),
        have: HashSet::new(),
        level: false,
        reconnects,
        was_connected: false,
        trouble: None,
    };
    core.closing.run_until_cancelled(subscriber.keep()).await;
}

impl Subscriber {
    async fn keep(&mut self) {
        let core = Arc::clone(&self.core);
        loop {
            tokio::select! {
                // Lagging behind the reconnects is a reconnect as well.
                _ = self.reconnects.recv() => self.connected().await,
                () = core.changes.notify.notified(), if self.level => {
                    let changes = core.changes.take();
                    self.level = self.apply(changes).await;
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
            tracing::info!("redis subscriber reconnected");
        }
        self.again().await;
    }

    /// Asks for everything.
    async fn again(&mut self) {
        self.have.clear();
        let changes = self.core.changes.take();
        let mut wanted: HashMap<RoomName, Vec<_>> =
            self.core.rooms.names().into_iter().map(|room| (room, Vec::new())).collect();
        wanted.extend(changes);
        let own = vec![keys::CONTROL.to_owned(), keys::node_channel(&self.core.node)];
        self.level = match self.core.link.subscriber.subscribe(own).await {
            Ok(()) => self.apply(wanted).await,
            Err(error) => self.failed(&error),
        };
        if self.level {
            self.trouble = None;
            self.core.pulse.compare_soon();
            self.core.pulse.probe_now();
        }
    }

    /// Brings the rooms in line with the map; whether that was possible. Only then those who wait are answered.
    async fn apply(&mut self, rooms: HashMap<RoomName, Vec<oneshot::Sender<()>>>) -> bool {
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        for room in rooms.keys() {
            match (self.core.rooms.contains(room), self.have.contains(room)) {
                (true, false) => join.push(room.clone()),
                (false, true) => leave.push(room.clone()),
                _ => {}
            }
        }
        if let Err(error) = self.change(&join, &leave).await {
            return self.failed(&error);
        }
        for room in &leave {
            self.have.remove(room);
        }
        self.have.extend(join);
        for waiting in rooms.into_values().flatten() {
            // Whoever waited may have gone.
            let _ = waiting.send(());
        }
        true
    }

    async fn change(&self, join: &[RoomName], leave: &[RoomName]) -> Result<(), Error> {
        let channels = |rooms: &[RoomName]| -> Vec<String> { rooms.iter().map(keys::channel).collect() };
        let client = &self.core.link.subscriber;
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

    fn failed(&mut self, error: &Error) -> bool {
        let error = error.to_string();
        if self.trouble.as_ref() != Some(&error) {
            tracing::warn!(error, "redis could not be subscribed to");
        }
        self.trouble = Some(error);
        self.have.clear();
        false
    }
}

/// Takes what comes over the subscriptions, until the bus is closed.
pub(super) async fn receive(core: Arc<Core>) {
    let mut messages = core.link.subscriber.message_rx();
    let take = async {
        loop {
            match messages.recv().await {
                Ok(message) => match message.value.as_bytes() {
                    Some(payload) => core.receive(&message.channel, payload),
                    None => metric::malformed(1),
                },
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "redis subscriber lagged");
                    core.pulse.compare_soon();
                }
                // The client is being closed.
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    };
    core.closing.run_until_cancelled(take).await;
}
