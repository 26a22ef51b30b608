//! Who sends what when.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::plan::Phase;
use crate::stamp::Stamp;

/// The senders of a worker, and what is due.
#[derive(Debug)]
pub struct Schedule {
    senders: Vec<u32>,
    rooms: u32,
    /// How many messages each sender has sent, over all phases.
    numbers: FxHashMap<u32, u64>,
    phase: Phase,
    /// Messages a second of this worker.
    rate: f64,
    /// How many of this phase's have been due.
    passed: u64,
    /// With a closed loop: senders that may send, and since when.
    free: Option<VecDeque<(u32, u64)>>,
    /// Messages to each room in this phase; none once they were told.
    sent: Option<Vec<u64>>,
}

impl Schedule {
    /// Nothing is due.
    pub fn new(senders: Vec<u32>, rooms: u32) -> Self {
        let phase = Phase { number: 0, start: 0, rate: 0.0, seconds: 0.0, drain: 0.0, storm: false };
        let numbers = FxHashMap::default();
        Self { senders, rooms, numbers, phase, rate: 0.0, passed: 0, free: None, sent: None }
    }

    /// How many senders there are.
    pub fn senders(&self) -> usize {
        self.senders.len()
    }

    /// The number of the phase that is on, or was.
    pub fn phase(&self) -> u32 {
        self.phase.number
    }

    /// Begins a phase with a share of its rate, or with all senders in a closed loop.
    pub fn begin(&mut self, phase: Phase, share: f64, closed_loop: bool) {
        self.phase = phase;
        self.rate = phase.rate * share;
        self.passed = 0;
        self.sent = Some(vec![0; self.rooms as usize]);
        let free = self.senders.iter().map(|sender| (*sender, phase.start));
        self.free = closed_loop.then(|| free.collect());
    }

    fn end(&self) -> u64 {
        self.phase.start + nanoseconds(self.phase.seconds)
    }

    /// When it is no longer waited for what did not come.
    pub fn drained(&self) -> u64 {
        self.end() + nanoseconds(self.phase.drain)
    }

    /// When the next message is due, if one is.
    pub fn next_due(&self) -> Option<u64> {
        self.sent.as_ref()?;
        let due = match &self.free {
            Some(free) => free.front()?.1,
            None if self.rate > 0.0 && !self.senders.is_empty() => {
                self.phase.start + nanoseconds(self.passed as f64 / self.rate)
            }
            None => return None,
        };
        (due < self.end()).then_some(due)
    }

    /// The next message, if it is due by now.
    pub fn due(&mut self, now: u64) -> Option<Stamp> {
        let due = self.next_due().filter(|due| *due <= now)?;
        let sender = match &mut self.free {
            Some(free) => free.pop_front()?.0,
            None => self.senders[(self.passed % self.senders.len() as u64) as usize],
        };
        self.passed += 1;
        let number = self.numbers.get(&sender).map_or(1, |last| last + 1);
        Some(Stamp { due, phase: self.phase.number, room: sender % self.rooms, sender, number })
    }

    /// It was sent.
    pub fn sent(&mut self, stamp: &Stamp) {
        self.numbers.insert(stamp.sender, stamp.number);
        if let Some(sent) = &mut self.sent {
            sent[stamp.room as usize] += 1;
        }
    }

    /// A sender's own message came back to it: in a closed loop it may send again.
    pub fn returned(&mut self, stamp: &Stamp, now: u64) {
        if let Some(free) = &mut self.free {
            free.push_back((stamp.sender, now));
        }
    }

    /// How many messages went to each room, once, when the phase's time is over.
    pub fn ended(&mut self, now: u64) -> Option<Vec<u64>> {
        if now < self.end() { None } else { self.sent.take() }
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    Duration::from_secs_f64(seconds).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(rate: f64) -> Phase {
        Phase { number: 1, start: 1_000, rate, seconds: 1.0, drain: 1.0, storm: false }
    }

    #[test]
    fn messages_are_due_on_time_however_late_one_looks() {
        let mut schedule = Schedule::new(vec![4, 5], 2);
        schedule.begin(phase(4.0), 0.5, false);
        assert_eq!(schedule.next_due(), Some(1_000));
        let mut all = Vec::new();
        // Half a second late: both are due, each at its own time.
        while let Some(stamp) = schedule.due(500_001_000) {
            schedule.sent(&stamp);
            all.push((stamp.sender, stamp.room, stamp.number, stamp.due));
        }
        assert_eq!(all, [(4, 0, 1, 1_000), (5, 1, 1, 500_001_000)]);
        assert_eq!(schedule.due(2_000_000_000), None, "the phase is over");
        assert_eq!(schedule.ended(1_000_001_000), Some(vec![1, 1]));
        assert_eq!(schedule.ended(1_000_001_000), None, "told once");
    }

    #[test]
    fn a_closed_loop_sends_again_when_its_own_message_came_back() {
        let mut schedule = Schedule::new(vec![3], 1);
        schedule.begin(phase(0.0), 1.0, true);
        let stamp = schedule.due(1_000).expect("everyone begins at once");
        schedule.sent(&stamp);
        assert_eq!(schedule.due(5_000), None);
        schedule.returned(&stamp, 6_000);
        assert_eq!(schedule.due(7_000).map(|next| (next.number, next.due)), Some((2, 6_000)));
    }
}
