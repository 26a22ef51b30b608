//! What stands in Redis, byte by byte, as version 1 of the layout has it: nodes of two versions read each other's.
//!
//! A change here is a change of the layout. It needs a version that nodes of the version before can live with.

use std::time::SystemTime;

use bus::{
    Bus, ReadFrom, Verdict,
    conformance::{append, bodies, follow, message, read, room},
};
use proto::{Epoch, Position};
use testkit::Redis;

use super::node;

/// What a node of version 1 does to append an event with the key `alice NUL <id>`, in the order that it does it.
const APPEND: &str = r"
    local id, seq = ARGV[1], ARGV[2]
    local base, generation = unpack(redis.call('HMGET', KEYS[1], 'b', 'g'))
    local key = 'alice\0' .. id
    local entry = '\1' .. string.char(#key) .. key .. id
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', 200, seq .. '-0', generation, entry)
    redis.call('ZADD', KEYS[3], seq, key)
    redis.call('HSET', KEYS[1], 's', seq)
    redis.call('PUBLISH', ARGV[3], '\1e' .. base .. '.' .. generation .. ' ' .. seq .. '\n' .. entry)";

/// The first entry of a log.
const FIRST: &str = r"
    local id, fields = unpack(redis.call('XRANGE', KEYS[1], '-', '+')[1])
    return id .. ' ' .. table.concat(fields, ' ')";

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_version_1_is_read_followed_and_gone_on_with() {
    let redis = Redis::start().await;
    let room = room("of-old");
    let [head, log, ids] = ["head", "log", "ids"].map(|what| format!("{{chat:{room}}}:{what}"));
    let server = redis.info("replication", "master_replid");
    let generation = format!("0-{}", &server[..8]);
    let lineage = format!("{generation}:1");
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_millis().to_string();
    let fields = [
        ["v", "1"],
        ["s", "0"],
        ["b", "base"],
        ["g", &generation],
        ["l", &lineage],
        ["r", &server],
        ["i", "1"],
        ["t", &now],
        ["e", &now],
        ["x", &now],
    ];
    redis.command(&[&["HSET", &head][..], fields.as_flattened()].concat());
    let channel = format!("chat:{room}");
    let append_then = |id: &str, seq: &str| {
        redis.command(&["EVAL", APPEND, "3", &head, &log, &ids, id, seq, &channel]);
    };
    append_then("one", "1");
    append_then("two", "2");

    let bus = node(&redis.url()).await;
    let epoch = Epoch::parse(&format!("base.{generation}")).expect("an epoch");
    let since = Position { epoch: epoch.clone(), seq: 0 };
    let page = read(&bus, &room, ReadFrom::After(since), 9).await;
    assert_eq!((page.verdict, bodies(&page.events)), (Verdict::Holds, vec!["one".into(), "two".into()]));

    let (recorder, _following) = follow(&bus, &room).await;
    let again = append(&bus, &room, "two").await;
    assert_eq!((again.duplicate, again.position.seq), (true, 2));
    assert_eq!(append(&bus, &room, "three").await.position, Position { epoch, seq: 3 });
    append_then("four", "4");
    recorder.until_last("four").await;
    assert_eq!((recorder.bodies(), recorder.resets()), (vec!["three".into(), "four".into()], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_version_1() {
    let redis = Redis::start().await;
    let room = room("of-now");
    let bus = node(&redis.url()).await;
    let position = append(&bus, &room, "one").await.position;
    let key = |what: &str| format!("{{chat:{room}}}:{what}");

    let (base, generation) = position.epoch.as_str().split_once('.').expect("base and generation");
    let field = |name: &str| redis.text(&["HGET", &key("head"), name]);
    assert_eq!(
        ["v", "s", "b", "g", "l"].map(field),
        ["1", "1", base, generation, &format!("{generation}:1")]
    );
    let entry = "\x01\x09alice\0oneone";
    assert_eq!(redis.text(&["EVAL", FIRST, "1", &key("log")]), format!("1-0 {generation} {entry}"));
    assert_eq!(redis.number(&["ZSCORE", &key("ids"), "alice\0one"]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_a_later_version_is_left_alone() {
    let redis = Redis::start().await;
    let room = room("of-tomorrow");
    let bus = node(&redis.url()).await;
    append(&bus, &room, "one").await;
    let head = format!("{{chat:{room}}}:head");
    redis.command(&["HSET", &head, "v", "2"]);
    let before = redis.command(&["HGETALL", &head]);
    let refused = bus.append(&room, message("two")).await.expect_err("another version").to_string();
    assert!(refused.contains("another version"), "{refused}");
    let since = Position { epoch: Epoch::parse("base.0-aa").expect("an epoch"), seq: 0 };
    let refused = bus.read(&room, ReadFrom::After(since), 9).await.expect_err("another version").to_string();
    assert!(refused.contains("another version"), "{refused}");
    assert_eq!(redis.command(&["HGETALL", &head]), before);
}
