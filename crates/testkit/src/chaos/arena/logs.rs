//! What Redis itself holds of the rooms.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Store;
use crate::Redis;
use crate::chaos::amended;
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
    let logged = |generation: &[u8], seq: &str, entry: &[u8]| {
        let (from, name) = key(entry);
        Logged { place: place(&String::from_utf8_lossy(generation), seq), from, id: name }
    };
    let entries = log.iter().map(|(id, fields)| {
        let (seq, _) = id.split_once('-').expect("an entry's id has two parts");
        logged(&fields[0], seq, &fields[1])
    });
    let tombs = tombstones(redis, &room, base);
    let tombs = tombs.iter().map(|(seq, generation, entry)| logged(generation, seq, entry));
    let mut events: Vec<Logged> = entries.chain(tombs).collect();
    events.sort_by_key(|event| event.place.seq);
    // What was deleted between the two readings is in both. A stream has no number twice.
    events.dedup_by_key(|event| event.place.seq);
    Some(Log { at, room, events, head: place(generation, seq) })
}

/// What is left of the events that were deleted: the number, the generation and the entry of each.
fn tombstones(redis: &Redis, room: &str, base: &str) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let marks = redis.command(&["HGETALL", &format!("{{chat:{room}}}:marks")]);
    let marks: HashMap<Vec<u8>, Vec<u8>> = redis::from_redis_value(marks).expect("marks are a hash");
    // Those of another base are as good as none.
    if marks.get(&b"b"[..]).is_none_or(|of| of != base.as_bytes()) {
        return Vec::new();
    }
    let tomb = |(field, value): (&Vec<u8>, &Vec<u8>)| {
        let seq = String::from_utf8_lossy(field.strip_prefix(b"d")?).into_owned();
        let (space, line) =
            (value.iter().position(|byte| *byte == b' ')?, value.iter().position(|byte| *byte == b'\n')?);
        Some((seq, value[space + 1..line].to_vec(), value[line + 1..].to_vec()))
    };
    marks.iter().filter_map(tomb).collect()
}

/// Every text that is in any key of the primaries: see [`texts`](crate::chaos::amended::texts).
pub(super) fn texts(store: &Store) -> HashSet<Arc<str>> {
    let mut found = HashSet::new();
    for primary in store.primaries() {
        let redis = &store.nodes()[primary];
        let keys: Vec<Vec<u8>> =
            redis::from_redis_value(redis.command(&["KEYS", "*"])).expect("keys are a list");
        for key in keys {
            let key = String::from_utf8_lossy(&key).into_owned();
            let kind: String =
                redis::from_redis_value(redis.command(&["TYPE", &key])).expect("a type is a word");
            let value = match &*kind {
                "stream" => redis.command(&["XRANGE", &key, "-", "+"]),
                "hash" => redis.command(&["HGETALL", &key]),
                "zset" => redis.command(&["ZRANGE", &key, "0", "-1"]),
                "string" => redis.command(&["GET", &key]),
                // Gone meanwhile.
                _ => continue,
            };
            found.extend(amended::texts(&flat(&value)));
        }
    }
    found
}

/// All strings of a value, one behind the other.
fn flat(value: &redis::Value) -> String {
    let list = |values: &[redis::Value]| values.iter().map(flat).collect::<Vec<_>>().join("\n");
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        redis::Value::Array(values) | redis::Value::Set(values) => list(values),
        redis::Value::Map(pairs) => {
            pairs.iter().flat_map(|(key, value)| [flat(key), flat(value)]).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Who sent an entry, and under which id: `1 <length> <user> NUL <id> <body>`.
fn key(entry: &[u8]) -> (Arc<str>, Arc<str>) {
    let key = String::from_utf8_lossy(&entry[2..2 + usize::from(entry[1])]).into_owned();
    let (user, id) = key.split_once('\0').expect("the crowd gives every message an id");
    (user.into(), id.into())
}
