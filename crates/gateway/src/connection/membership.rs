//! A connection's place in a room: a cursor into the room's tail, or, when the tail does not reach back that far,
//! what was read from the log instead.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use proto::Position;

use super::{
    Connection,
    writer::{PIECES, Piece, Sent, Source},
};
use crate::{
    relay::ephemeral_frame,
    room::{Batch, Frame, Mark, Room, Segment, Tail},
    rooms::Claim,
};

/// As many events as a client may be owed an `ok` in the place of: it may go on sending while it does not read.
const OWED: usize = 64;

/// A connection's place in a room.
pub struct Membership {
    claim: Claim,
    seat: Arc<Segment>,
    /// Where the client stands: the last event, or reset, that was written.
    position: Position,
    /// The index of the next frame in the room's tail, for whoever is not replaying.
    index: u64,
    /// When the index was found.
    era: u32,
    /// What is not logged and has an index below this is old news to the client: it was told what came of it.
    since: u64,
    /// The log is read, or was, for the tail did not reach back to the position; what is not logged is not in it.
    missed: bool,
    /// Set while the tail does not reach back to the position: what was read from the log and waits to be
    /// written. Empty: the next page has to be read.
    #[expect(clippy::box_collection, reason = "there is one for each membership and it is hardly ever set")]
    replay: Option<Box<VecDeque<Frame>>>,
    /// How often something had been deleted in the room when that was read.
    deletions: u64,
    /// What goes out in the place of an event, by its `seq`.
    instead: Vec<(u64, Instead)>,
}

/// The `ok` of a message with `echo: false`. One that has no place says that it is a duplicate: a client takes any
/// other for the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    /// In the place of the event.
    pub placed: Bytes,
    /// By itself.
    pub alone: Bytes,
}

/// A page that a membership needs from the log.
pub struct ReadOn {
    /// The room.
    pub room: Arc<Room>,
    /// Where the client stands.
    pub from: Position,
    /// How often something has been deleted in the room.
    pub deletions: u64,
}

impl Membership {
    /// A membership of whoever stands at `position`.
    pub fn new(claim: Claim, seat: Arc<Segment>, position: Position) -> Self {
        let (replay, since) = (Some(Box::default()), claim.since());
        let instead = Vec::new();
        let mut membership = Self {
            claim,
            seat,
            position,
            index: 0,
            era: 0,
            since,
            missed: false,
            replay,
            deletions: 0,
            instead,
        };
        // While it reads the log, what is told to the others passes it by.
        membership.missed = !membership.attach();
        membership
    }

    /// The room.
    pub fn room(&self) -> &Arc<Room> {
        self.claim.room()
    }

    /// Another share in the room.
    pub fn share(&self) -> Claim {
        self.claim.share()
    }

    /// Where the client stands: the last event, or reset, that was written.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Gives the place in the room's member list back.
    pub fn vacate(&self, connection: &Arc<Connection>) {
        self.seat.remove(connection);
    }

    /// Puts `instead` in the place of an event that is still to come; gives back what goes out by itself if that place has
    /// passed, as when the reader was ahead in the log, or if too many wait for theirs.
    pub fn replace_event(&mut self, seq: u64, instead: Instead) -> Option<Bytes> {
        if self.position.seq >= seq || self.instead.len() >= OWED {
            return Some(instead.alone);
        }
        self.instead.push((seq, instead));
        None
    }

    /// The `ok`s that wait for an event's place, to go out by themselves: the client leaves before that.
    pub fn owed(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        let owed = std::mem::take(&mut self.instead).into_iter().map(|(_, instead)| instead.alone);
        owed.filter(|frame| !frame.is_empty())
    }

    /// What to read from the log, if nothing is left to write and the tail has no place for the position.
    pub fn read_on(&mut self) -> Option<ReadOn> {
        let starving = self.replay.as_ref().is_some_and(|frames| frames.is_empty());
        // One that the tail knows meanwhile is written on to by whoever brought it there.
        (starving && self.room().find(&self.position).is_none()).then(|| ReadOn {
            room: Arc::clone(self.room()),
            from: self.position.clone(),
            deletions: self.room().deletions(),
        })
    }

    /// Whether the membership still stands where the page was asked for.
    pub fn awaits(&self, read: &ReadOn) -> bool {
        Arc::ptr_eq(self.room(), &read.room)
            && self.position == read.from
            && self.replay.as_ref().is_some_and(|frames| frames.is_empty())
    }

    /// Takes in what was read; `stands` is another name for the same place, when nothing was.
    pub fn replay(&mut self, read: &ReadOn, frames: VecDeque<Frame>, stands: Option<Position>) {
        if let Some(stands) = stands {
            self.position = stands;
        }
        self.replay = Some(Box::new(frames));
        self.deletions = read.deletions;
    }

    /// Finds the position's place in the tail; false if the log must be read. Whoever may have missed what is not logged,
    /// if there was any, is told first how it stands now.
    fn attach(&mut self) -> bool {
        let place = |tail: &Tail| Some((tail.find(&self.position)?, tail.era(), tail.told()));
        let Some((index, era, told)) = self.room().with_tail(place) else { return false };
        if std::mem::take(&mut self.missed) && told > self.since {
            self.deletions = self.room().deletions();
            // Before it is asked: what comes behind that is told in its place.
            self.since = self.room().end();
            let news = self.room().roster.news(&self.room().name);
            if !news.is_empty() {
                self.replay = Some(Box::new(news.iter().map(|text| ephemeral_frame(text)).collect()));
                return true;
            }
        }
        (self.index, self.era) = (index, era);
        self.replay = None;
        true
    }

    /// Whether nothing waits, in the tail or in a replay.
    pub(super) fn is_level(&self) -> bool {
        self.replay.is_none() && self.index == self.room().end()
    }

    /// Whether the whole batch can go out as it is.
    pub(super) fn takes(&self, batch: &Batch) -> bool {
        let plain = self.replay.is_none() && self.instead.is_empty() && self.since <= batch.from;
        plain && batch.fits(self.index, self.position.seq)
    }

    /// Adds what waits from the replay or the tail, frame by frame; says whether the log must be read first.
    pub(super) fn gather(&mut self, number: usize, pieces: &mut Vec<Piece>) -> bool {
        if self.deletions != self.room().deletions()
            && let Some(frames) = &mut self.replay
        {
            // It may hold what is gone from the log since.
            self.missed |= frames.iter().any(|frame| frame.mark == Mark::Ephemeral);
            frames.clear();
        }
        if self.replay.as_ref().is_some_and(|frames| frames.is_empty()) {
            self.attach();
        }
        if let Some(frames) = &self.replay {
            self.add_pieces(number, None, frames.iter(), pieces);
            return frames.is_empty();
        }
        if self.index == self.room().end() {
            return false;
        }
        let covered = self.room().with_tail(|tail| {
            let frames = tail.since(self.index, self.era);
            frames.map(|frames| self.add_pieces(number, Some(self.index), frames, pieces)).is_some()
        });
        if !covered {
            // The run's front has passed this cursor: the log goes on from the position.
            self.replay = Some(Box::default());
            self.missed = true;
        }
        !covered
    }

    /// Adds the pieces that frames make for this reader: itself, what goes in its place, or nothing when the
    /// reader, having read ahead in the log, has seen it, or when it is old news. Frames of the tail have an index.
    fn add_pieces<'a>(
        &self,
        number: usize,
        first: Option<u64>,
        frames: impl Iterator<Item = &'a Frame>,
        pieces: &mut Vec<Piece>,
    ) {
        let mut seen = self.position.seq;
        let mut owed = self.instead.as_slice();
        for (offset, frame) in (0..).zip(frames.take(PIECES - pieces.len())) {
            let bytes = match &frame.mark {
                Mark::Event(position) if position.seq <= seen => Bytes::new(),
                Mark::Event(position) => {
                    seen = position.seq;
                    let instead = owed.iter().find(|(seq, _)| *seq == seen);
                    instead.map_or_else(|| frame.bytes.clone(), |(_, instead)| instead.placed.clone())
                }
                Mark::Reset(position) => {
                    seen = position.seq;
                    // What has their numbers from here on is not what they are owed for.
                    owed = &[];
                    frame.bytes.clone()
                }
                Mark::Ephemeral if first.is_some_and(|first| first + offset < self.since) => Bytes::new(),
                Mark::Ephemeral => frame.bytes.clone(),
            };
            pieces.push(Piece { bytes, source: Source::Frame(number, frame.mark.clone()) });
        }
    }

    /// Moves past one frame. Gives what that delivered, and what can no longer go out in an event's place.
    pub(super) fn pass(&mut self, mark: &Mark) -> (Sent, Vec<Bytes>) {
        let old_news = self.replay.is_none() && self.index < self.since;
        match &mut self.replay {
            Some(frames) => drop(frames.pop_front()),
            None => self.index += 1,
        }
        match mark {
            Mark::Event(position) if position.seq <= self.position.seq => (Sent::default(), Vec::new()),
            Mark::Event(position) => {
                self.position.clone_from(position);
                let replaced = self.instead.iter().position(|(seq, _)| *seq == position.seq);
                replaced.map(|index| self.instead.swap_remove(index));
                (Sent { frames: 1, events: u64::from(replaced.is_none()) }, Vec::new())
            }
            Mark::Reset(position) => {
                self.position.clone_from(position);
                (Sent { frames: 1, events: 0 }, self.owed().collect())
            }
            Mark::Ephemeral => (Sent { frames: u64::from(!old_news), events: 0 }, Vec::new()),
        }
    }

    /// Moves past the frames of a batch of which `taken` bytes were written. Gives what that delivered, and
    /// where the last frame that was begun ends.
    pub(super) fn pass_batch(&mut self, batch: &Batch, taken: usize) -> (Sent, usize) {
        if taken == batch.bytes.len() {
            self.index = batch.to;
            if let Some(position) = &batch.position {
                self.position.clone_from(position);
            }
            return (Sent { frames: batch.to - batch.from, events: batch.events }, taken);
        }
        let mut sent = Sent::default();
        let mut begun = 0;
        for (end, mark) in &batch.cuts {
            if begun >= taken {
                break;
            }
            // A batch goes out as it is only to whoever has nothing in an event's place: none can be late.
            sent += self.pass(mark).0;
            begun = *end;
        }
        (sent, begun)
    }
}
