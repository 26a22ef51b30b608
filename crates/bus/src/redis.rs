//! The log in Redis: numbered, stored and published by one function, followed over pub/sub, filled from the log.
//!
//! | module | subject |
//! | --- | --- |
//! | `config`, `tls`, `shard` | how Redis is reached, and the connections to one primary |
//! | `connection` | keeping connections open |
//! | `map`, `topology` | which primary of a cluster has what, and how that is learnt |
//! | `sentinels` | whether the primary was replaced |
//! | `link`, `call` | commands, and where they go |
//! | `keys`, `wire`, `script`, `answer` | names, payloads, scripts and what they answer |
//! | `lane`, `commits` | appends: one batch under way per room; those that wait for replicas |
//! | `subscriber` | subscriptions, and what comes over them |
//! | `rooms`, `fill` | followed rooms, and the reading that fills their holes |
//! | `reads` | [`Bus::read`] |
//! | `beside`, `here` | what is kept beside the logs; who is in a room |
//! | `beats`, `roll` | which nodes live |
//! | `diagnosis` | what all shards together amount to: good health, or why not |
//! | `inspect` | how the given Redis is set up, and what that means |
//! | `panic` | what a fault of the program may end |
//! | `probe`, `pulse` | whether the paths are alive, and since when they are not |
//! | `silence` | whether quiet rooms are as quiet as they seem |

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    interfaces::EventInterface,
    types::config::{Config, Server},
};
use parking_lot::Mutex;
use proto::{Position, RoomName, UserId};
use tokio::{
    sync::{Notify, Semaphore, broadcast},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Append, Appending, Bus, BusError, Follower, Following, Health, Marked, Mute, NodeId, NodeInfo, Notice,
    Page, PresenceUpdate, ReadFrom, Retentions, RoomState, RoomsPage, Sanction, Sanctions, Told, epoch,
    follow::Observation,
};
use beside::Beside;
use connection::{keep_connected, watch_commands};
use lane::Lanes;
use link::Link;
use map::Map;
use reads::Reads;
use roll::Roll;
use rooms::{Followed, Need, Rooms};
use script::Script;
use shard::Shard;
use silence::Unsettled;
use wire::Payload;

mod answer;
mod beats;
mod beside;
mod call;
mod commits;
mod config;
mod connection;
mod diagnosis;
mod fill;
#[cfg(fuzzing)]
pub mod fuzzing;
mod here;
mod inspect;
mod keys;
mod lane;
mod link;
mod map;
mod metric;
mod panic;
mod probe;
mod pulse;
mod reads;
mod roll;
mod rooms;
mod script;
mod sentinels;
mod shard;
mod silence;
mod subscriber;
mod tls;
mod topology;
mod wire;

pub use config::{Ack, RedisConfig};
pub use tls::RedisTls;

/// How many signals a slow receiver may lag behind.
const SIGNALS: usize = 1024;

/// Holes that are filled at the same time.
const FILLS: usize = 32;

/// How long queued appends, and then the connections, get when the bus is closed.
const CLOSING: Duration = Duration::from_secs(1);

/// A node's handle on Redis.
pub struct RedisBus(Arc<Core>);

/// What the tasks of a bus share.
struct Core {
    node: NodeId,
    link: Link,
    lanes: Lanes,
    reads: Reads,
    rooms: Rooms,
    fills: Semaphore,
    unsettled: Unsettled,
    signals: broadcast::Sender<Bytes>,
    notices: broadcast::Sender<Notice>,
    beside: Beside,
    beat_script: Script,
    roll: Mutex<Roll>,
    /// What this node says of itself.
    status: Mutex<Bytes>,
    /// Tells whoever waits for good health.
    health: Notify,
    config: RedisConfig,
    began: SystemTime,
    /// How a server is reached, whichever it is.
    reach: Config,
    /// Why whoever knows the way (a node that the URL of a cluster names, a sentinel) could not be asked for it.
    lost: Mutex<Option<String>>,
    probe_interval: Duration,
    command_timeout: Duration,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl RedisBus {
    /// What appends messages, for whoever measures what it costs Redis: the library that it is in, as `FUNCTION LOAD` is
    /// given it, and its name there.
    pub fn append_function() -> (String, String) {
        let append = link::append_script();
        (append.text().to_owned(), append.name().map(ToString::to_string).unwrap_or_default())
    }

    /// Connects, and keeps connecting in the background: a Redis that is not there yet is bad
    /// [health](Bus::health), not an error, and costs [`RedisConfig::connect_timeout`]. Must be called in a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`BusError::Config`] when the URL or a file of [`RedisTls`] can't be right, when Redis did not prove who it is
    /// (or this node did not prove it to Redis), when it is older than 7.0 or gives this node no right to append;
    /// [`BusError::Unavailable`] when the Redis that was reached has fewer replicas than [`RedisConfig::ack`] asks for.
    pub async fn connect(config: RedisConfig) -> Result<Self, BusError> {
        let place = config::parse(&config)?;
        let core = Arc::new(Core {
            node: NodeId::new(&config.node),
            link: Link::new(&config, !place.seeds.is_empty()),
            lanes: Lanes::default(),
            reads: Reads::new(),
            rooms: Rooms::default(),
            fills: Semaphore::new(FILLS),
            unsettled: Unsettled::default(),
            signals: broadcast::Sender::new(SIGNALS),
            notices: broadcast::Sender::new(SIGNALS),
            beside: Beside::new(),
            beat_script: Script::alone(include_str!("redis/beat.lua")),
            roll: Mutex::new(Roll::new(beats::PATIENCE_BEATS * config.beat_interval)),
            status: Mutex::default(),
            health: Notify::new(),
            reach: place.config,
            lost: Mutex::default(),
            probe_interval: config.probe_interval,
            command_timeout: config.command_timeout,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            began: SystemTime::now(),
            config,
        });
        core.health_changed();
        if place.seeds.is_empty() {
            let shard = core.new_shard(None, &core.reach);
            core.link.set_map(Map::one(Arc::clone(&shard)));
            core.start(&shard);
            core.keep_running("sentinels", &shard, sentinels::run);
        } else {
            let own = Arc::clone(&core);
            panic::keep_running(&core.tasks, "topology", move || {
                topology::run(Arc::clone(&own), place.seeds.clone())
            });
        }
        let own = Arc::clone(&core);
        panic::keep_running(&core.tasks, "heartbeat", move || beats::run(Arc::clone(&own)));
        // Not being up in time is no error: see above.
        let checked = match timeout(core.config.connect_timeout, core.up()).await {
            Ok(()) => core.inspect().await,
            Err(_) => core.hopeless(),
        };
        if let Err(refusal) = checked {
            core.closing.cancel();
            return Err(refusal);
        }
        Ok(Self(core))
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl Core {
    /// How long a path may be silent before it is down.
    fn patience(&self) -> Duration {
        pulse::PATIENCE * self.probe_interval
    }

    fn new_shard(&self, server: Option<Server>, reach: &Config) -> Arc<Shard> {
        Arc::new(Shard::new(server, reach, &self.config, self.closing.child_token()))
    }

    /// Starts what runs for a shard, which is on the map.
    fn start(self: &Arc<Self>, shard: &Arc<Shard>) {
        // Whoever listens must be there before the connection is.
        let connected = shard.commands.reconnect_rx();
        self.keep_running("receiver", shard, subscriber::receive);
        self.keep_running("subscriber", shard, |core, shard| {
            let reconnects = shard.subscriber.reconnect_rx();
            subscriber::run(core, shard, reconnects)
        });
        self.keep_running("probe", shard, probe::run);
        self.keep_running("silence", shard, silence::run);
        self.tasks.spawn(watch_commands(Arc::clone(self), Arc::clone(shard), connected));
        for client in shard.clients() {
            self.tasks.spawn(keep_connected(shard.closing.clone(), client.clone()));
        }
    }

    /// Runs a shard's task until that ends by itself.
    fn keep_running<F>(
        self: &Arc<Self>,
        what: &'static str,
        shard: &Arc<Shard>,
        task: impl Fn(Arc<Self>, Arc<Shard>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (core, shard) = (Arc::clone(self), Arc::clone(shard));
        panic::keep_running(&self.tasks, what, move || task(Arc::clone(&core), Arc::clone(&shard)));
    }

    /// Waits until a room, which is in the map of followed rooms, is subscribed to where its slot is.
    async fn subscribed(&self, room: &RoomName) -> Result<(), BusError> {
        const PAUSE: Duration = Duration::from_millis(50);
        let subscribe = async {
            loop {
                let shard = self.link.shard(&keys::channel(room))?;
                // One whose place another has taken answers nobody any more.
                match shard.closing.run_until_cancelled(shard.changes.subscribed(room)).await {
                    Some(answer) if answer.is_ok() || !self.link.is_sharded() => return answer,
                    // The slot may be on its way to another shard.
                    _ => sleep(PAUSE).await,
                }
            }
        };
        let subscribed = timeout(self.command_timeout, subscribe).await;
        subscribed.unwrap_or_else(|_| Err(BusError::unavailable("redis did not subscribe in time")))
    }

    /// A payload came over a channel.
    fn receive(self: &Arc<Self>, shard: &Shard, channel: &str, payload: &[u8]) {
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
            Some(Payload::Probe(number)) => shard.pulse.returned(number),
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

/// Ends a following when it is dropped, also one that never came to be.
struct Guard {
    core: Arc<Core>,
    followed: Arc<Followed>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.core.rooms.remove(&self.followed) {
            let name = &self.followed.name;
            if let Ok(shard) = self.core.link.shard(&keys::channel(name)) {
                shard.changes.look_at(name);
            }
        }
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn append(&self, room: &RoomName, append: Append) -> Appending {
        lane::append(&self.0, room, append)
    }

    fn set_retentions(&self, retentions: Retentions) {
        self.0.link.set_retentions(retentions);
    }

    async fn follow(&self, room: &RoomName, follower: Arc<dyn Follower>) -> Result<Following, BusError> {
        let core = &self.0;
        core.link.shard(&keys::channel(room))?.gate()?;
        let followed = core.rooms.insert(room, follower);
        let guard = Guard { core: Arc::clone(core), followed };
        core.subscribed(room).await?;
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
        let head = self.0.link.head(room).await?;
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

    async fn read_ticket(&self, ticket: &str, ttl_ms: u64) -> Result<Option<Bytes>, BusError> {
        self.0.link.read_ticket(ticket, ttl_ms).await
    }

    async fn tell_presence(&self, room: &RoomName, update: &PresenceUpdate) -> Result<Told, BusError> {
        self.0.tell_presence(room, update).await
    }

    async fn room_state(&self, room: &RoomName, most: u64, now_ms: u64) -> Result<RoomState, BusError> {
        self.0.room_state(room, most, now_ms).await
    }

    async fn mark_read(
        &self,
        room: &RoomName,
        markers: &[(UserId, Position)],
        tell: bool,
    ) -> Result<Vec<Marked>, BusError> {
        self.0.mark_read(room, markers, tell).await
    }

    async fn set_mute(
        &self,
        room: &RoomName,
        user: &UserId,
        mute: Option<&Mute>,
        now_ms: u64,
    ) -> Result<(), BusError> {
        self.0.set_mute(room, user, mute, now_ms).await
    }

    async fn set_sanction(
        &self,
        user: &UserId,
        kind: Sanction,
        value: Option<(&[u8], u64)>,
        now_ms: u64,
    ) -> Result<(), BusError> {
        self.0.set_sanction(user, kind, value, now_ms).await
    }

    async fn sanctions(&self, user: &UserId, now_ms: u64) -> Result<Sanctions, BusError> {
        self.0.sanctions(user, now_ms).await
    }

    async fn claim_sessions(&self, user: &UserId, own: u64, most: u64) -> Result<bool, BusError> {
        self.0.claim_sessions(user, own, most).await
    }

    async fn take_rate(
        &self,
        scope: &str,
        per_second: u32,
        burst: u32,
    ) -> Result<Option<Duration>, BusError> {
        self.0.take_rate(scope, per_second, burst).await
    }

    fn describe(&self, status: Bytes) {
        *self.0.status.lock() = status;
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, BusError> {
        Ok(self.0.beat("", "").await?.nodes)
    }

    async fn rooms(&self, after: Option<&str>, limit: u32) -> Result<RoomsPage, BusError> {
        self.0.rooms_page(after, limit).await
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        self.0.notices.subscribe()
    }

    fn health(&self) -> Health {
        self.0.judge()
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
        // Whoever hears nothing more learns it all the same, later.
        let _ = timeout(CLOSING, core.sign_off()).await;
        core.closing.cancel();
        for shard in core.link.shards() {
            shard.set_reachable(false);
        }
        core.tasks.close();
        // What hangs is not worth waiting for.
        let _ = timeout(CLOSING, core.tasks.wait()).await;
    }
}
