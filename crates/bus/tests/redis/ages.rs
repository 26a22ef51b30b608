//! What takes a day, a month or thirty restarts: Redis is told that the time has passed.

use std::{collections::BTreeSet, time::Duration};

use bus::{
    Bus, Mute, PresenceUpdate, ReadFrom, RedisBus, RedisConfig, Retention, Verdict,
    conformance::{append, append_many, follow, read, room, until},
};
use bytes::Bytes;
use proto::{ID_TTL_MS, RoomName, UserId, server::ResetReason};
use testkit::Redis;

use super::{RETENTION, node};

const DAY: i64 = 24 * 60 * 60 * 1000;

fn key(room: &RoomName, what: &str) -> String {
    format!("{{chat:{room}}}:{what}")
}

fn life(redis: &Redis, room: &RoomName, what: &str) -> i64 {
    redis.number(&["PTTL", &key(room, what)])
}

/// Makes one of the times in a room's head so much older.
fn age(redis: &Redis, room: &RoomName, field: &str, milliseconds: i64) {
    redis.command(&["HINCRBY", &key(room, "head"), field, &(-milliseconds).to_string()]);
}

/// A head lives for 45 days when it is made, and is given them again after 15.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_renewed_after_half_of_its_life_and_not_before() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("renewed");
    append(&bus, &room, "a").await;
    let full = life(&redis, &room, "head");
    assert!((44 * DAY..=45 * DAY).contains(&full), "{full}");
    let pass = |days: i64| {
        age(&redis, &room, "x", days * DAY);
        let left = life(&redis, &room, "head") - days * DAY;
        redis.command(&["PEXPIRE", &key(&room, "head"), &left.to_string()]);
        left
    };

    let left = pass(14);
    append(&bus, &room, "b").await;
    drop(follow(&bus, &room).await);
    assert!(life(&redis, &room, "head") <= left, "renewed by every append, which costs twice as much");
    pass(2);
    append(&bus, &room, "c").await;
    assert!(life(&redis, &room, "head") >= full - DAY, "an append did not renew it");
    pass(16);
    drop(follow(&bus, &room).await);
    assert!(life(&redis, &room, "head") >= full - DAY, "a follow did not renew it");
}

/// A room in which nothing was ever said costs nothing for long.
#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_room_that_was_only_joined_goes_soon() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("unused");
    drop(follow(&bus, &room).await);
    let left = life(&redis, &room, "head");
    assert!((2 * DAY..=3 * DAY).contains(&left), "{left}");
    age(&redis, &room, "x", DAY + 1000);
    redis.command(&["PEXPIRE", &key(&room, "head"), &(2 * DAY).to_string()]);
    drop(follow(&bus, &room).await);
    let left = life(&redis, &room, "head");
    assert!(left > 3 * DAY - 60_000, "followed for a day it would lapse: {left}");
    append(&bus, &room, "a").await;
    let left = life(&redis, &room, "head");
    assert!(left > 44 * DAY, "the first event did not make it last: {left}");
}

/// Nor does one that people have only come to and left, or read where there is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_beside_an_unused_log_goes_soon() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let (room, alice) = (room("left"), UserId::parse("alice").expect("a user"));
    let (_, _following) = follow(&bus, &room).await;
    let joined = vec![(alice.clone(), Bytes::from_static(br#"{"user":"alice"}"#))];
    let update = PresenceUpdate { joined, most: 100, ..PresenceUpdate::default() };
    bus.tell_presence(&room, &update).await.expect("presence");
    assert!(life(&redis, &room, "here") > 29 * DAY, "somebody is there");
    let update = PresenceUpdate { left: vec![alice.clone()], most: 100, ..PresenceUpdate::default() };
    bus.tell_presence(&room, &update).await.expect("presence");
    assert!((1..=2 * DAY).contains(&life(&redis, &room, "here")));
    let nothing = [(alice, bus.head(&room).await.expect("a head"))];
    bus.mark_read(&room, &nothing, false).await.expect("a marker");
    assert!((1..=2 * DAY).contains(&life(&redis, &room, "read")));
}

/// Nobody appends to a room that is followed, and its head must not lapse: that would be a new log.
#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_quiet_room_is_renewed_while_it_is_followed() {
    let redis = Redis::start().await;
    let config = RedisConfig {
        probe_interval: Duration::from_millis(100),
        renew_interval: Duration::from_millis(300),
        ..RedisConfig::new(&redis.url(), "test", RETENTION)
    };
    let bus = RedisBus::connect(config).await.expect("a right configuration");
    let room = room("quiet");
    append(&bus, &room, "a").await;
    let (recorder, following) = follow(&bus, &room).await;
    for turn in 0..2 {
        age(&redis, &room, "x", 20 * DAY);
        redis.command(&["PEXPIRE", &key(&room, "head"), "60000"]);
        until("a renewed head", async || {
            let left = life(&redis, &room, "head");
            if left > 44 * DAY { Ok(()) } else { Err(format!("turn {turn}: {left} ms left")) }
        })
        .await;
    }
    assert_eq!(recorder.resets(), []);
    drop(following);
}

/// The log and the ids are renewed by appends alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_renewed_after_half_of_its_life() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("log");
    append(&bus, &room, "a").await;
    let full = life(&redis, &room, "log");
    let half = RETENTION.age_ms.cast_signed() / 2;
    age(&redis, &room, "e", half + 1);
    redis.command(&["PEXPIRE", &key(&room, "log"), &(full - half).to_string()]);
    append(&bus, &room, "b").await;
    assert!(life(&redis, &room, "log") > full - 60_000);
}

/// Half of a longer life may be more than what is left of a shorter one.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_to_live_longer_is_renewed_at_once() {
    let redis = Redis::start().await;
    let room = room("longer");
    append(&node(&redis.url()).await, &room, "a").await;
    let longer = Retention { age_ms: 10 * RETENTION.age_ms, ..RETENTION };
    let bus = RedisBus::connect(RedisConfig::new(&redis.url(), "test", longer)).await.expect("a right one");
    append(&bus, &room, "b").await;
    assert!(life(&redis, &room, "log") > 9 * RETENTION.age_ms.cast_signed());
}

/// What appends nothing may come when the log has lapsed, and there is nothing to renew then.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_begins_again_lapses_too() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("again");
    append(&bus, &room, "a").await;
    redis.command(&["DEL", &key(&room, "log")]);
    age(&redis, &room, "e", RETENTION.age_ms.cast_signed());
    age(&redis, &room, "t", ID_TTL_MS.cast_signed());
    assert!(append(&bus, &room, "a").await.duplicate);
    append(&bus, &room, "b").await;
    assert!(life(&redis, &room, "log") > 0 && life(&redis, &room, "ids") > 0);
}

/// Ids have two generations: what is older than both is forgotten, and nothing earlier than it may be.
#[tokio::test(flavor = "multi_thread")]
async fn ids_are_known_for_their_time_and_then_pruned() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("ids");
    let ids = || redis.number(&["ZCARD", &key(&room, "ids")]);
    let pass = || age(&redis, &room, "t", ID_TTL_MS.cast_signed());
    append_many(&bus, &room, "old", 3).await;

    pass();
    append(&bus, &room, "young").await;
    assert_eq!(ids(), 4, "the first generation is only the old one now");
    assert!(
        append(&bus, &room, "old1").await.duplicate,
        "its time is not over before that of the youngest beside it"
    );

    pass();
    append(&bus, &room, "newest").await;
    assert_eq!(ids(), 2, "old1 to old3 are pruned");
    assert!(append(&bus, &room, "young").await.duplicate);
    assert!(!append(&bus, &room, "old1").await.duplicate, "it was forgotten");

    pass();
    pass();
    append(&bus, &room, "after a pause").await;
    assert_eq!(ids(), 1, "after twice the time nothing is left");
    assert!(life(&redis, &room, "ids") > ID_TTL_MS.cast_signed(), "and without appends the key lapses");
}

/// A head remembers 32 generations. A position in one of them holds; one in an older one can't be placed, and is told.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_thirty_two_generations_are_remembered() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("generations");
    let (recorder, _following) = follow(&bus, &room).await;
    let mut positions = Vec::new();
    for turn in 0..40 {
        // As another server does that takes over.
        redis.command(&["HSET", &key(&room, "head"), "r", &format!("{turn:040x}")]);
        positions.push(append(&bus, &room, &format!("m{turn}")).await.position);
    }
    let epochs: BTreeSet<_> = positions.iter().map(|position| position.epoch.as_str().to_owned()).collect();
    assert_eq!(epochs.len(), 40, "each is a generation of its own");
    let script = "return select(2, string.gsub(redis.call('HGET', KEYS[1], 'l'), ':', ''))";
    assert_eq!(redis.number(&["EVAL", script, "1", &key(&room, "head")]), 32);

    for (turn, position) in positions.iter().enumerate() {
        let page = read(&bus, &room, ReadFrom::After(position.clone()), 100).await;
        if turn >= 8 {
            assert_eq!((page.verdict, page.events.len()), (Verdict::Holds, 39 - turn), "{turn}");
        } else {
            let Verdict::Reset { reason, .. } = page.verdict else { panic!("{turn}: {page:?}") };
            assert_eq!(reason, ResetReason::New, "{turn}");
        }
    }
    recorder.until_last("m39").await;
    assert_eq!(recorder.resets(), [], "who was there all the time has lost nothing");
    // And a new follower can read what such a head says.
    let (late, _late) = follow(&bus, &room).await;
    append(&bus, &room, "m40").await;
    late.until_last("m40").await;
}

/// Whoever moderates may mute as many as there are names.
#[tokio::test(flavor = "multi_thread")]
async fn mutes_live_as_long_as_the_longest_of_them() {
    const NOW_MS: u64 = 1_000_000;
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("mutes");
    for (user, seconds, lives) in [("alice", 60, 60), ("bob", 600, 600), ("carol", 60, 600)] {
        let mute = Mute { until_ms: NOW_MS + seconds * 1000, reason: String::new() };
        let user = UserId::parse(user).expect("a user");
        bus.set_mute(&room, &user, Some(&mute), NOW_MS).await.expect("a mute");
        let left = life(&redis, &room, "muted");
        assert!((lives * 1000 - 30_000..=lives * 1000).contains(&left), "{user}: {left}");
    }
    let later = Mute { until_ms: NOW_MS + 900_000, reason: String::new() };
    let dave = UserId::parse("dave").expect("a user");
    bus.set_mute(&room, &dave, Some(&later), NOW_MS + 60_000).await.expect("a mute");
    let is_there = |user: &str| redis.number(&["HEXISTS", &key(&room, "muted"), user]) == 1;
    let there = ["alice", "bob", "carol", "dave"].map(is_there);
    assert_eq!(there, [false, true, false, true], "what is over goes");
}
