//! The idempotency keys of a room, in two generations.

use std::{collections::HashMap, mem};

use proto::ID_TTL_MS;
use tokio::time::{Duration, Instant};

use crate::Key;

const GENERATION: Duration = Duration::from_millis(ID_TTL_MS);

/// Keys are known for at least one generation of 5 minutes and at most for two: a generation is dropped whole,
/// so no key has a timer.
pub(super) struct Ids {
    young: HashMap<Key, u64>,
    old: HashMap<Key, u64>,
    began: Instant,
}

impl Ids {
    pub(super) fn new(now: Instant) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), began: now }
    }

    /// The `seq` that the key was appended with.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<u64> {
        self.turn(now);
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    pub(super) fn insert(&mut self, key: Key, seq: u64) {
        self.young.insert(key, seq);
    }

    fn turn(&mut self, now: Instant) {
        let age = now.duration_since(self.began);
        if age < GENERATION {
            return;
        }
        self.old = if age < 2 * GENERATION { mem::take(&mut self.young) } else { HashMap::new() };
        self.young = HashMap::new();
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_key_is_known_for_one_generation_at_least_and_two_at_most() {
        let start = Instant::now();
        let key = Key::from_bytes(Bytes::from_static(b"alice\0a"));
        let mut ids = Ids::new(start);
        ids.insert(key.clone(), 7);
        assert_eq!(ids.get(&key, start + GENERATION), Some(7));
        assert_eq!(ids.get(&key, start + 2 * GENERATION - Duration::from_millis(1)), Some(7));
        assert_eq!(ids.get(&key, start + 2 * GENERATION), None);

        let mut ids = Ids::new(start);
        ids.insert(key.clone(), 7);
        assert_eq!(ids.get(&key, start + 3 * GENERATION), None, "nothing turned the generations meanwhile");
    }
}
