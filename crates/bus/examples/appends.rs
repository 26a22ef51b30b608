//! How many appends a second one node gets through, and how long until its own follower has the last.
//!
//! `cargo run --release -p bus --example appends` starts a Redis of its own; with a URL it uses that one.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a measurement for people")]

use std::{
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

use bus::{Append, Bus, Follower, Key, LogEvent, MemoryBus, RedisBus, RedisConfig, Retention};
use proto::{Position, RoomName, server::ResetReason};
use testkit::Redis;

const RETENTION: Retention = Retention { length: 1000, age_ms: 3_600_000 };
const BODY: usize = 128;

/// Counts what it is told.
#[derive(Default)]
struct Count(AtomicU64);

impl Follower for Count {
    fn start(&self, _: Position) {}
    fn event(&self, _: LogEvent) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn ephemeral(&self, _: bytes::Bytes) {}
    fn reset(&self, to: Position, reason: ResetReason) {
        println!("a reset amid a measurement: {reason:?} to {to}");
    }
}

/// Keeps `window` appends under way, spread over the rooms, until `total` are answered.
async fn measure(what: &str, bus: Arc<dyn Bus>, rooms: usize, window: usize, total: usize) {
    let names: Vec<RoomName> = (0..rooms)
        .map(|room| RoomName::parse(&format!("{}-{room}", what.replace(' ', "-"))).expect("a name"))
        .collect();
    let count = Arc::new(Count::default());
    let mut following = Vec::new();
    for name in &names {
        following.push(bus.follow(name, Arc::clone(&count) as Arc<dyn Follower>).await.expect("a room"));
    }
    let began = Instant::now();
    let hands: Vec<_> = (0..window)
        .map(|hand| {
            let (bus, names) = (Arc::clone(&bus), names.clone());
            tokio::spawn(async move {
                for turn in (hand..total).step_by(window) {
                    let append =
                        Append { body: vec![b'x'; BODY].into(), key: Key::of_node(bus.node(), turn as u64) };
                    bus.append(&names[turn % names.len()], append).await.expect("an append");
                }
            })
        })
        .collect();
    for hand in hands {
        hand.await.expect("a hand");
    }
    let (answered, began_to_follow) = (began.elapsed(), Instant::now());
    while count.0.load(Ordering::Relaxed) < total as u64 {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    println!(
        "{what:24} {rooms:5} rooms, {window:5} under way: {:8.0} appends/s, all followed {:.1} ms later",
        total as f64 / answered.as_secs_f64(),
        began_to_follow.elapsed().as_secs_f64() * 1000.0
    );
}

#[tokio::main]
async fn main() {
    let own = if std::env::args().len() > 1 { None } else { Some(Redis::start().await) };
    let url = own.as_ref().map_or_else(|| std::env::args().nth(1).unwrap_or_default(), Redis::url);
    let redis = RedisBus::connect(RedisConfig::new(&url, "measure", RETENTION)).await.expect("a right URL");
    let redis: Arc<dyn Bus> = Arc::new(redis);
    let memory: Arc<dyn Bus> = Arc::new(MemoryBus::new("measure", RETENTION));
    for (rooms, window, total) in [(1, 1, 5_000), (1, 256, 60_000), (100, 256, 60_000), (1000, 1000, 60_000)]
    {
        measure(&format!("redis {rooms} {window}"), Arc::clone(&redis), rooms, window, total).await;
    }
    for (rooms, window) in [(1, 1), (1000, 1000)] {
        measure(&format!("memory {rooms} {window}"), Arc::clone(&memory), rooms, window, 300_000).await;
    }
    redis.close().await;
}
