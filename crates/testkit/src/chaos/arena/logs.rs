//! What Redis itself holds of the rooms.

use std::sync::Arc;

use super::Store;
use crate::Redis;
use crate::chaos::crowd::{ROOMS, room};
use crate::chaos::history::{Log, Logged, Place};

/// Every room's log, from the primary that has it; none for a room that has no head.
pub(super) fn read(store: &Store, at: u64) -> Vec<Log> {
    let log = |number| {
        let room = room(number);
        room_log(&store.nodes()[store.primary_of(&room)], at, room)
    };
    (0..ROOMS).filter_map(log).collect()
}

fn room_log(redis: &Redis, at: u64, room: Arc<str>) -> Option<Log> {
    let head = redis.command(&["HMGET", &format!("{{chat:{room}}}:head"), "s", "b", "g"]);
    let head: Vec<Option<String>> = redis::from_redis_value(head).expect("a head has three fields");
    let [Some(seq), Some(base), Some(generation)] = &head[..] else { return None };
    let place = |generation: &str, seq: &str| Place {
        epoch: format!("{base}.{generation}").into(),
        seq: seq.parse().expect("a seq is a number"),
    };
    let log = redis.command(&["XRANGE", &format!("{{chat:{room}}}:log"), "-", "+"]);
    let log: Vec<(String, Vec<Vec<u8>>)> = redis::from_redis_value(log).expect("a log is a stream");
    let logged = |(id, fields): &(String, Vec<Vec<u8>>)| {
        let (seq, _) = id.split_once('-').expect("an entry's id has two parts");
        let (from, name) = key(&fields[1]);
        Logged { place: place(&String::from_utf8_lossy(&fields[0]), seq), from, id: name }
    };
    Some(Log { at, room, events: log.iter().map(logged).collect(), head: place(generation, seq) })
}

/// Who sent an entry, and under which id: `1 <length> <user> NUL <id> <body>`.
fn key(entry: &[u8]) -> (Arc<str>, Arc<str>) {
    let key = String::from_utf8_lossy(&entry[2..2 + usize::from(entry[1])]).into_owned();
    let (user, id) = key.split_once('\0').expect("the crowd gives every message an id");
    (user.into(), id.into())
}
