//! What waits to be written to one socket, and in which order it goes.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
};

use bytes::Bytes;
use proto::{Position, RoomName};
use smallvec::SmallVec;

use super::{
    Connection,
    membership::{Instead, Membership, ReadOn},
    stream,
};
use crate::{
    metrics::Metrics,
    room::{Batch, Frame, Mark, Room, Segment},
    rooms::Claim,
    sse::Blocks,
};

/// The most pieces in one vectored write. Linux takes 1,024; past some dozen a second call costs no more.
pub(super) const PIECES: usize = 64;

/// Everything that waits for one socket. Its lock is the connection's write lock.
pub struct Writer {
    /// What is left of a frame that the socket took only half of.
    rest: Bytes,
    /// Replies, pings, the close.
    outbox: VecDeque<Bytes>,
    outbox_bytes: usize,
    outbox_limit: usize,
    /// The close frame is queued, and nothing may come behind it.
    finished: bool,
    /// Nearly everybody is in one room, or a few.
    memberships: SmallVec<[Membership; 1]>,
    written: Written,
    /// Set where frames go out as the blocks of an event stream.
    pub(super) blocks: Option<Box<Blocks>>,
}

/// How a write ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing waits any more.
    Level,
    /// What waits must be read from the log first.
    Behind,
    /// The socket takes no more for now.
    Blocked,
    /// The socket is gone.
    Broken,
}

/// Everything that was written to one socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    /// Frames of any kind, a frame counting when it was begun.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a write got rid of, a frame counting when it was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Frames of any kind.
    pub(super) frames: u64,
    /// Logged events among them.
    pub(super) events: u64,
}

impl Sent {
    /// Counts it, with the bytes that it took.
    fn count(self, bytes: usize, written: &mut Written, metrics: &Metrics) {
        written.frames += self.frames;
        written.bytes += bytes as u64;
        metrics.sent_bytes.increment(bytes as u64);
        metrics.frames_sent.increment(self.frames);
        metrics.deliveries.increment(self.events);
    }
}

impl std::ops::AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.events += other.events;
    }
}

/// A piece of a vectored write, and where it came from.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) source: Source,
}

#[derive(Debug)]
pub(super) enum Source {
    Rest,
    Outbox,
    /// A room's batch, whole, for the membership of this number.
    Batch(usize),
    /// One frame of a tail or a replay, for the membership of this number.
    Frame(usize, Mark),
}

impl Writer {
    /// Nothing waits; the outbox will take `outbox_limit` bytes.
    pub fn new(outbox_limit: usize) -> Self {
        Self {
            rest: Bytes::new(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            outbox_limit,
            finished: false,
            memberships: SmallVec::new(),
            written: Written::default(),
            blocks: None,
        }
    }

    /// Queues a frame in the outbox; false if that is full. One that waits alone fits, however large: whoever asked for it would
    /// come back and ask again.
    #[must_use]
    pub fn push(&mut self, frame: Bytes) -> bool {
        let fits = self.outbox.is_empty() || self.outbox_bytes + frame.len() <= self.outbox_limit;
        if fits {
            self.push_unbounded(frame);
        }
        fits
    }

    /// Queues a frame whatever the bound.
    fn push_unbounded(&mut self, frame: Bytes) {
        if !self.finished {
            self.outbox_bytes += frame.len();
            self.outbox.push_back(frame);
        }
    }

    /// Queues the last words of a connection, whatever the bound; what comes later is dropped.
    pub fn finish(&mut self, announcement: Option<Bytes>, close: Bytes) {
        announcement.into_iter().for_each(|frame| self.push_unbounded(frame));
        self.push_unbounded(close);
        self.finished = true;
    }

    /// Drops what waits, and what comes later: the socket is gone.
    pub fn abandon(&mut self) {
        self.rest = Bytes::new();
        self.outbox = VecDeque::new();
        self.outbox_bytes = 0;
        self.finished = true;
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        self.written
    }

    /// The bytes in the outbox.
    pub fn outbox_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// Whether half of the outbox is used.
    pub fn is_crowded(&self) -> bool {
        self.outbox_bytes > self.outbox_limit / 2
    }

    /// Whether a cut frame or the outbox waits.
    pub fn has_unsent(&self) -> bool {
        !self.rest.is_empty() || !self.outbox.is_empty()
    }

    /// Adds a membership that stands at `position`.
    pub fn join(&mut self, claim: Claim, seat: Arc<Segment>, position: Position) {
        self.memberships.push(Membership::new(claim, seat, position));
    }

    /// Takes a membership out.
    pub fn leave(&mut self, room: &Arc<Room>) -> Option<Membership> {
        let index = self.memberships.iter().position(|membership| Arc::ptr_eq(membership.room(), room))?;
        let membership = self.memberships.swap_remove(index);
        self.note_leave(&membership);
        Some(membership)
    }

    /// Takes all memberships out.
    pub fn leave_all(&mut self) -> SmallVec<[Membership; 1]> {
        let memberships = std::mem::take(&mut self.memberships);
        memberships.iter().for_each(|membership| self.note_leave(membership));
        memberships
    }

    fn note_leave(&mut self, membership: &Membership) {
        if let Some(blocks) = &mut self.blocks {
            blocks.leaves(&membership.room().name, membership.position());
        }
    }

    /// The room of this name, if there is a membership.
    pub fn room(&self, name: &RoomName) -> Option<Arc<Room>> {
        self.memberships.iter().map(Membership::room).find(|room| room.name == *name).cloned()
    }

    /// The rooms of all memberships.
    pub fn all_rooms(&self) -> Vec<Arc<Room>> {
        self.memberships.iter().map(|membership| Arc::clone(membership.room())).collect()
    }

    /// Another share in the room of this name, if there is a membership.
    pub fn share(&self, name: &RoomName) -> Option<Claim> {
        self.memberships.iter().find(|membership| membership.room().name == *name).map(Membership::share)
    }

    /// The number of memberships.
    pub fn rooms(&self) -> usize {
        self.memberships.len()
    }

    /// Puts `instead` in the place of an event that is still to come; gives back what goes out by itself if that place has
    /// passed.
    pub fn replace_event(&mut self, room: &Arc<Room>, seq: u64, instead: Instead) -> Option<Bytes> {
        match self.memberships.iter_mut().find(|membership| Arc::ptr_eq(membership.room(), room)) {
            Some(membership) => membership.replace_event(seq, instead),
            None => Some(instead.alone),
        }
    }

    /// What to read from the log for a membership that has nothing left to write and no place in its tail. Next time it is
    /// another's turn: one whose log can't be reached keeps nobody waiting.
    pub fn read_on(&mut self) -> Option<ReadOn> {
        let mut memberships = self.memberships.iter_mut().enumerate();
        let (index, read) = memberships.find_map(|(index, it)| Some((index, it.read_on()?)))?;
        self.memberships.rotate_left(index + 1);
        Some(read)
    }

    /// Takes in a page that was asked for; ignored if the membership has moved since.
    pub fn replay(&mut self, read: &ReadOn, frames: VecDeque<Frame>, stands: Option<Position>) {
        if let Some(membership) = self.memberships.iter_mut().find(|membership| membership.awaits(read)) {
            membership.replay(read, frames, stands);
        }
    }

    /// Writes until nothing waits or the socket takes no more. What comes to `batch`'s room meanwhile is left to the
    /// room's flusher, whose next batch it is.
    pub fn write(
        &mut self,
        batch: Option<(&Arc<Room>, &Batch)>,
        mut send: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
        metrics: &Metrics,
    ) -> Outcome {
        // A stream's pieces are its own, frame by frame.
        let batch = batch.filter(|_| self.blocks.is_none());
        // Nearly every delivery ends here: one piece, for a member that has nothing else to write.
        if let Some((room, batch)) = batch
            && let Some(number) = self.waits_for_nothing_but(room, batch)
        {
            match send(&[IoSlice::new(&batch.bytes)]) {
                Ok(0) => return Outcome::Broken,
                Ok(written) => {
                    let (sent, end) = self.memberships[number].pass_batch(batch, written);
                    sent.count(written, &mut self.written, metrics);
                    if written == batch.bytes.len() {
                        return Outcome::Level;
                    }
                    // Its own: a slice would keep the whole batch for as long as the socket is blocked.
                    self.rest = Bytes::copy_from_slice(&batch.bytes[written..end]);
                    return Outcome::Blocked;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Outcome::Broken,
            }
        }
        loop {
            let (pieces, behind) = self.gather(batch);
            if pieces.is_empty() {
                return if behind { Outcome::Behind } else { Outcome::Level };
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut total = 0;
            for (slice, piece) in slices.iter_mut().zip(&pieces) {
                *slice = IoSlice::new(&piece.bytes);
                total += piece.bytes.len();
            }
            // Frames that were replaced by nothing make pieces of no bytes; the kernel need not hear of them.
            let sent = if total == 0 { Ok(0) } else { send(&slices[..pieces.len()]) };
            match sent {
                Ok(0) if total > 0 => return Outcome::Broken,
                Ok(written) => {
                    let sent = self.commit(pieces, written, batch.map(|(_, batch)| batch));
                    sent.count(written, &mut self.written, metrics);
                    if written < total {
                        return Outcome::Blocked;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Outcome::Broken,
            }
        }
    }

    /// The number of the membership that takes a batch as it is, if nothing else waits here.
    fn waits_for_nothing_but(&self, room: &Arc<Room>, batch: &Batch) -> Option<usize> {
        if self.has_unsent() {
            return None;
        }
        let mut taker = None;
        for (number, membership) in self.memberships.iter().enumerate() {
            if Arc::ptr_eq(room, membership.room()) && membership.takes(batch) {
                taker = Some(number);
            } else if !membership.is_level() {
                return None;
            }
        }
        taker
    }

    /// What waits, in order: the rest of a cut frame, the outbox, then each room's run; and whether some
    /// membership has to read its log first.
    fn gather(&mut self, batch: Option<(&Arc<Room>, &Batch)>) -> (Vec<Piece>, bool) {
        let mut pieces = Vec::new();
        let mut behind = false;
        if !self.rest.is_empty() {
            pieces.push(Piece { bytes: self.rest.clone(), source: Source::Rest });
        }
        let outbox = self.outbox.iter().take(PIECES - pieces.len());
        pieces.extend(outbox.map(|frame| Piece { bytes: frame.clone(), source: Source::Outbox }));
        for (number, membership) in self.memberships.iter_mut().enumerate() {
            if pieces.len() == PIECES {
                break;
            }
            match batch {
                Some((room, batch)) if Arc::ptr_eq(room, membership.room()) && membership.takes(batch) => {
                    pieces.push(Piece { bytes: batch.bytes.clone(), source: Source::Batch(number) });
                }
                _ => behind |= membership.gather(number, &mut pieces),
            }
        }
        if let Some(blocks) = &self.blocks {
            stream::encode(blocks, &self.memberships, &mut pieces);
        }
        (pieces, behind)
    }

    /// Moves on past what was written, and keeps the rest of a frame that was cut.
    fn commit(&mut self, pieces: Vec<Piece>, mut written: usize, batch: Option<&Batch>) -> Sent {
        let mut sent = Sent::default();
        for Piece { bytes, source } in pieces {
            let taken = written.min(bytes.len());
            if taken == 0 && !bytes.is_empty() {
                break;
            }
            written -= taken;
            // Where the last frame of the piece that was begun ends.
            let mut end = bytes.len();
            match source {
                Source::Rest => {}
                Source::Outbox => {
                    let frame = self.outbox.pop_front().unwrap_or_default();
                    self.outbox_bytes -= frame.len();
                    sent.frames += 1;
                }
                Source::Batch(number) => {
                    if let (Some(membership), Some(batch)) = (self.memberships.get_mut(number), batch) {
                        let (passed, cut) = membership.pass_batch(batch, taken);
                        sent += passed;
                        end = cut;
                    }
                }
                Source::Frame(number, mark) => {
                    if let Some(membership) = self.memberships.get_mut(number) {
                        let (passed, late) = membership.pass(&mark);
                        sent += passed;
                        late.into_iter().for_each(|frame| self.push_unbounded(frame));
                    }
                }
            }
            self.rest = Bytes::copy_from_slice(&bytes[taken..end]);
            if !self.rest.is_empty() {
                break;
            }
        }
        if self.outbox.is_empty() {
            self.outbox = VecDeque::new();
        }
        sent
    }
}

impl Connection {
    /// Whether a page that was read from the log was taken in, and the connection may go on writing.
    pub fn replay(&self, read: &ReadOn, frames: VecDeque<Frame>, stands: Option<Position>) {
        self.with_writer(|writer| writer.replay(read, frames, stands));
        self.flush(None);
    }
}

#[cfg(test)]
mod tests;
