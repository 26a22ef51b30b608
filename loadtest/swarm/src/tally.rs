//! What a worker has seen: latencies, and whether each message came once, in order, to whom it was for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::stamp::Stamp;

/// A minute, in microseconds: longer is counted as this.
const LONGEST: u64 = 60_000_000;

/// What one phase came to, in one worker or in all.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Counts {
    /// Messages that were sent.
    pub sent: u64,
    /// How many of them should come to the prompt readers of this worker.
    pub expected: u64,
    /// How many did.
    pub delivered: u64,
    /// Numbers that were skipped and did not come.
    pub missing: u64,
    /// Messages that came after a later one.
    pub disordered: u64,
    /// Messages that came again.
    pub repeated: u64,
    /// Messages of rooms that the receiver is not in.
    pub astray: u64,
    /// Deliveries of an earlier phase, that came too late to be counted there.
    pub late: u64,
    /// Deliveries to slow readers.
    pub to_slow: u64,
    /// Connections that the server closed, or that failed.
    pub closed: u64,
    /// Why, in the words of the first one.
    pub first_close: Option<String>,
    /// Joins that the server put off, and that were tried again when it said.
    #[serde(default)]
    pub put_off: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Reads that brought something: how often the kernel was asked for deliveries.
    pub reads: u64,
    /// How long sending fell behind its schedule at most, in microseconds: what the load generator itself adds.
    pub behind_us: u64,
    /// How long it took until all that were cut were back, in seconds; 0 without a storm.
    pub back_s: f64,
    /// CPU time of this process in the phase, in seconds.
    pub cpu_s: f64,
}

impl Counts {
    /// Messages that did not come, or not once, in order, to whom they were for.
    pub fn wrong(&self) -> u64 {
        self.missing + self.disordered + self.repeated + self.astray
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.missing += other.missing;
        self.disordered += other.disordered;
        self.repeated += other.repeated;
        self.astray += other.astray;
        self.late += other.late;
        self.to_slow += other.to_slow;
        self.closed += other.closed;
        self.first_close = self.first_close.take().or_else(|| other.first_close.clone());
        self.put_off += other.put_off;
        self.bytes += other.bytes;
        self.reads += other.reads;
        self.behind_us = self.behind_us.max(other.behind_us);
        self.back_s = self.back_s.max(other.back_s);
        self.cpu_s += other.cpu_s;
    }
}

/// What a message's number shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So many are missing before it: none, as a rule.
    After(u64),
    /// It was missing, and comes after a later one.
    Disordered,
    /// It has come before.
    Repeated,
}

/// The numbers that one connection has had of each sender, by room and sender: the last, and how many are missing.
#[derive(Debug, Default)]
pub struct Order(FxHashMap<(u32, u32), (u64, u64)>);

impl Order {
    /// Takes the next one down. With several missing, one that comes again is taken for one of them.
    pub fn next(&mut self, stamp: &Stamp) -> Next {
        let (last, missing) = self.0.entry((stamp.room, stamp.sender)).or_default();
        if let Some(skipped) = stamp.number.checked_sub(*last + 1) {
            *last = stamp.number;
            *missing += skipped;
            Next::After(skipped)
        } else if *missing > 0 {
            *missing -= 1;
            Next::Disordered
        } else {
            Next::Repeated
        }
    }
}

/// Latencies in microseconds, to three digits.
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the bounds are constants, and good")]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("good bounds")
}

/// Puts a histogram on a line of text.
pub fn pack(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Writing to memory does not fail, and three digits of a minute fit.
    let _ = V2Serializer::new().serialize(histogram, &mut bytes);
    STANDARD.encode(bytes)
}

/// Takes it off.
///
/// # Errors
/// When it is not one.
pub fn unpack(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(room: u32, sender: u32, number: u64) -> Stamp {
        Stamp { due: 0, phase: 0, room, sender, number }
    }

    #[test]
    fn a_gap_a_repeat_and_a_swap_are_seen_by_room_and_sender() {
        let mut order = Order::default();
        let mut next = |room, sender, number| order.next(&stamp(room, sender, number));
        assert_eq!(next(1, 1, 1), Next::After(0));
        assert_eq!(next(1, 2, 1), Next::After(0));
        assert_eq!(next(2, 1, 1), Next::After(0));
        assert_eq!(next(1, 1, 4), Next::After(2));
        assert_eq!(next(1, 1, 3), Next::Disordered);
        assert_eq!(next(1, 1, 2), Next::Disordered);
        assert_eq!(next(1, 1, 4), Next::Repeated);
        assert_eq!(next(1, 1, 5), Next::After(0));
    }

    #[test]
    fn a_histogram_survives_a_line() {
        let mut one = histogram();
        one.saturating_record(5);
        one.saturating_record(u64::MAX);
        let other = unpack(&pack(&one)).expect("it was packed by the same hands");
        assert_eq!((other.len(), other.min()), (2, 5));
    }
}
