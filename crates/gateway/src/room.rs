//! A room on this node: its tail, its members, and the flusher that takes the one to the other.
//!
//! An event enters the tail once, encoded. The flusher then takes what came since its last round in one piece and
//! writes it to each member; what arrives meanwhile is its next round. It writes to the sockets itself, for waking
//! a task per delivery costs a quarter more and collapses under overload.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bus::TraceContext;
use parking_lot::Mutex;
use proto::{Epoch, Position, RoomName};
use tokio::sync::OnceCell;

use crate::{
    clock::unix_ms,
    config::{InForce, TailConfig},
    connection::Connection,
    metrics::Metrics,
    receipts::Receipts,
    traces::{Flushed, Traces},
};

mod echo;
mod members;
mod reach;
mod roster;
mod tail;
mod typing;

pub use echo::Echo;
pub use members::Members;
pub use reach::{FIRST_PAGE, Reach, events_of};
pub use roster::{Changes, Company, Entry, Heard, Roster};
use tail::FIRST_INDEX;
pub use tail::{Batch, Frame, Mark, Tail, target_of_deletion};
pub use typing::Typists;

/// A segment of a room's members.
pub type Segment = members::Segment<Connection>;

/// Sends after which a flusher lets others go on: a room of thousands must not starve a room of two. Beside one of
/// 19,000 that is flushed, a small room waited 1.1 ms (median) for its turn at 64 and waits 0.4 ms at 16; the cost of
/// a delivery is the same.
const SENDS_PER_TURN: usize = 16;

/// The most bytes that a member is given in one piece.
const BATCH_BYTES: usize = 256 * 1024;

/// So many frames that wait are too many for one more that nobody needs.
const BEHIND: u64 = 64;

/// A room on this node.
pub struct Room {
    /// Its name.
    pub name: RoomName,
    /// Its members on this node.
    pub members: Members<Connection>,
    /// Messages that want no echo and whose events have yet to come.
    pub echoes: Echo,
    /// Who is there, on all nodes.
    pub roster: Roster,
    /// Who types.
    pub typists: Typists,
    /// Read markers that are about to be moved.
    pub receipts: Receipts,
    /// Joins under way and memberships: while there are any the room stays. See [`crate::rooms`].
    pub(crate) claims: AtomicUsize,
    /// The subscription, once the room is followed.
    pub(crate) following: OnceCell<Following>,
    tail: Mutex<Tail>,
    /// The index behind the tail's last frame, to be looked at without the tail's lock.
    end: AtomicU64,
    /// The index behind what the flusher has taken.
    flushed: AtomicU64,
    flushing: AtomicBool,
    /// Whether all members were level when they were last written to.
    level: AtomicBool,
    /// How far whoever measures rooms has seen it.
    measured: Mutex<Measured>,
    /// How often something was deleted: what was read from the log before is not to be handed out any more.
    deletions: AtomicU64,
    /// Whoever reads back from the log: one at a time, and the others find what it brought, or the last place from which it
    /// was too far.
    reaching: tokio::sync::Mutex<Option<Position>>,
    shared: Arc<Shared>,
}

/// How far a room was when it was measured.
#[derive(Debug)]
struct Measured {
    /// The index behind its tail.
    end: u64,
    head: Position,
}

/// A subscription that shows itself as little more than being there.
pub(crate) struct Following(#[expect(dead_code, reason = "held for its drop")] pub(crate) bus::Following);

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Following")
    }
}

/// What all rooms of a node share.
pub struct Shared {
    /// The configuration in force.
    pub config: Arc<InForce>,
    /// Of it what only a restart changes: it is looked at with every frame.
    pub tail: TailConfig,
    /// Since when the node is about to end, in milliseconds since 1970, if it is.
    pub draining: Arc<OnceLock<u64>>,
    /// The bytes in all tails of the node.
    pub tail_bytes: AtomicUsize,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where messages are traced, if they are.
    pub traces: Option<Arc<Traces>>,
}

impl Shared {
    /// Nothing is in any tail yet.
    pub fn new(config: Arc<InForce>, draining: Arc<OnceLock<u64>>, metrics: Arc<Metrics>) -> Self {
        let tail = config.now().tail.clone();
        Self { config, tail, draining, tail_bytes: AtomicUsize::new(0), metrics, traces: None }
    }
}

impl Room {
    /// A room that is not followed yet.
    pub fn new(name: RoomName, shared: Arc<Shared>) -> Self {
        // The bus says where the room stands before anybody can ask: see `start`.
        let nowhere = Position { epoch: Epoch::none(), seq: 0 };
        Self {
            name,
            members: Members::default(),
            echoes: Echo::default(),
            roster: Roster::default(),
            typists: Typists::default(),
            receipts: Receipts::default(),
            claims: AtomicUsize::new(0),
            following: OnceCell::new(),
            tail: Mutex::new(Tail::new(nowhere.clone())),
            end: AtomicU64::new(FIRST_INDEX),
            flushed: AtomicU64::new(FIRST_INDEX),
            flushing: AtomicBool::new(false),
            level: AtomicBool::new(true),
            measured: Mutex::new(Measured { end: FIRST_INDEX, head: nowhere }),
            deletions: AtomicU64::new(0),
            reaching: tokio::sync::Mutex::default(),
            shared,
        }
    }

    /// Begins the tail at the head from which the room is followed.
    pub fn start(&self, head: Position) {
        let mut tail = self.tail.lock();
        let indices = tail.end();
        self.uncount(tail.bytes());
        *tail = Tail::starting(head.clone(), indices);
        drop(tail);
        *self.measured.lock() = Measured { end: indices, head };
    }

    /// Appends a frame to the tail and sees to it that it is flushed.
    pub fn push(self: &Arc<Self>, frame: Frame) {
        let now = Instant::now();
        {
            let mut tail = self.tail.lock();
            let before = tail.bytes();
            tail.push(frame, now);
            self.shared.tail_bytes.fetch_add(tail.bytes() - before, Ordering::Relaxed);
            self.trim_locked(&mut tail, now);
            self.end.store(tail.end(), Ordering::SeqCst);
        }
        if !self.flushing.swap(true, Ordering::SeqCst) {
            tokio::spawn(Arc::clone(self).flush());
        }
    }

    /// Takes a message out of the tail that was deleted from the log, and its edits.
    pub fn redact(&self, target: &Position) {
        let mut tail = self.tail.lock();
        let before = tail.bytes();
        tail.redact(target);
        // A word of text is shorter than the word that it is gone.
        self.shared.tail_bytes.fetch_add(tail.bytes(), Ordering::Relaxed);
        self.uncount(before);
        self.deletions.fetch_add(1, Ordering::SeqCst);
    }

    /// How often something was deleted.
    pub fn deletions(&self) -> u64 {
        self.deletions.load(Ordering::SeqCst)
    }

    /// Drops what is too old or too much, also while nothing is appended, and who left a while ago, when all know it.
    pub fn trim(&self, now: Instant) {
        self.trim_locked(&mut self.tail.lock(), now);
        if self.level.load(Ordering::SeqCst) && !self.is_flushing() {
            self.roster.forget_departed(now);
        }
    }

    fn trim_locked(&self, tail: &mut Tail, now: Instant) {
        let limits = &self.shared.tail;
        let before = tail.bytes();
        // Whatever the bounds, a room keeps the frame that it is about to flush: one may be larger than a small tail,
        // and when the node's tails are full it is all that is kept.
        let full = self.shared.tail_bytes.load(Ordering::Relaxed) > limits.node_bytes;
        let max_bytes = if full { tail.newest_bytes() } else { limits.bytes.max(tail.newest_bytes()) };
        tail.trim(max_bytes, Duration::from_secs(limits.age_seconds), now);
        self.uncount(before - tail.bytes());
    }

    fn uncount(&self, bytes: usize) {
        self.shared.tail_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Looks at the tail under its lock.
    pub fn with_tail<R>(&self, look: impl FnOnce(&Tail) -> R) -> R {
        look(&self.tail.lock())
    }

    /// The index of the next frame for whoever stands at `position`; none if the tail can't tell.
    pub fn find(&self, position: &Position) -> Option<u64> {
        self.tail.lock().find(position)
    }

    /// The index behind the newest frame.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::SeqCst)
    }

    /// How many events came since the last time that this was asked, or since the room is followed. For one who measures.
    /// A quiet room is not held up by it.
    pub(crate) fn events_since_last_asked(&self) -> u64 {
        let mut measured = self.measured.lock();
        if measured.end == self.end() {
            return 0;
        }
        let (end, head) = self.with_tail(|tail| (tail.end(), tail.head().clone()));
        let before = std::mem::replace(&mut *measured, Measured { end, head });
        if before.head.epoch != measured.head.epoch {
            return 0;
        }
        // Not all that is pushed is an event, and a reset may jump far ahead.
        measured.head.seq.saturating_sub(before.head.seq).min(measured.end.saturating_sub(before.end))
    }

    /// Whether more waits to be flushed than goes out in a round or two.
    pub fn is_behind(&self) -> bool {
        self.end().saturating_sub(self.flushed.load(Ordering::Relaxed)) > BEHIND
    }

    /// Whether somebody writes to the members what came.
    pub(crate) fn is_flushing(&self) -> bool {
        self.flushing.load(Ordering::SeqCst)
    }

    /// Writes to every member what came since the last round, round after round, until nothing came.
    async fn flush(self: Arc<Self>) {
        let mut all_level = false;
        loop {
            let (batch, end) = {
                let mut tail = self.tail.lock();
                let flushed = self.flushed.load(Ordering::Relaxed);
                let batch = tail.batch(flushed, BATCH_BYTES);
                if batch.is_none() && all_level {
                    self.uncount(tail.forget_ephemeral(flushed));
                }
                (batch, tail.end())
            };
            if let Some(batch) = batch {
                self.flushed.store(batch.to, Ordering::Relaxed);
                let began = (!batch.traces.is_empty()).then(SystemTime::now);
                all_level = self.deliver(Some(&batch)).await;
                self.level.store(all_level, Ordering::SeqCst);
                self.observe(&batch);
                if let Some(began) = began {
                    self.trace(&batch, began, all_level);
                }
                continue;
            }
            if self.flushed.load(Ordering::Relaxed) < end {
                // It grew too old before it was flushed, in a process that was stopped for a while: its members
                // read it from the log. Left as it is, this loop would never end.
                self.flushed.store(end, Ordering::Relaxed);
                self.deliver(None).await;
                continue;
            }
            self.flushing.store(false, Ordering::SeqCst);
            // Whoever pushed before that store saw a flusher at work and left the frame to it.
            let idle = self.flushed.load(Ordering::Relaxed) >= self.end();
            if idle || self.flushing.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Has every member write what waits for it; `batch` is that for those who are level. Whether all are
    /// level now.
    async fn deliver(self: &Arc<Self>, batch: Option<&Batch>) -> bool {
        let mut sends = 0;
        let mut all_level = true;
        for segment in self.members.segments().iter() {
            for member in segment.members().iter() {
                all_level &= member.flush(batch.map(|batch| (self, batch)));
                sends += 1;
                if sends % SENDS_PER_TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
        all_level
    }

    /// Tells of an event's coming in its trace; gives what goes on from there.
    pub fn trace_relay(
        &self,
        parent: &TraceContext,
        position: &Position,
        began: SystemTime,
    ) -> Option<Box<TraceContext>> {
        self.shared.traces.as_ref()?.relayed(parent, &self.name, position, began)
    }

    /// Tells of a flush in the traces of the events that it was for.
    fn trace(&self, batch: &Batch, began: SystemTime, level: bool) {
        if let Some(traces) = &self.shared.traces {
            let flushed = Flushed { frames: batch.to - batch.from, members: self.members.count(), level };
            traces.written(&batch.traces, &self.name, began, flushed);
        }
    }

    /// Records how old each event was when the last member was written to. Once for an event, never for a delivery.
    fn observe(&self, batch: &Batch) {
        let now = unix_ms();
        for at in &batch.sent_at {
            self.shared.metrics.delivery_seconds.record(now.saturating_sub(*at) as f64 / 1000.0);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let bytes = self.tail.get_mut().bytes();
        self.uncount(bytes);
    }
}
