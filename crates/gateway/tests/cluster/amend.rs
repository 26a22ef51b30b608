//! Edits, deletions and reactions: events in the log like any other, and who may make them.

use serde_json::{Value, json};
use testkit::{Client, Cluster, Dial, expiring, sign};

use crate::fixture::{cluster, single};

/// A script that gives all that is in any key.
const EVERYTHING: &str = r"
local reads = { stream = { 'XRANGE', '-', '+' }, hash = { 'HGETALL' }, zset = { 'ZRANGE', 0, -1 }, string = { 'GET' } }
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local read = reads[redis.call('TYPE', key).ok]
  all[#all + 1] = cjson.encode({ key, redis.call(read[1], key, unpack(read, 2)) })
end
return table.concat(all, '\n')";

fn target(ok: &Value) -> Value {
    json!({ "epoch": ok["epoch"], "seq": ok["seq"] })
}

fn edit(target: &Value, data: &str) -> Value {
    json!({ "type": "edit", "room": "lobby", "target": target, "data": data })
}

fn delete(target: &Value) -> Value {
    json!({ "type": "delete", "room": "lobby", "target": target })
}

fn react(target: &Value, key: &str, on: bool) -> Value {
    json!({ "type": "react", "room": "lobby", "target": target, "key": key, "on": on })
}

async fn joined(cluster: &Cluster, node: usize, user: &str) -> Client {
    let mut client = Client::connect(cluster.addr(node), user).await;
    client.join("lobby").await;
    client
}

#[tokio::test]
async fn an_edit_and_a_reaction_are_events_with_a_target() {
    let cluster = cluster(2).await;
    let mut alice = joined(&cluster, 0, "alice").await;
    let mut bob = joined(&cluster, 1, "bob").await;
    let one = target(&alice.say("lobby", "helo").await);
    bob.expect("message").await;

    let mut request = edit(&one, "hello");
    request["id"] = json!("e1");
    let ok = alice.ok(request.clone()).await;
    assert_eq!((&ok["seq"], &ok["id"], &ok["duplicate"]), (&json!(2), &json!("e1"), &json!(false)));
    let again = alice.ok(request).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(2), &json!(true)));
    let told = bob.expect("edit").await;
    assert_eq!(
        (&told["target"], &told["data"], &told["from"], &told["seq"]),
        (&one, &json!("hello"), &json!("alice"), &json!(2))
    );

    let ok = bob.ok(react(&one, "👍", true)).await;
    assert_eq!((&ok["seq"], &ok["duplicate"]), (&json!(3), &json!(false)));
    let again = bob.ok(react(&one, "👍", true)).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(3), &json!(true)), "it is there already");
    let told = alice.expect("reaction").await;
    assert_eq!(
        (&told["target"], &told["key"], &told["on"], &told["from"]),
        (&one, &json!("👍"), &json!(true), &json!("bob"))
    );
    assert_eq!(alice.ok(react(&one, "👍", true)).await["seq"], json!(4), "each has its own");
    assert_eq!(bob.ok(react(&one, "👍", false)).await["seq"], json!(5));
    assert_eq!(bob.ok(react(&one, "👍", false)).await["duplicate"], json!(true));
    assert_eq!(bob.ok(react(&one, "🎉", true)).await["seq"], json!(6));

    // They are recovered like any other.
    let mut carol = Client::connect(cluster.addr(1), "carol").await;
    carol.ok(json!({ "type": "join", "room": "lobby", "recent": 6 })).await;
    carol.until_events("lobby", 6).await;
}

#[tokio::test]
async fn what_is_deleted_is_gone_everywhere_and_leaves_its_number() {
    let cluster = cluster(2).await;
    let mut alice = joined(&cluster, 0, "alice").await;
    let mut bob = joined(&cluster, 1, "bob").await;
    alice.say("lobby", "before").await;
    let secret = target(&alice.say("lobby", "TOPSECRET one").await);
    alice.ok(edit(&secret, "TOPSECRET two")).await;
    bob.until_seq("lobby", 3).await;
    // Somebody was away since the beginning, and somebody is far behind.
    let away = Client::connect(cluster.addr(0), "away").await;
    let from_the_start =
        json!({ "type": "join", "room": "lobby", "since": { "epoch": secret["epoch"], "seq": 0 } });
    let ok = alice.ok(delete(&secret)).await;
    assert_eq!((&ok["seq"], &ok["duplicate"]), (&json!(4), &json!(false)));
    assert_eq!(alice.ok(delete(&secret)).await["duplicate"], json!(true));
    let told = bob.expect("delete").await;
    assert_eq!((&told["target"], &told["from"]), (&secret, &json!("alice")));
    alice.say("lobby", "after").await;
    bob.until_seq("lobby", 5).await;

    // Resumed from each node's tail, and from a node that has none, which reads the log.
    let mut late = vec![away, Client::connect(cluster.addr(1), "late").await];
    for client in &mut late {
        let ok = client.ok(from_the_start.clone()).await;
        assert_eq!(ok["recovered"], json!(true));
        client.until_seq("lobby", 5).await;
        let texts: Vec<_> =
            client.ledger("lobby").events.iter().map(|event| event.data.to_string()).collect();
        assert!(!texts.concat().contains("TOPSECRET"), "{texts:?}");
        let tombstone = loop {
            let message = client.expect("message").await;
            if message["seq"] == 2 {
                break message;
            }
        };
        assert_eq!(
            (&tombstone["type"], &tombstone["deleted"], tombstone.get("data"), &tombstone["from"]),
            (&json!("message"), &json!(true), None, &json!("alice"))
        );
    }
    let page = bob.ok(json!({ "type": "history", "room": "lobby" })).await;
    assert!(!page.to_string().contains("TOPSECRET"), "{page}");
    assert_eq!(page["events"].as_array().map(Vec::len), Some(5), "the numbers are whole");

    // Not in Redis either.
    let log = cluster.redis.text(&["EVAL", EVERYTHING, "0"]);
    assert!(log.contains("after") && !log.contains("TOPSECRET"), "{log}");

    for request in [edit(&secret, "back"), react(&secret, "x", true)] {
        assert_eq!(alice.refused(request).await, "not_found");
    }
}

#[tokio::test]
async fn only_authors_and_moderators_amend() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let mut bob = Client::connect(gateway.addr(), "bob").await;
    bob.join("lobby").await;
    let one = target(&alice.say("lobby", "one").await);
    for request in [edit(&one, "two"), delete(&one)] {
        assert_eq!(bob.refused(request.clone()).await, "forbidden");
        let nowhere = json!({ "epoch": one["epoch"], "seq": 99 });
        let mut elsewhere = request.clone();
        elsewhere["target"] = nowhere;
        assert_eq!(bob.refused(elsewhere).await, "not_found");
        let mut strange = request.clone();
        strange["target"]["epoch"] = json!("strange.0");
        assert_eq!(bob.refused(strange).await, "not_found");
        let mut outside = request;
        outside["room"] = json!("another");
        assert_eq!(bob.refused(outside).await, "not_joined");
    }
    let with = |user: &str, rights: &str| {
        sign(&json!({ "sub": user, "exp": expiring(60), "rooms": { "lobby": rights } }))
    };
    // A moderator need not be one who may post.
    let mut moderator = Dial::to(gateway.addr()).bearer(&with("mod", "rm")).named("mod").welcomed().await;
    moderator.join("lobby").await;
    assert_eq!(moderator.refused(react(&one, "x", true)).await, "forbidden");
    moderator.ok(edit(&one, "[moderated]")).await;
    moderator.ok(delete(&one)).await;
    let mut reader = Dial::to(gateway.addr()).bearer(&with("alice", "r")).named("alice").welcomed().await;
    reader.join("lobby").await;
    let two = target(&alice.say("lobby", "two").await);
    for request in [edit(&two, "x"), delete(&two), react(&two, "x", true)] {
        assert_eq!(
            reader.refused(request).await,
            "forbidden",
            "its author, but by a token that may not write"
        );
    }
    for (field, value) in
        [("key", json!("")), ("key", json!("x".repeat(65))), ("on", json!(1)), ("target", json!(3))]
    {
        let mut request = react(&two, "x", true);
        request[field] = value;
        assert_eq!(alice.refused(request).await, "bad_request", "{field}");
    }
    assert_eq!(alice.refused(edit(&two, &"x".repeat(20_000))).await, "too_large");
    let page = alice.ok(json!({ "type": "history", "room": "lobby" })).await;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(4), "what was refused changed nothing: {page}");
}
