//! A fault of the program must not make a node deaf.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bus::{
    Bus, Follower, LogEvent,
    conformance::{Recorder, append, follow, room},
};
use bytes::Bytes;
use proto::{Position, server::ResetReason};
use testkit::Redis;

use super::{node, until_up};

/// Panics at one event, and passes on the rest.
struct Faulty {
    recorder: Arc<Recorder>,
    faulty: AtomicBool,
}

impl Follower for Faulty {
    fn start(&self, head: Position) {
        self.recorder.start(head);
    }

    fn event(&self, event: LogEvent) {
        assert!(!self.faulty.swap(false, Ordering::Relaxed), "a fault, planted by this test");
        self.recorder.event(event);
    }

    fn ephemeral(&self, frame: Bytes) {
        Follower::ephemeral(&*self.recorder, frame);
    }

    fn presence(&self, _: u64, _: Bytes) {}

    fn reset(&self, to: Position, reason: ResetReason) {
        self.recorder.reset(to, reason);
    }
}

/// The panic used to end the task that takes what comes for every room.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_panics_harms_neither_its_room_nor_another() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let (faulty, sound) = (room("faulty"), room("sound"));
    let (other, _other) = follow(&bus, &sound).await;
    let follower = Faulty { recorder: Recorder::new(), faulty: AtomicBool::new(true) };
    let recorder = Arc::clone(&follower.recorder);
    let _following = bus.follow(&faulty, Arc::new(follower)).await.expect("a room");
    append(&bus, &faulty, "lost").await;
    let (to, reason) = recorder.until_reset().await;
    assert_eq!((to.seq, reason), (1, ResetReason::Trimmed));
    append(&bus, &faulty, "after").await;
    append(&bus, &sound, "elsewhere").await;
    recorder.until_last("after").await;
    other.until_last("elsewhere").await;
    until_up(&bus, true).await;
    assert_eq!(other.resets(), []);
}
