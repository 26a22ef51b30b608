//! One client's socket, and the one way to write to it.
//!
//! Several hands want the same socket: the flushers of its rooms, replies, pings, the close. One rule keeps
//! frames whole and costs nothing while it is quiet: whoever gets the write lock (it tries, it never waits) writes
//! *everything* that waits, and whoever does not get it leaves a mark, which the holder looks for before it goes.
//!
//! Events of rooms are not queued here. They stand in the rooms' tails, behind this connection's cursors
//! ([`Membership`]), so a slow reader owns no memory but the rest of one cut frame.
//! After a would-block only the connection's own task writes, when the socket opens again.

use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::{Close, Position};
use tokio::sync::Notify;

use crate::{
    metrics::Metrics,
    room::{Batch, Room},
    rooms::Claim,
};

pub mod membership;
mod outlet;
pub(crate) mod secure;
mod stream;
pub mod writer;

use membership::{Instead, Membership, ReadOn};
pub use outlet::Outlet;
use writer::{Outcome, Writer, Written};

/// One client's socket and everything that waits to be written to it.
pub struct Connection {
    /// The session's number on this node.
    pub id: u64,
    io: Outlet,
    writer: Mutex<Writer>,
    /// Somebody found the lock taken and has something to write.
    dirty: AtomicBool,
    /// The socket took no more; only the connection's own task may write until it did again.
    blocked: AtomicBool,
    /// Wakes the connection's own task: blocked, behind its tails, or closing.
    wake: Notify,
    /// Requests that have not been answered yet.
    in_flight: AtomicUsize,
    /// Wakes the reader when `in_flight` or the outbox shrank.
    relieved: Notify,
    /// The client was told how it ends.
    announced: AtomicBool,
    /// How the connection ends; set once.
    end: Mutex<Option<End>>,
    /// When the client's token was issued, in milliseconds since 1970; 0 when it does not say so.
    issued_at_ms: AtomicU64,
    /// Milliseconds from `born` until the last sign of life.
    heard: AtomicU64,
    born: Instant,
    metrics: Arc<Metrics>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server closes it, and may say when to come back.
    Close(Close, Option<Duration>),
    /// The client closed it, with a code if it gave one.
    Client(Option<u16>),
    /// It was lost without a close frame.
    Lost,
}

impl Connection {
    /// Wraps an upgraded socket, or a stream. `outbox_bytes` bounds what may wait besides the rooms' events.
    pub fn new(id: u64, io: impl Into<Outlet>, outbox_bytes: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            id,
            io: io.into(),
            writer: Mutex::new(Writer::new(outbox_bytes)),
            dirty: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            wake: Notify::new(),
            in_flight: AtomicUsize::new(0),
            relieved: Notify::new(),
            announced: AtomicBool::new(false),
            end: Mutex::new(None),
            issued_at_ms: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            born: Instant::now(),
            metrics,
        }
    }

    // ---- writing ----

    /// Queues a frame that is not a room's event and writes what can be written now.
    pub fn send(self: &Arc<Self>, frame: Bytes) {
        let fits = self.writer.lock().push(frame);
        if !fits {
            self.end(End::Close(Close::Overloaded, None));
        }
        self.flush(None);
    }

    /// Does something under the write lock, and afterwards what somebody else wanted to write meanwhile.
    fn with_writer<R>(&self, act: impl FnOnce(&mut Writer) -> R) -> R {
        let result = act(&mut self.writer.lock());
        if self.dirty.load(Ordering::SeqCst) {
            self.flush(None);
        }
        result
    }

    /// Writes everything that waits, unless the socket is blocked or somebody else is at it already.
    ///
    /// `batch` is what a room's flusher has in hand, in one piece for those of its members who are level. Whether nothing
    /// waits any more, as far as is known here.
    pub fn flush(&self, batch: Option<(&Arc<Room>, &Batch)>) -> bool {
        // The mark comes before the attempt: if the attempt fails, the holder has yet to look for it.
        self.dirty.store(true, Ordering::SeqCst);
        let mut level = false;
        while !self.blocked.load(Ordering::SeqCst) && self.dirty.load(Ordering::SeqCst) {
            let Some(mut writer) = self.writer.try_lock() else { return false };
            self.dirty.store(false, Ordering::SeqCst);
            level = self.write(&mut writer, batch) == Outcome::Level;
        }
        level
    }

    fn write(&self, writer: &mut Writer, batch: Option<(&Arc<Room>, &Batch)>) -> Outcome {
        let waiting = writer.outbox_bytes();
        let send = |slices: &[IoSlice<'_>]| self.io.try_write(slices);
        let outcome = self.outcome(writer.write(batch, send, &self.metrics));
        self.follow_up(writer, &outcome, waiting);
        outcome
    }

    /// How a write ended, with what the socket's own buffer has to say: to be level is to have nothing there either.
    fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Level | Outcome::Behind if self.io.is_backed_up() => Outcome::Blocked,
            outcome => outcome,
        }
    }

    /// What comes of a write; `waiting` is how much the outbox held before.
    fn follow_up(&self, writer: &mut Writer, outcome: &Outcome, waiting: usize) {
        match outcome {
            Outcome::Level => {}
            Outcome::Behind => self.wake.notify_one(),
            Outcome::Blocked => {
                if !self.blocked.swap(true, Ordering::SeqCst) {
                    self.metrics.slow_readers.increment(1.0);
                }
                self.wake.notify_one();
            }
            Outcome::Broken => {
                // Whoever waits until everything is written would wait for ever, and without a pause: a broken socket
                // is always writable.
                writer.abandon();
                self.end(End::Lost);
            }
        }
        if writer.outbox_bytes() < waiting {
            self.relieved.notify_one();
        }
    }

    /// For the connection's own task: waits until there is something that only it can do.
    pub async fn wait_for_work(&self) {
        self.wake.notified().await;
    }

    /// Whether the socket took no more when it was last written to.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::SeqCst)
    }

    /// For the connection's own task: waits until a blocked socket opens, and writes what waits.
    pub async fn unblock(&self) -> io::Result<()> {
        self.io.writable().await?;
        self.note_life();
        self.set_unblocked();
        self.flush(None);
        Ok(())
    }

    /// For the connection's own task: tries a blocked socket that the system does not call writable; says whether it
    /// took anything. It is called so when a third of its buffer is free, for which a client that reads a kilobyte a
    /// second takes longer than anybody's patience; but it takes more as soon as there is any room.
    pub fn nudge(&self) -> bool {
        // What is wrong with it the write will find, too.
        let mut taken = self.io.push().unwrap_or_default();
        {
            let mut writer = self.writer.lock();
            let waiting = writer.outbox_bytes();
            let send = |slices: &[IoSlice<'_>]| {
                let sent = self.io.force_write(slices)?;
                taken += sent;
                Ok(sent)
            };
            let outcome = self.outcome(writer.write(None, send, &self.metrics));
            if outcome != Outcome::Blocked {
                self.set_unblocked();
            }
            self.follow_up(&mut writer, &outcome, waiting);
        }
        if taken > 0 {
            self.note_life();
        }
        self.flush(None);
        taken > 0
    }

    fn set_unblocked(&self) {
        if self.blocked.swap(false, Ordering::SeqCst) {
            self.metrics.slow_readers.decrement(1.0);
        }
    }

    /// What the connection's own task has to read from the log, if a membership is behind its room's tail.
    pub fn read_on(&self) -> Option<ReadOn> {
        let read = self.with_writer(Writer::read_on);
        if read.is_none() {
            // The tail may have been made to reach back meanwhile, and nobody else writes what it has.
            self.flush(None);
        }
        read
    }

    /// Whether anything but rooms' events still waits to be written.
    pub fn has_unsent(&self) -> bool {
        self.with_writer(|writer| writer.has_unsent()) || self.io.is_backed_up()
    }

    /// What was written to it so far.
    pub fn sent(&self) -> Written {
        self.with_writer(|writer| writer.written())
    }

    // ---- rooms ----

    /// Makes the connection a member that has seen the room up to `position`; `ok` goes out before anything
    /// of the room. A membership that there was in the room before ends.
    pub fn join(self: &Arc<Self>, claim: Claim, position: Position, ok: Option<Bytes>) {
        self.leave(claim.room());
        let fits = {
            let mut writer = self.writer.lock();
            let fits = ok.is_none_or(|ok| writer.push(ok));
            let seat = claim.room().members.insert(self);
            writer.join(claim, seat, position);
            fits
        };
        self.metrics.members.increment(1.0);
        if !fits {
            self.end(End::Close(Close::Overloaded, None));
        }
        self.flush(None);
    }

    /// Ends the membership in a room; says whether there was one.
    pub fn leave(self: &Arc<Self>, room: &Arc<Room>) -> bool {
        let Some(mut membership) = self.with_writer(|writer| writer.leave(room)) else { return false };
        self.vacate(&membership);
        // Every request is answered once, and the events in whose places these were to come will not.
        membership.owed().for_each(|ok| self.send(ok));
        true
    }

    /// Ends all memberships.
    pub fn leave_all(self: &Arc<Self>) {
        let memberships = self.with_writer(Writer::leave_all);
        memberships.iter().for_each(|membership| self.vacate(membership));
    }

    fn vacate(self: &Arc<Self>, membership: &Membership) {
        membership.vacate(self);
        membership.room().echoes.release(self);
        self.metrics.members.decrement(1.0);
    }

    /// The room of this name, if the connection is a member.
    pub fn room(&self, name: &proto::RoomName) -> Option<Arc<Room>> {
        self.with_writer(|writer| writer.room(name))
    }

    /// The rooms that the connection is in.
    pub fn all_rooms(&self) -> Vec<Arc<Room>> {
        self.with_writer(|writer| writer.all_rooms())
    }

    /// Another share in the room of this name, if the connection is a member.
    pub fn share(&self, name: &proto::RoomName) -> Option<Claim> {
        self.with_writer(|writer| writer.share(name))
    }

    /// How many rooms the connection is in.
    pub fn rooms(&self) -> usize {
        self.with_writer(|writer| writer.rooms())
    }

    /// Puts `instead` in the place of the event numbered `seq`, for this connection only; sends it at once if
    /// that place is behind it.
    pub fn replace_event(self: &Arc<Self>, room: &Arc<Room>, seq: u64, instead: Instead) {
        let late = self.with_writer(|writer| writer.replace_event(room, seq, instead));
        if let Some(instead) = late.filter(|frame| !frame.is_empty()) {
            self.send(instead);
        }
    }

    // ---- who it is ----

    /// Notes when the client's token was issued.
    pub fn set_issued_at(&self, issued_at_ms: Option<u64>) {
        self.issued_at_ms.store(issued_at_ms.unwrap_or(0), Ordering::Relaxed);
    }

    /// When the client's token was issued, in milliseconds since 1970.
    pub fn issued_at_ms(&self) -> Option<u64> {
        Some(self.issued_at_ms.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    // ---- reading ----

    /// Waits until something can be read.
    pub async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Reads what is there; `WouldBlock` when nothing is.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.io.try_read(buffer)?;
        self.note_life();
        Ok(read)
    }

    fn note_life(&self) {
        self.heard.store(self.born.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// How long ago something last came in, or a full socket took something: the pings that its client is to answer
    /// stand behind all that its socket holds.
    pub fn silence(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// How long the connection has been there.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Notes a request that will be answered later.
    pub fn begin_request(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that it was answered.
    pub fn end_request(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.relieved.notify_one();
    }

    /// Waits until fewer than `requests` are in flight and half of the outbox is free: only then is more read.
    pub async fn wait_for_room(&self, requests: usize) {
        while self.in_flight.load(Ordering::Relaxed) >= requests
            || self.with_writer(|writer| writer.is_crowded())
        {
            // Boxed: hardly anybody ever waits for it, and everybody has room for it.
            Box::pin(self.relieved.notified()).await;
        }
    }

    // ---- the end ----

    /// Begins the end of the connection; what is given first counts. The session does the rest.
    pub fn end(&self, end: End) {
        self.end.lock().get_or_insert(end);
        self.wake.notify_one();
        self.relieved.notify_one();
    }

    /// Queues the announcement of the end, in the place of the one that would be made for it.
    pub fn announce(self: &Arc<Self>, closing: Bytes) {
        self.announced.store(true, Ordering::Relaxed);
        self.send(closing);
    }

    /// Whether the client was told how it ends.
    pub fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    /// How the connection ends, once it does.
    pub fn ending(&self) -> Option<End> {
        *self.end.lock()
    }

    /// Queues the last frames; nothing is written behind them, and no more events before them.
    pub fn finish(self: &Arc<Self>, announcement: Option<Bytes>, close: Bytes) {
        self.leave_all();
        self.writer.lock().finish(announcement, close);
        self.flush(None);
    }

    /// Tells the client that nothing more will come, once everything is written; what it still sends can be read.
    pub fn end_writing(&self) {
        self.io.end_writing();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.set_unblocked();
    }
}

#[cfg(test)]
mod tests;
