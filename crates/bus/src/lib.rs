//! The log and its fan-out: what carries a room between gateways.
//!
//! A room is a log, and everyone holds a [`Position`] in it. This crate numbers, stores and publishes events
//! in one step ([`Bus::append`]), hands every event of a followed room to its [`Follower`] once and in order
//! ([`Bus::follow`]), and reads on from any position ([`Bus::read`]). Every hard case (a reconnect, an outage,
//! a lost publication, a failover) is that last operation.
//!
//! Two backends keep the same contract, and [`conformance`] is that contract as code:
//! [`MemoryBus`] for one process, [`RedisBus`] for a cluster.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use proto::{Position, RoomName, UserId, server::ResetReason};
use tokio::sync::{broadcast, oneshot};

pub mod conformance;
mod epoch;
mod follow;
mod memory;
mod node;
mod redis;
mod retention;
pub mod state;
mod trace;

pub use memory::{MemoryBus, MemoryHub};
pub use node::NodeId;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use redis::fuzzing;
pub use redis::{Ack, RedisBus, RedisConfig, RedisTls};
pub use retention::{Retention, Retentions};
pub use state::{
    MARKERS, Marked, Mute, NodeInfo, Notice, PresenceUpdate, RoomInfo, RoomState, RoomsPage, Sanction,
    Sanctions, Told,
};
pub use trace::TraceContext;

/// What is appended to a room's log.
#[derive(Clone, Debug)]
pub struct Append {
    /// The event's text without its opening brace: see [`proto::event`].
    pub body: Bytes,
    /// What makes the append idempotent; at most 255 bytes.
    pub key: Key,
    /// What it does besides, in the same atomic step.
    pub effect: Effect,
    /// The span that it is a part of, for those who trace it.
    pub trace: Option<Box<TraceContext>>,
}

impl Append {
    /// A message.
    pub fn message(body: Bytes, key: Key) -> Self {
        Self { body, key, effect: Effect::None, trace: None }
    }
}

/// What an append does besides being appended. All but the first have a target, a message of the same room; when
/// that is not in the log the answer is [`BusError::Gone`], and nothing is appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it is a message.
    #[default]
    None,
    /// It stands for new data of the target, and goes with it when that is deleted.
    Edit(Position),
    /// It takes the data of the target out of the log, and that of its edits: what is left of each is what
    /// [`proto::event::redact`] leaves. A target that was deleted before is a duplicate.
    Delete(Position),
    /// It puts a reaction on the target, or takes it away. One that is there, or not there, already is a duplicate.
    React {
        /// The message.
        target: Position,
        /// Whose reaction, and which: [`Effect::reaction`].
        what: Bytes,
        /// Put on, or taken away.
        on: bool,
    },
}

impl Effect {
    /// A user's reaction to a message.
    pub fn reaction(user: &UserId, target: Position, key: &str, on: bool) -> Self {
        Self::React { target, what: [user.as_str().as_bytes(), b"\0", key.as_bytes()].concat().into(), on }
    }

    /// The message that it is about.
    pub fn target(&self) -> Option<&Position> {
        match self {
            Self::None => None,
            Self::Edit(target) | Self::Delete(target) | Self::React { target, .. } => Some(target),
        }
    }
}

/// The idempotency key of an append: whoever sends the same key again within [`proto::ID_TTL_MS`] gets the
/// first position again, and nothing is appended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Bytes);

impl Key {
    /// The longest key, in bytes: its length is one byte in the log entry.
    pub const MAX_BYTES: usize = 255;

    /// The key of what a user sent with an `id` of its own.
    pub fn of_client(user: &UserId, id: &proto::MessageId) -> Self {
        Self([user.as_str().as_bytes(), b"\0", id.as_str().as_bytes()].concat().into())
    }

    /// A key for what came without an `id`: a gateway's own, so that a replayed command can't double it.
    /// `unique` must never repeat on this node.
    pub fn of_node(node: &NodeId, unique: u64) -> Self {
        Self(format!("\0{node}/{unique}").into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// Where an event came to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event's own position.
    pub position: Position,
    /// Whether the key was known, or there was nothing left to do, so that this is where the *first* of them stands.
    /// Taking away a reaction that never was has no event: its position is the target's.
    pub duplicate: bool,
}

/// An append under way. It was queued when [`Bus::append`] returned; dropping this does not take it back.
#[derive(Debug)]
pub struct Appending(oneshot::Receiver<Result<Appended, BusError>>);

impl Future for Appending {
    type Output = Result<Appended, BusError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(BusError::unavailable("the append was given up"))))
    }
}

/// One event of a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Where it stands.
    pub position: Position,
    /// The key that it was appended with.
    pub key: Key,
    /// Its text without the opening brace. It shares no memory with a socket's read buffer.
    pub body: Bytes,
    /// The span that it was appended in, if it is traced. It comes with the event to those who follow the room, and may be
    /// lost; the log does not hold it.
    pub trace: Option<Box<TraceContext>>,
}

/// Who is told what happens in a followed room.
///
/// The calls for one room never overlap and never wait: an implementation does its share under a short lock and
/// returns. The bus holds a lock of its own meanwhile, so a call must not use the bus for the same room, nor drop
/// its [`Following`]. [`start`](Follower::start) comes once, before [`Bus::follow`] returns and before any event or reset;
/// frames that are not logged may come before it.
pub trait Follower: Send + Sync + 'static {
    /// The room is followed from here: every event after `head` will come.
    fn start(&self, head: Position);

    /// The next event. Its `seq` is one above the last one's, or above the last reset's.
    fn event(&self, event: LogEvent);

    /// A frame that is not logged: its whole text. It may be lost.
    fn ephemeral(&self, frame: Bytes);

    /// Who is in the room has changed: a `presence` frame's whole text, and the [version](RoomState::version) that it
    /// leads to. It may be lost. One with lists follows on the version before, one that is only a number on any.
    fn presence(&self, version: u64, frame: Bytes);

    /// Some events can't be had, or were lost with a server: the room stands at `to` now.
    /// Events after `to` that were handed on before belong to an abandoned branch.
    fn reset(&self, to: Position, reason: ResetReason);

    /// Whether it is still handing on what it was told. What was missed is read from the log as fast as it can hand it on,
    /// for what piles up here is dropped, and then read again by each who wants it.
    fn is_busy(&self) -> bool {
        false
    }
}

/// A room that is being followed; dropping it ends that.
pub struct Following {
    pub(crate) _guard: Box<dyn Send + Sync>,
}

/// Where a read begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReadFrom {
    /// Behind a position, if it still holds: see [`Verdict`].
    After(Position),
    /// Behind a number of the current log, or with the oldest event that is left.
    AfterSeq(u64),
    /// The last events before a number of the current log, still in ascending order.
    BeforeSeq(u64),
    /// The newest events, in ascending order.
    Newest,
}

/// Whether the position that a read began with still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does (or the read named none): the events follow on it without a hole.
    Holds,
    /// It does not: the reader now stands at `to`, and the events follow on that.
    Reset {
        /// The last position that is true, from which the events go on.
        to: Position,
        /// `forked`: part of what the reader saw is gone; `trimmed`: part of what it did not see is gone;
        /// `new`: it saw another log, or one so old that its place can't be told.
        reason: ResetReason,
    },
}

/// A part of a room's log, read at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whether the position asked for holds.
    pub verdict: Verdict,
    /// Events in ascending order, without a hole.
    pub events: Vec<LogEvent>,
    /// The `seq` of the oldest event that is left; one above the head's when none is.
    pub first: u64,
    /// The newest position.
    pub head: Position,
}

/// Events in one page at most.
pub(crate) const MOST_EVENTS: u32 = 1_000;

/// Whether deliveries come through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether commands are answered, and what is published comes back, within the probe's time. A server that answers and
    /// takes no writes (its memory is full, its replicas are away) is up: appends say so themselves.
    pub up: bool,
    /// What was seen last, fit for a log line and for `/readyz`.
    pub detail: String,
    /// Since when they do not: what was published until then is known to have been delivered. None while up.
    pub down_since: Option<SystemTime>,
}

/// Why the bus did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BusError {
    /// Redis can't be reached, or did not answer in time. An append is then *not known to be appended*:
    /// the same key again is always safe.
    #[error("the bus is unavailable: {cause}")]
    Unavailable {
        /// What was seen, fit for a log line; it holds no secret.
        cause: Arc<str>,
    },
    /// What an append is about is not in the log: trimmed, deleted, or of a branch that is gone.
    #[error("the target is not in the log")]
    Gone,
    /// The configuration can't work; the message says what would.
    #[error("{0}")]
    Config(String),
}

impl BusError {
    pub(crate) fn unavailable(cause: impl AsRef<str>) -> Self {
        Self::Unavailable { cause: cause.as_ref().into() }
    }
}

/// The contract. [`conformance`] is the same in code, and every backend passes it.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Numbers, stores and publishes an event in one atomic step.
    ///
    /// The order of calls is the order in the log: each room has one lane on each node, also when a command
    /// must be sent again. An error means *not known to be appended*; there is never a silent ok.
    fn append(&self, room: &RoomName, append: Append) -> Appending;

    /// Hands every event of the room to `follower`, in `seq` order, without a hole or a repeat, from the head
    /// that it [starts](Follower::start) with. A hole is seen by its number and filled from the log before
    /// anything later is handed on; what can't be filled is a [reset](Follower::reset).
    ///
    /// One follower for each room and node: following a room again replaces the one before, at once and for good.
    /// The room's head is made if there is none, and kept alive while the room is followed.
    async fn follow(&self, room: &RoomName, follower: Arc<dyn Follower>) -> Result<Following, BusError>;

    /// From now on keeps so much of the rooms' logs. A log that is longer is trimmed with the room's next append.
    fn set_retentions(&self, retentions: Retentions);

    /// Reads at most `limit` events, and no more than a thousand: what follows is read behind the last of them.
    /// Concurrent reads of the same part of a room are one read, and none is older than its call. Reading makes
    /// nothing: a room that was never used has the head `none/0`.
    async fn read(&self, room: &RoomName, from: ReadFrom, limit: u32) -> Result<Page, BusError>;

    /// The newest position of a room; `none/0` for one that was never used.
    async fn head(&self, room: &RoomName) -> Result<Position, BusError>;

    /// Hands a frame that is not logged to every follower of the room, this node's included. It may be lost.
    async fn publish(&self, room: &RoomName, frame: Bytes) -> Result<(), BusError>;

    /// Sends a signal to every node, this one included. It may be lost.
    async fn signal(&self, signal: Bytes) -> Result<(), BusError>;

    /// The signals from now on. A receiver that lags loses the oldest.
    fn signals(&self) -> broadcast::Receiver<Bytes>;

    /// Keeps a ticket's value for `ttl_ms` milliseconds. A ticket that exists is never replaced.
    async fn put_ticket(&self, ticket: &str, value: Bytes, ttl_ms: u64) -> Result<(), BusError>;

    /// Takes a ticket's value; nobody can take it again.
    async fn take_ticket(&self, ticket: &str) -> Result<Option<Bytes>, BusError>;

    /// A ticket's value, which stays, and is kept for `ttl_ms` milliseconds from now on.
    async fn read_ticket(&self, ticket: &str, ttl_ms: u64) -> Result<Option<Bytes>, BusError>;

    // ---- beside the logs ----

    /// Takes in who is in a room by way of this node, and tells the room's followers what has changed by it, if anything, or
    /// what was [withheld](Told::Withheld) before.
    async fn tell_presence(&self, room: &RoomName, update: &PresenceUpdate) -> Result<Told, BusError>;

    /// The state of a room beside its log; members and markers only if there are at most `most` members.
    async fn room_state(&self, room: &RoomName, most: u64, now_ms: u64) -> Result<RoomState, BusError>;

    /// Moves read markers; the answers are in the order of the markers. With `tell` the room's followers are told of those
    /// that have moved, by a `read` frame like those that are [published](Bus::publish), in the same step.
    async fn mark_read(
        &self,
        room: &RoomName,
        markers: &[(UserId, Position)],
        tell: bool,
    ) -> Result<Vec<Marked>, BusError>;

    /// Takes a user's voice in a room, or gives it back. Nodes are to be told by a [signal](Bus::signal).
    async fn set_mute(
        &self,
        room: &RoomName,
        user: &UserId,
        mute: Option<&Mute>,
        now_ms: u64,
    ) -> Result<(), BusError>;

    /// Puts a sanction on a user until a time in milliseconds since 1970, or lifts it. Nodes are to be told by a
    /// [signal](Bus::signal).
    async fn set_sanction(
        &self,
        user: &UserId,
        kind: Sanction,
        value: Option<(&[u8], u64)>,
        now_ms: u64,
    ) -> Result<(), BusError>;

    /// What a user is kept from.
    async fn sanctions(&self, user: &UserId, now_ms: u64) -> Result<Sanctions, BusError>;

    /// Says that this node has `own` sessions of a user. False, and nothing is changed, when with those of the other
    /// nodes that live there would be more than `most`; 0 stands for no limit. It may be forgotten a day after it was said.
    async fn claim_sessions(&self, user: &UserId, own: u64, most: u64) -> Result<bool, BusError>;

    /// Takes one from a bucket that the whole cluster shares, which lets `per_second` through in the long run and `burst`
    /// at once; or says how long to wait. Both are at least 1.
    async fn take_rate(&self, scope: &str, per_second: u32, burst: u32)
    -> Result<Option<Duration>, BusError>;

    /// What this node says of itself, from its next heartbeat on. [`Bus::nodes`] gives it to whoever asks.
    fn describe(&self, status: Bytes);

    /// The nodes that live.
    async fn nodes(&self) -> Result<Vec<NodeInfo>, BusError>;

    /// A page of about `limit` rooms that have a log, behind the page whose `next` is given. A room that comes or goes
    /// meanwhile may be left out; one may be given twice.
    ///
    /// # Errors
    /// [`BusError::Config`] when no page ever gave that `next`.
    async fn rooms(&self, after: Option<&str>, limit: u32) -> Result<RoomsPage, BusError>;

    /// What happens to the cluster from now on. A receiver that lags is to take that for [`Notice::Anew`].
    fn notices(&self) -> broadcast::Receiver<Notice>;

    /// Whether deliveries come through, as a probe saw it last. It never waits.
    fn health(&self) -> Health;

    /// Who this node is.
    fn node(&self) -> &NodeId;

    /// Ends what runs in the background. Appends that were queued get their answer first, for a second at most.
    async fn close(&self);
}
