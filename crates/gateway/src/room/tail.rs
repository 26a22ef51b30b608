//! The tail of a room: its last frames, encoded once, as one run.
//!
//! Every frame that ever entered the run has an *index*, one above the one before. A member that is level or only
//! a little behind is an index into the run; one that fell off its front reads on from the log, by its position.

mod redaction;
#[cfg(test)]
mod tests;

pub use redaction::target_of_deletion;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bus::TraceContext;
use bytes::Bytes;
use proto::Position;

/// The index of a tail's first frame; those below are for what is read back from the log.
pub(super) const FIRST_INDEX: u64 = 1 << 40;

/// What a frame of the run means for its readers' position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A logged event: whoever got it stands there.
    Event(Position),
    /// A `reset`: whoever got it stands there, and what it saw beyond is gone.
    Reset(Position),
    /// Not logged: it moves nobody, and may be left out.
    Ephemeral,
}

/// A frame of the run: the bytes for the socket, shared by all members.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The whole WebSocket frame.
    pub bytes: Bytes,
    /// What it means.
    pub mark: Mark,
    /// When an event's sender sent it, in milliseconds since 1970; none for what is no event.
    pub sent_at: Option<u64>,
    /// The span that relayed it, if it is traced.
    pub trace: Option<Box<TraceContext>>,
}

/// The last frames of a room, bounded in bytes and age.
#[derive(Debug)]
pub struct Tail {
    frames: VecDeque<(Frame, Instant)>,
    /// The index of the oldest frame that is left.
    front: u64,
    /// How often it was made to reach back, which gives indices to other frames than had them.
    era: u32,
    /// Frames below this index may have been others in an earlier era.
    reused: u64,
    bytes: usize,
    /// The index behind the newest frame that is not logged.
    told: u64,
    /// Where somebody stands who has yet to get the oldest frame.
    before: Position,
    /// Where somebody stands who got everything.
    head: Position,
}

/// What came to a room since its last flush, in one piece for those who are level.
#[derive(Debug)]
pub struct Batch {
    /// The index of the first frame in it.
    pub from: u64,
    /// The index behind the last.
    pub to: u64,
    /// All the frames, one behind the other.
    pub bytes: Bytes,
    /// Where each frame ends in `bytes`, and what it means.
    pub cuts: Vec<(usize, Mark)>,
    /// The number of logged events.
    pub events: u64,
    /// When they were sent, in milliseconds since 1970.
    pub sent_at: Vec<u64>,
    /// The spans that relayed those that are traced.
    pub traces: Vec<TraceContext>,
    /// The first event's `seq`; none when the batch holds a reset, so that each member must look for itself.
    pub first_seq: Option<u64>,
    /// Where everyone stands who got the batch; none if nothing in it is logged.
    pub position: Option<Position>,
}

impl Tail {
    /// An empty tail that begins at `head`.
    pub fn new(head: Position) -> Self {
        Self::starting(head, FIRST_INDEX)
    }

    /// The same, with a first index.
    pub fn starting(head: Position, front: u64) -> Self {
        Self {
            frames: VecDeque::new(),
            front,
            era: 0,
            reused: 0,
            bytes: 0,
            told: 0,
            before: head.clone(),
            head,
        }
    }

    /// Where somebody stands who got everything.
    pub fn head(&self) -> &Position {
        &self.head
    }

    /// Where somebody stands who has yet to get the oldest frame.
    pub fn before(&self) -> &Position {
        &self.before
    }

    /// The index of the oldest frame that is left.
    pub fn front(&self) -> u64 {
        self.front
    }

    /// The index behind the newest frame.
    pub fn end(&self) -> u64 {
        self.front + self.frames.len() as u64
    }

    /// The index behind the newest frame that is not logged, whether it is still here or not.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// The bytes of all frames.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of the newest frame.
    pub fn newest_bytes(&self) -> usize {
        self.frames.back().map_or(0, |(frame, _)| frame.bytes.len())
    }

    /// Appends a frame.
    pub fn push(&mut self, frame: Frame, now: Instant) {
        if let Mark::Event(position) | Mark::Reset(position) = &frame.mark {
            self.head.clone_from(position);
        }
        self.bytes += frame.bytes.len();
        let is_logged = frame.mark != Mark::Ephemeral;
        self.frames.push_back((frame, now));
        if !is_logged {
            self.told = self.end();
        }
    }

    /// Puts events in front of the oldest frame, for readers who stand at `from`. False, and nothing is done, unless
    /// the last of them is what the tail so far follows on.
    pub fn reach_back(&mut self, from: Position, mut events: Vec<Frame>, now: Instant) -> bool {
        // The tail may have been trimmed, and may have moved on, while they were read.
        let seq_of = |frame: &Frame| match &frame.mark {
            Mark::Event(position) => position.seq,
            Mark::Reset(_) | Mark::Ephemeral => u64::MAX,
        };
        events.retain(|frame| seq_of(frame) <= self.before.seq);
        let joins = events.last().is_some_and(|frame| frame.mark == Mark::Event(self.before.clone()))
            && !self.strays(0, self.before.seq);
        if !joins || self.front < events.len() as u64 {
            return false;
        }
        self.before = from;
        self.era = self.era.wrapping_add(1);
        self.reused = self.reused.max(self.front);
        self.front -= events.len() as u64;
        for frame in events.into_iter().rev() {
            self.bytes += frame.bytes.len();
            self.frames.push_front((frame, now));
        }
        true
    }

    /// Drops the oldest frames until at most `max_bytes` are left and none is older than `max_age`.
    pub fn trim(&mut self, max_bytes: usize, max_age: Duration, now: Instant) {
        while let Some((frame, pushed)) = self.frames.front() {
            if self.bytes <= max_bytes && now.duration_since(*pushed) <= max_age {
                break;
            }
            self.bytes -= frame.bytes.len();
            if let Mark::Event(position) | Mark::Reset(position) = &frame.mark {
                self.before = position.clone();
            }
            self.front += 1;
            self.frames.pop_front();
        }
        if self.frames.is_empty() {
            self.frames.shrink_to_fit();
        }
    }

    /// Drops what is not logged from the front, up to an index to which every reader has come; gives how many bytes that
    /// were. In a quiet room nothing else would push it out for a long time, and nobody asks for it again: whoever came
    /// later was told otherwise.
    pub fn forget_ephemeral(&mut self, below: u64) -> usize {
        let before = self.bytes;
        while self.front < below
            && let Some((Frame { bytes, mark: Mark::Ephemeral, .. }, _)) = self.frames.front()
        {
            self.bytes -= bytes.len();
            self.front += 1;
            self.frames.pop_front();
        }
        if self.frames.is_empty() {
            self.frames.shrink_to_fit();
        }
        before - self.bytes
    }

    /// Counts how often indices were given to other frames.
    pub fn era(&self) -> u32 {
        self.era
    }

    /// The frames from an index on that was found in an era; none if the run no longer holds them all.
    pub fn since(&self, index: u64, era: u32) -> Option<impl Iterator<Item = &Frame>> {
        let holds = index >= self.reused || era == self.era;
        let skip = index.checked_sub(self.front).filter(|_| holds)?;
        Some(self.frames.iter().skip(skip as usize).map(|(frame, _)| frame))
    }

    /// The index of the next frame for whoever stands at `position`; none if the tail can't tell, or has what is gone
    /// from the log since.
    ///
    /// Somebody may be ahead, having read an event from the log that has yet to come here: its place is the end.
    pub fn find(&self, position: &Position) -> Option<u64> {
        if position.epoch == self.head.epoch && position.seq > self.head.seq {
            return Some(self.end());
        }
        let stands = |frame: &Frame| match &frame.mark {
            Mark::Event(at) | Mark::Reset(at) => at == position,
            Mark::Ephemeral => false,
        };
        let next = match self.frames.iter().rposition(|(frame, _)| stands(frame)) {
            Some(offset) => offset + 1,
            None if *position == self.before => 0,
            None => return None,
        };
        (!self.strays(next, position.seq)).then_some(self.front + next as u64)
    }

    /// Whether whoever stands at `seq`, before an offset of the run, stands on what is gone since, or would go through it
    /// from there. Those who went there at the time were told that it was in vain; nobody else need go, and who comes back
    /// from there is told by the log what has become of its place.
    fn strays(&self, offset: usize, seq: u64) -> bool {
        let mut last = seq;
        self.frames.iter().skip(offset).any(|(frame, _)| match &frame.mark {
            Mark::Event(at) => {
                last = at.seq;
                false
            }
            Mark::Reset(to) => {
                let in_vain = to.seq < last;
                last = to.seq;
                in_vain
            }
            Mark::Ephemeral => false,
        })
    }

    /// The position just before the last `count` events, if the tail holds them all without a reset between.
    pub fn recent(&self, count: u64) -> Option<Position> {
        if count == 0 {
            return Some(self.head.clone());
        }
        let mut wanted = count;
        let mut marks = self.frames.iter().rev().map(|(frame, _)| &frame.mark);
        while let Some(mark) = marks.next() {
            match mark {
                Mark::Event(_) if wanted == 1 => {
                    return Some(last_position(marks).unwrap_or_else(|| self.before.clone()));
                }
                Mark::Event(_) => wanted -= 1,
                Mark::Reset(_) => return None,
                Mark::Ephemeral => {}
            }
        }
        // A log that began here has no more than what the tail holds.
        (self.before.seq == 0).then(|| self.before.clone())
    }

    /// What came from an index on, at most `max_bytes` of it but one frame at least.
    pub fn batch(&self, from: u64, max_bytes: usize) -> Option<Batch> {
        let from = from.max(self.front);
        let mut frames = Vec::new();
        let mut length = 0;
        for frame in self.since(from, self.era)? {
            if !frames.is_empty() && length + frame.bytes.len() > max_bytes {
                break;
            }
            length += frame.bytes.len();
            frames.push(frame);
        }
        if frames.is_empty() { None } else { Some(Batch::of(from, &frames, length)) }
    }
}

/// Where the first of these marks that moves a reader leaves it.
fn last_position<'a>(mut marks: impl Iterator<Item = &'a Mark>) -> Option<Position> {
    marks.find_map(|mark| match mark {
        Mark::Event(position) | Mark::Reset(position) => Some(position.clone()),
        Mark::Ephemeral => None,
    })
}

impl Batch {
    fn of(from: u64, frames: &[&Frame], length: usize) -> Self {
        let bytes = match frames {
            [only] => only.bytes.clone(),
            _ => {
                let mut bytes = Vec::with_capacity(length);
                frames.iter().for_each(|frame| bytes.extend_from_slice(&frame.bytes));
                bytes.into()
            }
        };
        let mut batch = Self {
            from,
            to: from + frames.len() as u64,
            bytes,
            cuts: Vec::with_capacity(frames.len()),
            events: 0,
            sent_at: Vec::new(),
            traces: Vec::new(),
            first_seq: None,
            position: None,
        };
        let mut end = 0;
        let mut reset = false;
        for frame in frames {
            end += frame.bytes.len();
            batch.cuts.push((end, frame.mark.clone()));
            batch.sent_at.extend(frame.sent_at);
            batch.traces.extend(frame.trace.as_deref());
            match &frame.mark {
                Mark::Event(position) => {
                    batch.events += 1;
                    batch.first_seq.get_or_insert(position.seq);
                    batch.position = Some(position.clone());
                }
                Mark::Reset(_) => reset = true,
                Mark::Ephemeral => {}
            }
        }
        if reset {
            batch.first_seq = None;
        }
        batch
    }

    /// Whether whoever stands at this index and `seq` may take the batch as it is.
    pub fn fits(&self, index: u64, seq: u64) -> bool {
        index == self.from && self.first_seq.is_some_and(|first| seq < first)
    }
}
