//! A followed room without a Redis, for the fuzzer in `crates/bus/fuzz`.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use proto::{Position, RoomName, server::ResetReason};

use super::{
    rooms::{Followed, Need, Rooms},
    wire,
};
use crate::{
    Follower, Key, LogEvent,
    epoch::{Head, Lineage},
    follow::Slice,
};

/// Events in the log when the room begins to be followed, which nobody publishes.
const UNHEARD: u64 = 3;

/// Readings after which a room must be level, whatever was published.
const READINGS: usize = 3;

/// A channel that anybody can publish on, and a log that only its own events get into.
pub struct Channel {
    followed: Arc<Followed>,
    checks: Arc<Checks>,
    head: Head,
    log: Vec<LogEvent>,
}

/// Checks that events come in order.
struct Checks(AtomicU64);

impl Follower for Checks {
    fn start(&self, head: Position) {
        self.0.store(head.seq, Ordering::Relaxed);
    }

    fn event(&self, event: LogEvent) {
        let before = self.0.swap(event.position.seq, Ordering::Relaxed);
        assert_eq!(event.position.seq, before + 1, "an event was left out, or came twice");
    }

    fn ephemeral(&self, _: Bytes) {}

    fn presence(&self, _: u64, _: Bytes) {}

    fn reset(&self, to: Position, _: ResetReason) {
        self.0.store(to.seq, Ordering::Relaxed);
    }
}

impl Channel {
    /// A room that is followed from its beginning, and some events that the channel has lost.
    ///
    /// # Panics
    /// When a room that nobody has used can't be followed, which is a fault.
    #[expect(clippy::new_without_default, clippy::expect_used, reason = "only the fuzzer makes one")]
    pub fn new() -> Self {
        let lineage = Lineage::parse("0-aaaaaaaa:1").expect("a lineage");
        let head = Head { base: "b".into(), seq: 0, lineage };
        let checks = Arc::new(Checks(AtomicU64::new(0)));
        let name = RoomName::parse("room").expect("a name");
        let followed = Rooms::default().insert(&name, Arc::clone(&checks) as Arc<dyn Follower>);
        let started = followed.start(head.clone());
        assert_eq!(started, Some(Need::default()));
        let mut channel = Self { followed, checks, head, log: Vec::new() };
        for _ in 0..UNHEARD {
            channel.append();
        }
        channel
    }

    /// Somebody publishes this, and the room is given what it then needs.
    ///
    /// # Panics
    /// When that is a fault.
    pub fn publish(&mut self, payload: &[u8]) {
        let mut need = self.followed.payload(payload);
        let mut readings = 0;
        while need.fill {
            readings += 1;
            assert!(readings <= READINGS, "the log is read again and again");
            while let Some(after) = self.followed.begin_read() {
                let events = self.log.iter().filter(|event| event.position.seq > after).cloned().collect();
                self.followed.page(Slice { head: self.head.clone(), first: 1, after, events });
            }
            need = self.followed.tick();
        }
    }

    /// The log grows, and what it has now is published: whoever follows has all of it, unless somebody forged it.
    ///
    /// # Panics
    /// When that is not so.
    pub fn end(&mut self) {
        let payload = self.append();
        self.publish(&payload);
        for _ in 0..READINGS {
            self.publish(b"");
            let _ = self.followed.tick();
        }
        assert!(self.checks.0.load(Ordering::Relaxed) >= self.head.seq, "an event was forgotten");
    }

    fn append(&mut self) -> Vec<u8> {
        self.head.seq += 1;
        let position = self.head.position();
        let key = Key::from_bytes(Bytes::from(position.seq.to_string()));
        let body = Bytes::from_static(b"\"type\":\"message\"}");
        let line = format!("\u{1}e{} {}\n", position.epoch, position.seq);
        let payload = [line.as_bytes(), &wire::entry(&key, &body)].concat();
        self.log.push(LogEvent { position, key, body, trace: None });
        payload
    }
}
