//! A follower that panics is a fault of the program, and costs its room no more than what it was handed.

use super::*;
use crate::{Key, epoch::Head};

/// What a follower was told; it panics when it is told of one of these.
#[derive(Default)]
pub(in crate::redis) struct Recorder {
    told: Mutex<Vec<(&'static str, u64)>>,
    events: Vec<u64>,
    resets: Mutex<u32>,
}

impl Follower for Recorder {
    fn start(&self, _: Position) {}

    fn event(&self, event: LogEvent) {
        assert!(!self.events.contains(&event.position.seq), "a fault");
        self.told.lock().push(("event", event.position.seq));
    }

    fn ephemeral(&self, frame: Bytes) {
        assert!(frame.is_empty(), "a fault");
    }

    fn presence(&self, _: u64, _: Bytes) {}

    fn reset(&self, to: Position, _: ResetReason) {
        let mut resets = self.resets.lock();
        if *resets > 0 {
            *resets -= 1;
            drop(resets);
            panic!("a fault");
        }
        self.told.lock().push(("reset", to.seq));
    }
}

/// The event with this number, in the log that nobody has used.
pub(in crate::redis) fn payload(seq: u64) -> Vec<u8> {
    let entry = wire::entry(&Key::from_bytes(Bytes::from_static(b"k")), b"body");
    let line = format!("\u{1}e{} {seq}\n", Head::none().position().epoch);
    [line.as_bytes(), &entry].concat()
}

fn told(recorder: Recorder, payloads: &[Vec<u8>]) -> Vec<(&'static str, u64)> {
    let (rooms, recorder) = (Rooms::default(), Arc::new(recorder));
    let followed = rooms.insert(&RoomName::parse("r").unwrap(), Arc::clone(&recorder) as Arc<dyn Follower>);
    assert!(followed.start(Head::none()).is_some());
    for payload in payloads {
        assert_eq!(followed.payload(payload), Need::default());
    }
    let told = recorder.told.lock();
    told.clone()
}

#[test]
fn what_a_follower_panicked_at_is_told_as_gone() {
    let recorder = Recorder { events: vec![2], ..Recorder::default() };
    let payloads = [payload(1), payload(2), payload(3)];
    assert_eq!(told(recorder, &payloads), [("event", 1), ("reset", 2), ("event", 3)]);
}

#[test]
fn a_follower_that_panics_at_the_reset_too_is_told_again_before_anything_else() {
    let recorder = Recorder { events: vec![2], resets: Mutex::new(2), ..Recorder::default() };
    let payloads: Vec<_> = (1..=4).map(payload).collect();
    assert_eq!(told(recorder, &payloads), [("event", 1), ("reset", 3), ("event", 4)]);
}

#[test]
fn a_frame_that_a_follower_panicked_at_is_lost() {
    let payloads = [wire::ephemeral(b"{}").to_vec(), payload(1)];
    assert_eq!(told(Recorder::default(), &payloads), [("event", 1)]);
}
