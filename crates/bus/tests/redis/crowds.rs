//! A room of very many: nothing reads all of them, for Redis does nothing else meanwhile.

use bus::{Bus, PresenceUpdate, RedisBus, Told, conformance::room};
use bytes::Bytes;
use proto::{RoomName, UserId};
use testkit::Redis;

use super::node;

/// More than are read at once.
const MANY: usize = 12_000;

const MOST: u64 = 100;

fn members(range: std::ops::Range<usize>) -> Vec<(UserId, Bytes)> {
    let member = |number| {
        let user = format!("u{number}");
        let member = format!(r#"{{"user":"{user}"}}"#);
        (UserId::parse(&user).expect("a user"), member.into())
    };
    range.map(member).collect()
}

async fn tell(bus: &RedisBus, room: &RoomName, update: PresenceUpdate) -> Told {
    bus.tell_presence(room, &PresenceUpdate { most: MOST, ..update }).await.expect("presence")
}

async fn count(bus: &RedisBus, room: &RoomName) -> u64 {
    bus.room_state(room, MOST, 0).await.expect("a state").count
}

/// How many were there by way of each node, as it is counted beside them.
fn by_nodes(redis: &Redis, room: &RoomName) -> Vec<usize> {
    let counts = redis.text(&[
        "EVAL",
        "return table.concat(redis.call('HVALS', KEYS[1]), ' ')",
        "1",
        &format!("{{chat:{room}}}:nodes"),
    ]);
    let mut counts: Vec<usize> = counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
    counts.sort_unstable();
    counts
}

/// What Redis did since its slow log was made to hold everything.
fn commands(redis: &Redis) -> String {
    format!("{:?}", redis.command(&["SLOWLOG", "GET", "-1"]))
}

/// A command that read all who are there.
fn read_whole(redis: &Redis, room: &RoomName) -> Option<String> {
    let commands = commands(redis);
    let mut readings = commands.split("HGETALL").skip(1).filter_map(|rest| rest.get(..100));
    readings.find(|key| key.contains(&format!("{{chat:{room}}}:here"))).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn are_never_read_all_at_once() {
    let redis = Redis::start().await;
    let (one, other) = (node(&redis.url()).await, node(&redis.url()).await);
    let room = room("crowd");
    for from in (0..MANY).step_by(1_000) {
        let joined = members(from..from + 1_000);
        tell(&one, &room, PresenceUpdate { joined, ..PresenceUpdate::default() }).await;
    }
    // Some are there twice, and one only by way of the other.
    let joined = [members(0..10), members(MANY..MANY + 1)].concat();
    tell(&other, &room, PresenceUpdate { joined, ..PresenceUpdate::default() }).await;
    let all = MANY as u64 + 1;
    assert_eq!(by_nodes(&redis, &room), [11, MANY]);

    redis.command(&["CONFIG", "SET", "slowlog-max-len", "1000000", "slowlog-log-slower-than", "0"]);
    let state = other.room_state(&room, MOST, 0).await.expect("a state");
    assert_eq!((state.count, state.members), (all, None));

    // After an outage it says whom it has: not all of whom it had.
    let joined = members(5..MANY - 500);
    tell(&one, &room, PresenceUpdate { joined, whole: true, ..PresenceUpdate::default() }).await;
    assert_eq!(count(&other, &room).await, all - 500, "the first five are there by the other");
    assert_eq!(by_nodes(&redis, &room), [11, MANY - 505]);
    tell(&one, &room, PresenceUpdate { joined: members(0..5), ..PresenceUpdate::default() }).await;
    // It is looked for those who are not there any more only where the counts say that there are some.
    assert_eq!(read_whole(&redis, &room), None);
    redis.command(&["SLOWLOG", "RESET"]);
    let joined = members(0..MANY - 500);
    let gone = vec!["never-here".to_owned()];
    tell(&one, &room, PresenceUpdate { joined, whole: true, gone, ..PresenceUpdate::default() }).await;
    assert!(!commands(&redis).contains("HSCAN"));

    // Who comes by the other at that very moment was never away.
    let gone = vec![one.node().to_string()];
    let joined = members(10..20);
    let told = tell(&other, &room, PresenceUpdate { joined, gone, ..PresenceUpdate::default() }).await;
    assert_eq!(told, Told::All);
    assert_eq!(read_whole(&redis, &room), None);
    assert!(commands(&redis).contains("HSCAN"), "it was looked page by page");
    let state = other.room_state(&room, MOST, 0).await.expect("a state");
    assert_eq!((state.count, state.members.map(|all| all.len())), (21, Some(21)));
    assert_eq!(by_nodes(&redis, &room), [21]);
}

/// As versions before this one left it, which did not count them by node.
#[tokio::test(flavor = "multi_thread")]
async fn without_counts_are_read_as_before() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("old");
    tell(&bus, &room, PresenceUpdate { joined: members(0..200), ..PresenceUpdate::default() }).await;
    redis.command(&["DEL", &format!("{{chat:{room}}}:nodes")]);
    assert_eq!(count(&bus, &room).await, 200);
    let left = members(0..150).into_iter().map(|(user, _)| user).collect();
    tell(&bus, &room, PresenceUpdate { left, ..PresenceUpdate::default() }).await;
    let state = bus.room_state(&room, MOST, 0).await.expect("a state");
    assert_eq!((state.count, state.members.map(|all| all.len())), (50, Some(50)));
}
