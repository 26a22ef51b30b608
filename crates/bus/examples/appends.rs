//! How many appends a second one node gets through, and how long until its own follower has the last.
//!
//! `cargo run --release -p bus --example appends` starts a Redis of its own; with a URL it uses that one, and with a
//! number of rooms behind the URL it measures only those, and ends with a line of two numbers: how many were appended,
//! and how many a second. With a rate, a number of nodes and seconds behind that, so many nodes follow all rooms and append
//! at that rate together; it says `begin` when they are about to and `end` with the number of appends when they have. With
//! `replicated` in place of the URL it starts a primary and two replicas, waits
//! for both, and then freezes one. With `library` it only prints the library that appends, and with `function` the name of what
//! is called of it, for whoever measures that by itself.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a measurement for people")]

use std::{
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

use bus::{Ack, Append, Bus, Follower, Key, LogEvent, MemoryBus, RedisBus, RedisConfig, Retention};
use proto::{Position, RoomName, server::ResetReason};
use testkit::{Redis, RedisSentinel, chaos::Random};
use tokio::task::JoinSet;

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

    fn presence(&self, _: u64, _: bytes::Bytes) {}
    fn reset(&self, to: Position, reason: ResetReason) {
        println!("a reset amid a measurement: {reason:?} to {to}");
    }
}

/// So long a measurement takes at most.
const MOST: Duration = Duration::from_secs(8);

/// Keeps `window` appends under way, spread over the rooms, until `total` are answered.
/// Gives how many were, and how many a second.
async fn measure(what: &str, bus: &Arc<dyn Bus>, rooms: usize, window: usize, total: usize) -> (u64, f64) {
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
            let (bus, names) = (Arc::clone(bus), names.clone());
            tokio::spawn(async move {
                let (mut times, mut refused) = (Vec::new(), 0);
                for turn in (hand..total).step_by(window) {
                    let asked = Instant::now();
                    if asked - began > MOST {
                        break;
                    }
                    let append =
                        Append::message(vec![b'x'; BODY].into(), Key::of_node(bus.node(), turn as u64));
                    if bus.append(&names[turn % names.len()], append).await.is_err() {
                        refused += 1;
                        // As a client that tries again.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    times.push(asked.elapsed());
                }
                (times, refused)
            })
        })
        .collect();
    let (mut times, mut refused) = (Vec::new(), 0);
    for hand in hands {
        let (own, own_refused) = hand.await.expect("a hand");
        times.extend(own);
        refused += own_refused;
    }
    let (answered, began_to_follow) = (began.elapsed(), Instant::now());
    let appended = (times.len() - refused) as u64;
    while count.0.load(Ordering::Relaxed) < appended {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    let per_second = appended as f64 / answered.as_secs_f64();
    println!(
        "{what:24} {rooms:5} rooms, {window:5} under way: {:8.0} ok/s, {refused} refused, {:.1} ms median, {:.1} ms p99, \
         all followed {:.1} ms later",
        per_second,
        at(50),
        at(99),
        began_to_follow.elapsed().as_secs_f64() * 1000.0
    );
    (appended, per_second)
}

/// Appends that come by chance, as people's messages do: `rate` a second on average, each by the next node, and none waits
/// for another. Gives how many there were.
async fn play(
    buses: &[Arc<RedisBus>],
    rooms: &[RoomName],
    rate: f64,
    seconds: f64,
    random: &mut Random,
) -> usize {
    let (mut due, mut appended, mut under_way) = (0.0, 0, JoinSet::new());
    let began = Instant::now();
    while due < seconds {
        // Timers are too coarse: they would send a millisecond's appends at once.
        while began.elapsed().as_secs_f64() < due {
            tokio::task::yield_now().await;
        }
        let bus = Arc::clone(&buses[appended % buses.len()]);
        let room = rooms[random.below(rooms.len())].clone();
        let key = Key::of_node(bus.node(), random.number());
        under_way.spawn(async move {
            bus.append(&room, Append::message(vec![b'x'; BODY].into(), key))
                .await
                .expect("a Redis that keeps up");
        });
        appended += 1;
        let chance = (random.number() >> 11) as f64 / (1_u64 << 53) as f64;
        due -= (1.0 - chance).ln() / rate;
    }
    while under_way.join_next().await.is_some() {}
    appended
}

/// Nodes that all follow all rooms, and append at a rate.
async fn steady(url: &str, rooms: usize, rate: f64, nodes: usize, seconds: f64) {
    let names: Vec<RoomName> =
        (0..rooms).map(|room| RoomName::parse(&format!("steady-{room}")).expect("a name")).collect();
    let (mut buses, mut following) = (Vec::new(), Vec::new());
    let count = Arc::new(Count::default());
    for node in 0..nodes {
        let config = RedisConfig::new(url, &format!("node-{node}"), RETENTION);
        let bus = Arc::new(RedisBus::connect(config).await.expect("a right URL"));
        for name in &names {
            following.push(bus.follow(name, Arc::clone(&count) as Arc<dyn Follower>).await.expect("a room"));
        }
        buses.push(bus);
    }
    // What comes first fills caches, and is not measured.
    let mut random = Random::new(1);
    play(&buses, &names, rate, 1.0, &mut random).await;
    println!("begin");
    let appended = play(&buses, &names, rate, seconds, &mut random).await;
    println!("end {appended}");
    // Whoever measures looks at Redis now, before everybody leaves.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Appends that wait for two replicas, and what becomes of them when one does not answer.
async fn replicated() {
    let servers = RedisSentinel::start().await;
    let config =
        RedisConfig { ack: Ack::Replicated(2), ..RedisConfig::new(&servers.url(), "measure", RETENTION) };
    let bus: Arc<dyn Bus> = Arc::new(RedisBus::connect(config).await.expect("a right URL"));
    for (rooms, window, total) in [(1, 1, 5_000), (1, 256, 60_000), (100, 256, 60_000)] {
        measure(&format!("replicated {rooms} {window}"), &bus, rooms, window, total).await;
    }
    let replica = &servers.nodes[(servers.primary() + 1) % servers.nodes.len()];
    replica.freeze();
    measure("frozen", &bus, 100, 256, 1_000_000).await;
    replica.thaw();
    let thawed = Instant::now();
    let room = RoomName::parse("thawed").expect("a name");
    for turn in 0.. {
        let append = Append::message(vec![b'x'; BODY].into(), Key::of_node(bus.node(), turn));
        if bus.append(&room, append).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("the first ok {:.0} ms after the replica went on", thawed.elapsed().as_secs_f64() * 1000.0);
    bus.close().await;
}

#[tokio::main]
async fn main() {
    let asked = std::env::args().nth(1);
    match asked.as_deref() {
        Some("replicated") => return replicated().await,
        Some("library") => return println!("{}", RedisBus::append_function().0),
        Some("function") => return println!("{}", RedisBus::append_function().1),
        _ => {}
    }
    let own = if asked.is_some() { None } else { Some(Redis::start().await) };
    let url = own.as_ref().map_or_else(|| asked.unwrap_or_default(), Redis::url);
    let rest: Vec<String> = std::env::args().skip(2).collect();
    if let [rooms, rate, nodes, seconds] = &rest[..] {
        let (rooms, nodes) = [rooms, nodes].map(|text| text.parse().expect("a whole number")).into();
        let (rate, seconds) = [rate, seconds].map(|text| text.parse().expect("a number")).into();
        // On a worker, for it is to share the core that the appends are made on.
        return tokio::spawn(async move { steady(&url, rooms, rate, nodes, seconds).await })
            .await
            .expect("an end");
    }
    let redis = RedisBus::connect(RedisConfig::new(&url, "measure", RETENTION)).await.expect("a right URL");
    let redis: Arc<dyn Bus> = Arc::new(redis);
    if let [rooms] = &rest[..] {
        let rooms = rooms.parse().expect("a number of rooms");
        let (appended, per_second) = measure("redis", &redis, rooms, 256, 200_000).await;
        println!("{appended} {per_second:.0}");
        return redis.close().await;
    }
    let memory: Arc<dyn Bus> = Arc::new(MemoryBus::new("measure", RETENTION));
    for (rooms, window, total) in [(1, 1, 5_000), (1, 256, 60_000), (100, 256, 60_000), (1000, 1000, 60_000)]
    {
        measure(&format!("redis {rooms} {window}"), &redis, rooms, window, total).await;
    }
    for (rooms, window) in [(1, 1), (1000, 1000)] {
        measure(&format!("memory {rooms} {window}"), &memory, rooms, window, 300_000).await;
    }
    redis.close().await;
}
