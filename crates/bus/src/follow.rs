//! The tracker of one followed room: what makes a lossy channel and a log into every event, once, in order.
//!
//! It is a state machine without I/O or a clock: events from the channel, pages read from the log and observations
//! of the head go in, events for the follower and resets come out, and [`Tracker::begin_read`] says when the log
//! must be read. Whoever drives it reads from the position it names and gives back what came, or that nothing did.
//!
//! ```text
//!            event is next: deliver
//!            ┌───┐      hole, unknown epoch, head that does not fit
//! Starting ─►│Level├──────────────────────────────► Wanted ─┐ begin_read
//!            └───┘◄── page reached the head ── Reading ◄────┘
//!                                              │    ▲
//!                     failed, or there is more └────┘
//! ```
//! While it is not level, events from the channel are held, and are looked at again when the log has been read:
//! one that was there before the read began and that the log knows nothing of was never in this log.

use std::collections::{HashSet, VecDeque};

use proto::{Epoch, Position, server::ResetReason};

use crate::{
    LogEvent, Verdict,
    epoch::{self, Head},
};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

/// Events that are held at most while the log is read; beyond, they are read from the log like the rest.
const HELD_EVENTS: usize = 1024;

/// Bytes of bodies that are held at most.
const HELD_BYTES: usize = 1024 * 1024;

/// A part of a log, read at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) head: Head,
    /// The oldest event that is left; one above the head when none is.
    pub(crate) first: u64,
    /// Where the read began: behind this number.
    pub(crate) after: u64,
    /// Events behind `after`, ascending.
    pub(crate) events: Vec<LogEvent>,
}

/// What the follower is to be told, and what is to be counted.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) steps: Vec<Step>,
    /// Events that came from the log because the channel had lost them.
    pub(crate) filled: u64,
    /// Events that were refused: from a server that was cut off, or never in this log.
    pub(crate) stale: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Event(LogEvent),
    Reset(Position, ResetReason),
}

impl Step {
    /// Where the follower stands after it.
    pub(crate) fn position(&self) -> &Position {
        match self {
            Self::Event(event) => &event.position,
            Self::Reset(to, _) => to,
        }
    }
}

/// A head as somebody saw it.
#[derive(Debug)]
pub(crate) struct Observation<'a> {
    /// None when the room has no head any more.
    pub(crate) head: Option<&'a Position>,
    /// What the head's `seq` must be at least if no fork happened: the tail *as it was before the request*.
    pub(crate) least: u64,
    /// Whether events may have been lost just now, so that a head ahead is a hole and not only an event under way.
    pub(crate) eager: bool,
}

#[derive(Debug)]
pub(crate) struct Tracker {
    state: State,
    /// The log as it was seen so far: its lineage, and the tail as its `seq`.
    seen: Head,
    /// The tail's epoch, and the last `seq` that can have it.
    epoch: Epoch,
    epoch_ends: u64,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Whether events were dropped, or may have been lost, since the last read began: another one is needed.
    overflowed: bool,
    /// How many reads have begun.
    reads: u64,
    suspicion: Option<Suspicion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Level,
    Wanted,
    Reading,
}

#[derive(Debug)]
struct Held {
    event: LogEvent,
    /// How many reads had begun when it came.
    reads: u64,
}

/// Something that may be a hole, or an event under way.
#[derive(Clone, Copy, Debug)]
struct Suspicion {
    /// It was nothing when the tail reaches this.
    settled_at: u64,
    /// How many reads had begun: a later one settles it in any case.
    reads: u64,
    /// Whether a tick has passed since.
    old: bool,
}

enum Class {
    Next,
    Duplicate,
    /// Of this log, but from a server that was cut off from it.
    Stale,
    /// Of an older generation that was never seen: most probably stale, but an older snapshot looks the same.
    Older,
    /// Something is missing before it; or it is of a log or a generation that is new.
    Ahead,
}

impl Tracker {
    /// A tracker that holds what comes until it is [started](Self::started).
    pub(crate) fn new() -> Self {
        let seen = Head::none();
        Self {
            state: State::Starting,
            epoch: seen.position().epoch,
            seen,
            epoch_ends: u64::MAX,
            held: VecDeque::new(),
            held_bytes: 0,
            overflowed: false,
            reads: 0,
            suspicion: None,
        }
    }

    /// The room is followed from `head` on, which was read after the channel was subscribed to.
    pub(crate) fn started(&mut self, head: Head, out: &mut Outcome) {
        self.seen = head;
        self.tail_moved();
        self.settle(out);
    }

    /// The `seq` of the last event that was handed on, once it is started.
    pub(crate) fn tail(&self) -> u64 {
        self.seen.seq
    }

    /// The epoch that the next event most probably has, so that its text need not be made an [`Epoch`] again.
    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Whether the log must be read: see [`begin_read`](Self::begin_read).
    pub(crate) fn wants_read(&self) -> bool {
        self.state == State::Wanted
    }

    /// Whether it waits for something that [`tick`](Self::tick) will settle.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.suspicion.is_some()
    }

    /// An event came over the channel.
    pub(crate) fn event(&mut self, event: LogEvent, out: &mut Outcome) {
        if self.state != State::Level {
            return self.hold(event);
        }
        match self.classify(&event) {
            Class::Next => self.deliver(event, out),
            Class::Duplicate => {}
            Class::Stale => out.stale += 1,
            Class::Older => self.doubt(out),
            Class::Ahead => {
                self.state = State::Wanted;
                self.hold(event);
            }
        }
    }

    /// Where to read from, when the log must be read: behind this number. The answer goes to
    /// [`page`](Self::page) or [`read_failed`](Self::read_failed).
    pub(crate) fn begin_read(&mut self) -> Option<u64> {
        if self.state != State::Wanted {
            return None;
        }
        self.state = State::Reading;
        self.reads += 1;
        // What was dropped until now is in what will be read.
        self.overflowed = false;
        Some(self.seen.seq)
    }

    /// The log could not be read. It still must be.
    pub(crate) fn read_failed(&mut self) {
        if self.state == State::Reading {
            self.state = State::Wanted;
        }
    }

    /// The log was read.
    pub(crate) fn page(&mut self, slice: Slice, out: &mut Outcome) {
        if self.state != State::Reading {
            return;
        }
        let verdict = epoch::judge_with_lineage(&self.seen, &slice.head, slice.first);
        let head = slice.head.seq;
        self.seen = Head { seq: self.seen.seq, ..slice.head };
        if let Verdict::Reset { to, reason } = verdict {
            self.reset(to, reason, out);
        }
        self.suspicion = self.suspicion.filter(|suspicion| suspicion.reads >= self.reads);
        // After a reset to a place before the page, the page is not what follows.
        if slice.after <= self.seen.seq {
            self.take_page(slice.events, head, out);
        }
        self.tail_moved();
        if self.seen.seq < head || self.overflowed {
            self.state = State::Wanted;
        } else {
            self.settle(out);
        }
    }

    /// Something went wrong in here: whatever was held is read from the log, like all that may have been forgotten.
    pub(crate) fn distrust(&mut self) {
        self.held = VecDeque::new();
        self.held_bytes = 0;
        match self.state {
            State::Level => self.state = State::Wanted,
            State::Starting | State::Wanted | State::Reading => self.overflowed = true,
        }
    }

    /// Somebody saw the head.
    pub(crate) fn observe(&mut self, observed: &Observation<'_>) {
        if self.state != State::Level {
            // A read that is under way may be older than this.
            self.overflowed |= observed.eager;
            if let Some(head) = observed.head {
                self.suspect(head.seq);
            }
            return;
        }
        let Some(head) = observed.head else {
            self.state = State::Wanted;
            return;
        };
        let (base, generation) = epoch::split(&head.epoch);
        let same_server = *base == *self.seen.base && generation == self.seen.lineage.last();
        if !same_server || head.seq < observed.least || (observed.eager && head.seq > self.seen.seq) {
            self.state = State::Wanted;
        } else if head.seq > self.seen.seq {
            self.suspect(head.seq);
        }
    }

    /// A probe's time has passed: what was suspected before it and has not come is a hole.
    pub(crate) fn tick(&mut self) {
        let Some(suspicion) = &mut self.suspicion else { return };
        if suspicion.settled_at <= self.seen.seq {
            self.suspicion = None;
        } else if !suspicion.old {
            suspicion.old = true;
        } else if self.state == State::Level {
            self.state = State::Wanted;
        }
    }

    fn classify(&self, event: &LogEvent) -> Class {
        let Position { epoch, seq } = &event.position;
        let tail = self.seen.seq;
        if *epoch == self.epoch {
            if *seq > self.epoch_ends {
                return Class::Stale;
            }
        } else {
            let (base, generation) = epoch::split(epoch);
            if *base != *self.seen.base {
                return Class::Ahead;
            }
            if !self.seen.lineage.lists(generation) {
                let newest = epoch::number(self.seen.lineage.last());
                return if epoch::number(generation) < newest { Class::Older } else { Class::Ahead };
            }
            if self.seen.at(*seq).epoch != *epoch {
                return Class::Stale;
            }
        }
        if *seq <= tail {
            Class::Duplicate
        } else if *seq == tail + 1 {
            Class::Next
        } else {
            Class::Ahead
        }
    }

    fn deliver(&mut self, event: LogEvent, out: &mut Outcome) {
        self.seen.seq = event.position.seq;
        if event.position.epoch != self.epoch {
            self.tail_moved();
        }
        if self.suspicion.is_some_and(|suspicion| suspicion.settled_at <= self.seen.seq) {
            self.suspicion = None;
        }
        out.steps.push(Step::Event(event));
    }

    fn reset(&mut self, to: Position, reason: ResetReason, out: &mut Outcome) {
        self.seen.seq = to.seq;
        out.steps.push(Step::Reset(to, reason));
    }

    fn take_page(&mut self, events: Vec<LogEvent>, head: u64, out: &mut Outcome) {
        let after = self.seen.seq;
        let found_nothing = events.is_empty();
        let came_too: HashSet<u64> = self.held.iter().map(|held| held.event.position.seq).collect();
        for event in events {
            let seq = event.position.seq;
            if seq <= self.seen.seq {
                continue;
            }
            if seq > self.seen.seq + 1 {
                // A log has no holes but those that somebody made by hand.
                self.reset(self.seen.at(seq - 1), ResetReason::Trimmed, out);
            }
            self.seen.seq = seq;
            out.filled += u64::from(!came_too.contains(&seq));
            out.steps.push(Step::Event(event));
        }
        if found_nothing && after < head {
            self.reset(self.seen.at(head), ResetReason::Trimmed, out);
        }
    }

    /// Looks at what was held. What came before the last read began, and neither follows nor is known now, will
    /// never be; what came later may need another read.
    fn settle(&mut self, out: &mut Outcome) {
        if self.overflowed {
            self.state = State::Wanted;
            return;
        }
        self.state = State::Level;
        while let Some(held) = self.held.pop_front() {
            self.held_bytes -= held.event.body.len();
            match self.classify(&held.event) {
                Class::Next => self.deliver(held.event, out),
                Class::Duplicate => {}
                Class::Stale => out.stale += 1,
                Class::Older => self.doubt(out),
                Class::Ahead if held.reads < self.reads => out.stale += 1,
                Class::Ahead => {
                    self.held_bytes += held.event.body.len();
                    self.held.push_front(held);
                    self.state = State::Wanted;
                    return;
                }
            }
        }
        self.held = VecDeque::new();
    }

    fn hold(&mut self, event: LogEvent) {
        if self.overflowed {
            return;
        }
        if self.held.len() >= HELD_EVENTS || self.held_bytes + event.body.len() > HELD_BYTES {
            self.held = VecDeque::new();
            self.held_bytes = 0;
            self.overflowed = true;
            return;
        }
        self.held_bytes += event.body.len();
        self.held.push_back(Held { event, reads: self.reads });
    }

    fn doubt(&mut self, out: &mut Outcome) {
        out.stale += 1;
        self.suspect(u64::MAX);
    }

    /// The first suspicion stays until it is settled: one that moved on with each observation never would be.
    fn suspect(&mut self, settled_at: u64) {
        if self.suspicion.is_none_or(|suspicion| suspicion.settled_at <= self.seen.seq) {
            self.suspicion = Some(Suspicion { settled_at, reads: self.reads, old: false });
        }
    }

    /// Finds the tail's epoch again.
    fn tail_moved(&mut self) {
        self.epoch = self.seen.at(self.seen.seq).epoch;
        self.epoch_ends = self.seen.lineage.end_of(self.seen.seq).unwrap_or(u64::MAX);
    }
}
