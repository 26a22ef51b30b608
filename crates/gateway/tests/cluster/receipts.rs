//! Read receipts and typing: what is told beside the log.

use serde_json::{Value, json};
use testkit::{Client, PATIENCE};

use crate::fixture::{cluster, single};

fn target(ok: &Value) -> Value {
    json!({ "epoch": ok["epoch"], "seq": ok["seq"] })
}

fn read(target: &Value) -> Value {
    json!({ "type": "read", "room": "lobby", "target": target })
}

#[tokio::test]
async fn a_marker_goes_to_everybody_and_never_back() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    bob.join("lobby").await;
    let one = target(&alice.say("lobby", "one").await);
    let two = target(&alice.say("lobby", "two").await);

    let ok = bob.ok(read(&two)).await;
    assert_eq!(ok["room"], "lobby");
    let marker = json!({ "user": "bob", "epoch": two["epoch"], "seq": two["seq"] });
    for client in [&mut alice, &mut bob] {
        let told = client.expect("read").await;
        assert_eq!(told, json!({ "type": "read", "room": "lobby", "markers": [marker] }));
    }
    bob.ok(read(&one)).await;
    bob.ok(read(&two)).await;

    // It comes with the history and to whoever joins, also on the other node.
    let mut carol = Client::connect(cluster.addr(0), "carol").await;
    let joined = carol.join("lobby").await;
    assert_eq!(joined["markers"], json!([marker]), "{joined}");
    for client in [&mut alice, &mut carol] {
        let page = client.ok(json!({ "type": "history", "room": "lobby" })).await;
        assert_eq!(page["markers"], json!([marker]), "{page}");
    }
    let mut outsider = Client::connect(cluster.addr(0), "outsider").await;
    let page = outsider.ok(json!({ "type": "history", "room": "lobby" })).await;
    assert_eq!(page["markers"], json!([marker]), "{page}");

    // What moved nothing was told to nobody; and the log holds the messages and nothing else.
    let last = target(&alice.say("lobby", "three").await);
    alice.ok(read(&last)).await;
    let told = bob.expect("read").await;
    assert_eq!(told["markers"][0]["user"], "alice", "{told}");
    assert_eq!(last["seq"], json!(3));
}

#[tokio::test]
async fn a_marker_needs_a_place_in_the_log() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let one = target(&alice.say("lobby", "one").await);
    for (target, code) in [
        (json!({ "epoch": one["epoch"], "seq": 2 }), "not_found"),
        (json!({ "epoch": "another.0", "seq": 1 }), "not_found"),
        (json!({ "epoch": one["epoch"] }), "bad_request"),
        (Value::Null, "bad_request"),
    ] {
        assert_eq!(alice.refused(read(&target)).await, code, "{target}");
    }
    let mut elsewhere = read(&one);
    elsewhere["room"] = json!("another");
    assert_eq!(alice.refused(elsewhere).await, "not_joined");
    let page = alice.ok(json!({ "type": "history", "room": "lobby" })).await;
    assert_eq!(page["markers"], json!([]), "what was refused changed nothing: {page}");
}

#[tokio::test]
async fn typing_is_told_once_in_a_while_and_ends_by_itself() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    bob.join("lobby").await;
    for _ in 0..20 {
        alice.ok(json!({ "type": "typing", "room": "lobby", "on": true })).await;
    }
    let typing = |on: bool| json!({ "type": "typing", "room": "lobby", "from": "alice", "on": on });
    assert_eq!(bob.expect("typing").await, typing(true));
    alice.ok(json!({ "type": "typing", "room": "lobby", "on": false })).await;
    assert_eq!(bob.expect("typing").await, typing(false), "twenty keys are one word");
    // Whoever falls silent, or dies, does not type for ever.
    alice.ok(json!({ "type": "typing", "room": "lobby", "on": true })).await;
    assert_eq!(bob.expect("typing").await, typing(true));
    alice.cut();
    let off = bob.read_until(PATIENCE, "the end of it", |bob| {
        if bob.has("typing") { Ok(()) } else { Err("nothing".to_owned()) }
    });
    off.await;
    assert_eq!(bob.expect("typing").await, typing(false));
}
