//! Redis goes away and comes back.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bus::{
    Ack, Append, Bus, BusError, Follower, LogEvent, ReadFrom, RedisBus, RedisConfig,
    conformance::{self, Recorder, append, append_many, bodies, follow, message, read, room, until},
};
use bytes::Bytes;
use conformance::room as another_room;
use proto::{Position, RoomName, server::ResetReason};
use testkit::{Proxy, Redis};

use super::{RETENTION, node, until_back, until_up};

/// Appends as a client does that is told `unavailable`: again, with the same id.
async fn append_at_last(bus: &RedisBus, room: &RoomName, id: &str) {
    let began = Instant::now();
    while let Err(error) = bus.append(room, message(id)).await {
        assert!(began.elapsed() < conformance::PATIENCE, "{id} could not be appended: {error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_may_be_forgotten() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("scripts");
    let forget = || {
        redis.command(&["SCRIPT", "FLUSH"]);
        redis.command(&["FUNCTION", "FLUSH"]);
    };
    let (recorder, _following) = follow(&bus, &room).await;
    for turn in 1..=5 {
        forget();
        append_many(&bus, &room, &format!("t{turn}-"), 20).await;
        forget();
        assert_eq!(read(&bus, &room, ReadFrom::Newest, 1).await.head.seq, turn * 20);
    }
    recorder.until_last("t5-20").await;
    assert_eq!(recorder.events().len(), 100);
}

/// The one message that comes while nobody listens, and then nothing more that would show the hole.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_subscription_loses_nothing() {
    let redis = Redis::start().await;
    let (bus, writer) = (node(&redis.url()).await, node(&redis.url()).await);
    let rooms: Vec<_> = (0..20).map(|_| room("killed")).collect();
    let mut followed = Vec::new();
    for room in &rooms {
        followed.push(follow(&bus, room).await);
        append(&writer, room, "before").await;
    }
    for turn in 0..5 {
        redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        for room in &rooms {
            append(&writer, room, &format!("silence{turn}")).await;
        }
        for (recorder, _) in &followed {
            recorder.until_last(&format!("silence{turn}")).await;
            assert_eq!(recorder.resets(), []);
            assert_eq!(recorder.events().len(), 2 + turn);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_command_connection_heals() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("commands");
    let (recorder, _following) = follow(&bus, &room).await;
    for turn in 1..=5 {
        redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let id = format!("m{turn}");
        // An error leaves open whether it was appended; the same key again does not.
        append_at_last(&bus, &room, &id).await;
    }
    recorder.until_last("m5").await;
    assert_eq!(recorder.bodies(), ["m1", "m2", "m3", "m4", "m5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_appends_fail_at_once_and_nothing_is_lost() {
    let mut redis = Redis::start().await;
    let (one, other) = (node(&redis.url()).await, node(&redis.url()).await);
    let room = room("away");
    let (here, _here) = follow(&one, &room).await;
    let (there, _there) = follow(&other, &room).await;
    append(&one, &room, "before").await;

    redis.stop().await;
    until_up(&one, false).await;
    let began = Instant::now();
    let refused = one.append(&room, message("refused")).await;
    assert!(matches!(refused, Err(BusError::Unavailable { .. })), "{refused:?}");
    assert!(began.elapsed() < Duration::from_millis(500), "took {:?} to say what is known", began.elapsed());
    assert!(one.read(&room, ReadFrom::Newest, 1).await.is_err());
    assert!(one.follow(&another_room("away"), Recorder::new()).await.is_err());

    redis.restart().await;
    until_back(&one).await;
    until_back(&other).await;
    let again = append(&one, &room, "refused").await;
    assert!(!again.duplicate, "it was never appended");
    append(&other, &room, "after").await;
    for recorder in [&here, &there] {
        recorder.until_last("after").await;
        assert_eq!(recorder.bodies(), ["before", "refused", "after"]);
        assert_eq!(recorder.resets(), []);
    }
}

/// Appends go on while Redis is killed and started again; whoever is refused tries again with the same key.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_arrives_once() {
    const WRITERS: usize = 8;
    let mut redis = Redis::start_with(&["appendfsync always"]).await;
    let one = Arc::new(node(&redis.url()).await);
    let other = node(&redis.url()).await;
    let room = room("killed");
    let (here, _here) = follow(&*one, &room).await;
    let (there, _there) = follow(&other, &room).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (one, room, stopped) = (Arc::clone(&one), room.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !*stopped.borrow() && number < 15 {
                    number += 1;
                    let id = format!("w{writer}-{number}");
                    append_at_last(&one, &room, &id).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                number
            })
        })
        .collect();
    here.until("some talk", |bodies| bodies.len() >= WRITERS * 3).await;
    redis.kill().await;
    redis.restart().await;
    here.until("more talk", |bodies| bodies.len() >= WRITERS * 10).await;
    stop.send(true).expect("writers go on");
    let mut sent = 0;
    for writer in writers {
        sent += writer.await.expect("a writer");
    }
    for recorder in [&here, &there] {
        recorder.until("everything", |bodies| bodies.len() == sent).await;
        let mut bodies = recorder.bodies();
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), sent, "something came twice");
        assert_eq!(recorder.resets(), []);
    }
    assert_eq!(here.events(), there.events());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_bad_health_and_then_good_again() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("paused");
    let (recorder, _following) = follow(&bus, &room).await;
    redis.command(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let waiting = bus.append(&room, message("waiting"));
    until_up(&bus, false).await;
    let began = Instant::now();
    assert!(bus.append(&another_room("paused"), message("at once")).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(300), "took {:?}", began.elapsed());
    until_up(&bus, true).await;
    // It may have been given up; its key tells.
    let _ = waiting.await;
    append(&bus, &room, "waiting").await;
    append(&bus, &room, "end").await;
    recorder.until_last("end").await;
    assert_eq!(recorder.bodies(), ["waiting", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_noticed_and_comes_back() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("frozen");
    let (recorder, _following) = follow(&bus, &room).await;
    append(&bus, &room, "before").await;
    redis.freeze();
    until_up(&bus, false).await;
    redis.thaw();
    until_up(&bus, true).await;
    until_back(&bus).await;
    append(&bus, &room, "after").await;
    recorder.until_last("after").await;
    assert_eq!(recorder.bodies(), ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_start_before_redis() {
    let mut redis = Redis::start().await;
    redis.stop().await;
    let config = RedisConfig {
        connect_timeout: Duration::from_millis(200),
        ..RedisConfig::new(&redis.url(), "early", RETENTION)
    };
    let bus = RedisBus::connect(config).await.expect("an absent Redis is no error");
    assert!(!bus.health().up);
    assert!(bus.append(&room("early"), message("a")).await.is_err());
    redis.restart().await;
    until_up(&bus, true).await;
    let room = room("early");
    let (recorder, _following) = follow(&bus, &room).await;
    append(&bus, &room, "a").await;
    recorder.until_last("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_it() {
    let redis = Redis::start().await;
    redis.command(&["CONFIG", "SET", "requirepass", "correct"]);
    let connect = async |password: &str| {
        let url = format!("redis://:{password}@127.0.0.1:{}", redis.port());
        let timeout = Duration::from_millis(500);
        let config = RedisConfig { connect_timeout: timeout, ..RedisConfig::new(&url, "test", RETENTION) };
        RedisBus::connect(config).await.expect("a right configuration")
    };
    let wrong = connect("mistaken").await;
    until("the cause", async || {
        let health = wrong.health();
        assert!(!health.up && !health.detail.contains("mistaken"), "{health:?}");
        if health.detail.contains("WRONGPASS") { Ok(()) } else { Err(health.detail) }
    })
    .await;
    let right = connect("correct").await;
    until_up(&right, true).await;
    append(&right, &room("password"), "a").await;
}

/// Every append would be refused, so it is better said at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_needs_replicas_is_refused_without_them() {
    let redis = Redis::start().await;
    let config = RedisConfig { ack: Ack::Replicated(1), ..RedisConfig::new(&redis.url(), "test", RETENTION) };
    let Err(BusError::Unavailable { cause }) = RedisBus::connect(config).await else {
        panic!("it was taken")
    };
    assert!(cause.contains("has 0 replicas"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_refuses_and_recovers() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("full");
    append(&bus, &room, "before").await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = bus.append(&room, message("refused")).await;
    let Err(BusError::Unavailable { cause }) = refused else { panic!("{refused:?}") };
    assert!(cause.contains("OOM"), "{cause}");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    append(&bus, &room, "after").await;
    assert_eq!(bodies(&read(&bus, &room, ReadFrom::Newest, 9).await.events), ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_bus_answers_what_was_queued_and_leaves() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("closed");
    let queued: Vec<_> = (0..100).map(|number| bus.append(&room, message(&format!("m{number}")))).collect();
    bus.close().await;
    for appending in queued {
        appending.await.expect("an append that was queued");
    }
    assert!(bus.append(&room, message("late")).await.is_err());
    until("no clients", async || {
        let script =
            "return tonumber(string.match(redis.call('INFO', 'clients'), 'connected_clients:(%d+)'))";
        let clients = redis.number(&["EVAL", script, "0"]);
        // The one that asks.
        if clients <= 1 { Ok(()) } else { Err(format!("{clients} clients")) }
    })
    .await;
}

/// A follower that hands on each thing that it is told only when it was asked for the third time whether it has.
#[derive(Default)]
struct Slow {
    recorder: Recorder,
    /// How many events there were, each time that it was asked.
    asked: Mutex<Vec<usize>>,
}

impl Follower for Slow {
    fn start(&self, head: Position) {
        self.recorder.start(head);
    }

    fn event(&self, event: LogEvent) {
        self.recorder.event(event);
    }

    fn ephemeral(&self, frame: Bytes) {
        Follower::ephemeral(&self.recorder, frame);
    }

    fn presence(&self, version: u64, frame: Bytes) {
        Follower::presence(&self.recorder, version, frame);
    }

    fn reset(&self, to: Position, reason: ResetReason) {
        self.recorder.reset(to, reason);
    }

    fn is_busy(&self) -> bool {
        let mut asked = self.asked.lock().expect("nobody panicked");
        asked.push(self.recorder.events().len());
        !asked.len().is_multiple_of(3)
    }
}

/// What a room can't hold for its members is dropped, and then each of them reads it from the log.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_read_no_faster_than_it_is_handed_on() {
    const LARGE: usize = 14_000;
    let redis = Redis::start().await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let bus = node(&format!("redis://{}", proxy.addr())).await;
    let writer = node(&redis.url()).await;
    let room = room("large");
    let follower = Arc::new(Slow::default());
    let _following = bus.follow(&room, Arc::clone(&follower) as _).await.expect("a following");
    proxy.refuse(true);
    let all: Vec<String> = (0..100).map(|number| format!("{number:0LARGE$}")).collect();
    for (number, body) in all.iter().enumerate() {
        let event = Append::message(Bytes::from(body.clone()), message(&format!("m{number}")).key);
        writer.append(&room, event).await.expect("an append");
    }
    proxy.refuse(false);
    follower.recorder.until_last(&all[99]).await;
    assert_eq!(follower.recorder.bodies(), all);
    let asked = follower.asked.lock().expect("nobody panicked");
    // Sixteen at first, and then eight at a time; the last ones need not be waited for.
    let expected: Vec<usize> = (16..96).step_by(8).flat_map(|events| [events; 3]).collect();
    assert_eq!(asked[..expected.len()], expected);
}
