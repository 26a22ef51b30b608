//! The log in Redis: numbered, stored and published by one script, followed over pub/sub, filled from the log.
//!
//! | module | subject |
//! | --- | --- |
//! | `config`, `link` | the two connections, and the commands that go over them |
//! | `keys`, `wire`, `script`, `answer` | names, payloads, scripts and what they answer |
//! | `lane` | appends: one batch under way per room |
//! | `subscriber` | subscriptions, and what comes over them |
//! | `rooms`, `fill` | followed rooms, and the reading that fills their holes |
//! | `reads` | [`Bus::read`] |
//! | `probe` | whether the paths are alive, and whether silence is silence |

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    clients::Client,
    interfaces::{ClientLike, EventInterface},
    types::config::Server,
};
use proto::{Position, RoomName};
use tokio::{
    sync::{Semaphore, broadcast},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Append, Appending, Bus, BusError, Follower, Following, Health, NodeId, Page, ReadFrom, epoch,
    follow::Observation,
};
use lane::Lanes;
use link::Link;
use probe::{Pulse, Unsettled};
use reads::Reads;
use rooms::{Followed, Need, Rooms};
use subscriber::Changes;
use wire::Payload;

mod answer;
mod config;
mod fill;
mod keys;
mod lane;
mod link;
mod metric;
mod probe;
mod reads;
mod rooms;
mod script;
mod subscriber;
mod wire;

pub use config::RedisConfig;

/// How many signals a slow receiver may lag behind.
const SIGNALS: usize = 1024;

/// Holes that are filled at the same time.
const FILLS: usize = 32;

/// How long queued appends, and then the connections, get when the bus is closed.
const CLOSING: Duration = Duration::from_secs(1);

/// A cluster node's handle on one Redis server.
pub struct RedisBus(Arc<Core>);

/// What the tasks of a bus share.
struct Core {
    node: NodeId,
    link: Link,
    lanes: Lanes,
    reads: Reads,
    rooms: Rooms,
    changes: Changes,
    fills: Semaphore,
    unsettled: Unsettled,
    signals: broadcast::Sender<Bytes>,
    pulse: Pulse,
    probe_interval: Duration,
    command_timeout: Duration,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl RedisBus {
    /// Connects, and keeps connecting in the background: a Redis that is not there yet is bad
    /// [health](Bus::health), not an error, and costs [`RedisConfig::connect_timeout`]. Must be called in a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`BusError::Config`] when the URL can't be right.
    pub async fn connect(config: RedisConfig) -> Result<Self, BusError> {
        let core = Arc::new(Core {
            node: NodeId::new(&config.node),
            link: Link::new(&config)?,
            lanes: Lanes::default(),
            reads: Reads::new(),
            rooms: Rooms::default(),
            changes: Changes::default(),
            fills: Semaphore::new(FILLS),
            unsettled: Unsettled::default(),
            signals: broadcast::Sender::new(SIGNALS),
            pulse: Pulse::new(),
            probe_interval: config.probe_interval,
            command_timeout: config.command_timeout,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        metric::up(false);
        // Whoever listens must be there before the connection is.
        let subscribed = core.link.subscriber.reconnect_rx();
        let connected = core.link.commands.reconnect_rx();
        core.tasks.spawn(subscriber::receive(Arc::clone(&core)));
        core.tasks.spawn(subscriber::run(Arc::clone(&core), subscribed));
        core.tasks.spawn(probe::run(Arc::clone(&core)));
        core.tasks.spawn(watch_commands(Arc::clone(&core), connected));
        for client in [&core.link.commands, &core.link.subscriber] {
            core.tasks.spawn(keep_connected(core.closing.clone(), client.clone()));
        }
        // Not being up in time is no error: see above.
        let _ = timeout(config.connect_timeout, core.pulse.up()).await;
        Ok(Self(core))
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl Core {
    /// A payload came over a channel.
    fn receive(self: &Arc<Self>, channel: &str, payload: &[u8]) {
        if let Some(room) = keys::room_of_channel(channel) {
            // What comes after the last leave and before the unsubscription is for nobody.
            if let Some(followed) = self.rooms.get(room) {
                let need = followed.payload(payload);
                self.serve(&followed, need);
            }
            return;
        }
        match wire::read_payload(payload) {
            Some(Payload::Signal(signal)) => {
                // It fails only when nobody listens.
                let _ = self.signals.send(Bytes::copy_from_slice(signal));
            }
            Some(Payload::Probe(number)) => self.pulse.returned(number),
            _ => metric::malformed(1),
        }
    }

    /// Somebody saw the head of a followed room.
    fn observe(self: &Arc<Self>, followed: &Arc<Followed>, observation: &Observation<'_>) {
        let need = followed.observe(observation);
        self.serve(followed, need);
    }

    /// Gives a room what it needs.
    fn serve(self: &Arc<Self>, followed: &Arc<Followed>, need: Need) {
        if need.visit {
            self.unsettled.insert(followed.name.clone());
        }
        if need.fill {
            self.tasks.spawn(fill::run(Arc::clone(self), Arc::clone(followed)));
        }
    }
}

/// Keeps a client's connection until the bus is closed. fred reconnects by itself, but gives up for ever on some
/// errors, such as a server that refuses the password for a while.
async fn keep_connected(closing: CancellationToken, client: Client) {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        let mut connection = client.connect();
        tokio::select! {
            ended = &mut connection => {
                let error = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
                tracing::warn!(error, "redis connection gave up");
            }
            () = closing.cancelled() => {
                // One that hangs is not worth waiting for.
                let _ = timeout(CLOSING, client.quit()).await;
                connection.abort();
                return;
            }
        }
        if closing.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

/// Has the path probed at once when the commands' connection is there again, and remembers why it is not.
async fn watch_commands(core: Arc<Core>, mut connected: broadcast::Receiver<Server>) {
    let mut errors = core.link.commands.error_rx();
    let mut first = true;
    let watch = async {
        loop {
            tokio::select! {
                // Lagging behind is another reconnect.
                _ = connected.recv() => {
                    if !std::mem::replace(&mut first, false) {
                        metric::reconnected();
                        tracing::info!("redis commands reconnected");
                    }
                    // The event comes a little before the client takes commands.
                    let _ = core.link.commands.wait_for_connect().await;
                    core.link.set_trouble(None);
                    core.pulse.probe_now();
                }
                error = errors.recv() => {
                    if let Ok((error, _)) = error {
                        core.link.set_trouble(Some(error.to_string()));
                    }
                }
            }
        }
    };
    core.closing.run_until_cancelled(watch).await;
}

/// Ends a following when it is dropped, also one that never came to be.
struct Guard {
    core: Arc<Core>,
    followed: Arc<Followed>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.core.rooms.remove(&self.followed) {
            self.core.changes.look_at(&self.followed.name);
        }
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn append(&self, room: &RoomName, append: Append) -> Appending {
        lane::append(&self.0, room, append)
    }

    async fn follow(&self, room: &RoomName, follower: Arc<dyn Follower>) -> Result<Following, BusError> {
        let core = &self.0;
        if !core.link.is_reachable() {
            return Err(BusError::unavailable("redis does not answer"));
        }
        let followed = core.rooms.insert(room, follower);
        let guard = Guard { core: Arc::clone(core), followed };
        let subscribed = timeout(core.command_timeout, core.changes.subscribed(room)).await;
        subscribed.unwrap_or_else(|_| Err(BusError::unavailable("redis did not subscribe in time")))?;
        // What is published from here on arrives, so what the head holds and what arrives leave no hole.
        let head = core.link.open(room).await?;
        let need = guard.followed.start(head);
        core.serve(&guard.followed, need.ok_or_else(|| BusError::unavailable("the room was followed anew"))?);
        Ok(Following { _guard: Box::new(guard) })
    }

    async fn read(&self, room: &RoomName, from: ReadFrom, limit: u32) -> Result<Page, BusError> {
        reads::read(&self.0, room, from, limit).await
    }

    async fn head(&self, room: &RoomName) -> Result<Position, BusError> {
        let heads = self.0.link.heads(std::slice::from_ref(room)).await?;
        let head = heads.into_iter().next().transpose()?.flatten();
        Ok(head.unwrap_or_else(|| epoch::Head::none().position()))
    }

    async fn publish(&self, room: &RoomName, frame: Bytes) -> Result<(), BusError> {
        self.0.link.publish(keys::channel(room), wire::ephemeral(&frame)).await
    }

    async fn signal(&self, signal: Bytes) -> Result<(), BusError> {
        self.0.link.publish(keys::CONTROL.to_owned(), wire::signal(&signal)).await
    }

    fn signals(&self) -> broadcast::Receiver<Bytes> {
        self.0.signals.subscribe()
    }

    async fn put_ticket(&self, ticket: &str, value: Bytes, ttl_ms: u64) -> Result<(), BusError> {
        self.0.link.put_ticket(ticket, value, ttl_ms).await
    }

    async fn take_ticket(&self, ticket: &str) -> Result<Option<Bytes>, BusError> {
        self.0.link.take_ticket(ticket).await
    }

    fn health(&self) -> Health {
        self.0.pulse.health()
    }

    fn node(&self) -> &NodeId {
        &self.0.node
    }

    async fn close(&self) {
        const LOOK: Duration = Duration::from_millis(10);
        let core = &self.0;
        let began = Instant::now();
        while !core.lanes.are_empty() && began.elapsed() < CLOSING {
            sleep(LOOK).await;
        }
        core.closing.cancel();
        core.link.set_reachable(false);
        core.tasks.close();
        // What hangs is not worth waiting for.
        let _ = timeout(CLOSING, core.tasks.wait()).await;
    }
}
