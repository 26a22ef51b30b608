//! Who is in a room: one entry for each user, on every node, true again after every fault.

use serde_json::{Value, json};
use testkit::{Client, Dial, PATIENCE, Redis, Signal, expiring, sign, until};

use crate::fixture::{cluster, cluster_on, single};

fn is_list_of(members: &Value, users: &[&str]) -> bool {
    let mut found: Vec<_> =
        members.as_array().into_iter().flatten().filter_map(|member| member["user"].as_str()).collect();
    found.sort_unstable();
    found == users
}

#[tokio::test]
async fn everybody_knows_who_comes_and_goes() {
    let cluster = cluster(2).await;
    let token =
        sign(&json!({ "sub": "alice", "name": "Alice", "info": { "color": 7 }, "exp": expiring(60) }));
    let mut alice = Dial::to(cluster.addr(0)).bearer(&token).named("alice").welcomed().await;
    let joined = alice.join("lobby").await;
    let entry = json!({ "user": "alice", "name": "Alice", "info": { "color": 7 } });
    assert_eq!(joined["members"], json!([entry]), "whoever joins is there: {joined}");
    let told = alice.expect("presence").await;
    assert_eq!(
        told,
        json!({ "type": "presence", "room": "lobby", "joined": [entry], "left": [], "count": 1 })
    );

    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    let joined = bob.join("lobby").await;
    assert!(is_list_of(&joined["members"], &["alice", "bob"]), "{joined}");
    let told = alice.expect("presence").await;
    assert_eq!((&told["joined"], &told["count"]), (&json!([{ "user": "bob" }]), &json!(2)));
    for client in [&mut alice, &mut bob] {
        let answer = client.ok(json!({ "type": "presence", "room": "lobby" })).await;
        assert!(is_list_of(&answer["members"], &["alice", "bob"]), "{answer}");
        assert_eq!((&answer["count"], &answer["room"]), (&json!(2), &json!("lobby")));
    }

    bob.ok(json!({ "type": "leave", "room": "lobby" })).await;
    alice.until_present("lobby", &["alice"]).await;
    assert_eq!(bob.refused(json!({ "type": "presence", "room": "lobby" })).await, "not_joined");
}

#[tokio::test]
async fn a_user_is_there_once_and_until_the_last_session_goes() {
    let cluster = cluster(2).await;
    let mut watch = Client::connect(cluster.addr(0), "watch").await;
    watch.join("lobby").await;
    let mut sessions = Vec::new();
    for node in [0, 1, 1] {
        let mut session = Client::connect(cluster.addr(node), "alice").await;
        session.join("lobby").await;
        session.until_present("lobby", &["alice", "watch"]).await;
        sessions.push(session);
    }
    let count = watch.ok(json!({ "type": "presence", "room": "lobby" })).await["count"].clone();
    assert_eq!(count, json!(2));
    watch.until_present("lobby", &["alice", "watch"]).await;
    // Two of three go, and somebody else comes behind them: whatever they caused has come by then.
    for session in sessions.drain(..2) {
        session.hang_up().await;
    }
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    bob.join("lobby").await;
    watch.until_present("lobby", &["alice", "bob", "watch"]).await;
    bob.hang_up().await;
    watch.until_present("lobby", &["alice", "watch"]).await;
    while watch.has("presence") {
        let frame = watch.expect("presence").await;
        assert!(!is_list_of(&frame["left"], &["alice"]), "a false leave: {frame}");
    }
    sessions.remove(0).hang_up().await;
    watch.until_present("lobby", &["watch"]).await;
}

#[tokio::test]
async fn whoever_was_on_a_node_that_dies_is_gone_and_nobody_else() {
    let mut cluster = cluster(3).await;
    let mut watch = Client::connect(cluster.addr(0), "watch").await;
    watch.join("lobby").await;
    let mut others = Vec::new();
    for (node, user) in [(1, "alice"), (2, "alice"), (2, "bob")] {
        let mut client = Client::connect(cluster.addr(node), user).await;
        client.join("lobby").await;
        others.push(client);
    }
    watch.until_present("lobby", &["alice", "bob", "watch"]).await;
    cluster.nodes.remove(2).kill().await;
    watch.until_present("lobby", &["alice", "watch"]).await;
    // In a room that nobody looked at meanwhile there are no ghosts either.
    let mut late = Client::connect(cluster.addr(1), "late").await;
    let joined = late.join("lobby").await;
    assert!(is_list_of(&joined["members"], &["alice", "late", "watch"]), "{joined}");
    while watch.has("presence") {
        let frame = watch.expect("presence").await;
        assert!(!is_list_of(&frame["left"], &["alice", "bob"]), "a false leave: {frame}");
    }
}

/// Nobody followed the room when the node died: who was there only by way of it was still on record, and so nobody was told
/// when it came back.
#[tokio::test]
async fn whoever_comes_back_to_a_room_that_nobody_saw_it_leave_is_seen() {
    let mut cluster = cluster(3).await;
    let mut watch = Client::connect(cluster.addr(0), "watch").await;
    watch.join("lobby").await;
    let mut alice = Client::connect(cluster.addr(2), "alice").await;
    alice.join("lobby").await;
    alice.join("attic").await;
    alice.until_present("attic", &["alice"]).await;
    watch.until_present("lobby", &["alice", "watch"]).await;
    cluster.nodes.remove(2).kill().await;
    watch.until_present("lobby", &["watch"]).await;
    let joined = watch.join("attic").await;
    assert!(is_list_of(&joined["members"], &["watch"]), "{joined}");
    let mut alice = Client::connect(cluster.addr(1), "alice").await;
    alice.join("attic").await;
    watch.until_present("attic", &["alice", "watch"]).await;
}

/// Who resumes is told who is there; what the tail still has of how they came and went is not for it.
#[tokio::test]
async fn whoever_resumes_hears_no_old_news() {
    let cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", "first").await;
    alice.until_events("lobby", 1).await;
    let mut bob = Client::connect(cluster.addr(0), "bob").await;
    bob.join("lobby").await;
    alice.until_present("lobby", &["alice", "bob"]).await;
    let place = |ok: &Value| json!({ "epoch": ok["epoch"], "seq": ok["seq"] });
    for number in 0..3 {
        let said = alice.say("lobby", number).await;
        alice.ok(json!({ "type": "read", "room": "lobby", "target": place(&said) })).await;
        alice.expect("read").await;
    }
    bob.hang_up().await;
    alice.until_present("lobby", &["alice"]).await;
    // Between two connections, so to say.
    let mut again = Client::connect(cluster.addr(0), "alice").await;
    again.resume(alice.cut()).await;
    again.say("lobby", "last").await;
    again.until_events("lobby", 5).await;
    for kind in ["presence", "read"] {
        assert!(!again.has(kind), "old news: {}", again.expect(kind).await);
    }
}

#[tokio::test]
async fn whoever_comes_back_by_another_node_in_a_drain_was_never_away() {
    let mut cluster = cluster(2).await;
    let mut watch = Client::connect(cluster.addr(0), "watch").await;
    watch.join("lobby").await;
    let mut alice = Client::connect(cluster.addr(1), "alice").await;
    alice.join("lobby").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    bob.join("lobby").await;
    watch.until_present("lobby", &["alice", "bob", "watch"]).await;
    let mut leaving = cluster.nodes.remove(1);
    leaving.signal(Signal::TERM);
    assert_eq!(alice.closed().await.code, 1012);
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    leaving.exited(PATIENCE).await;
    watch.until_present("lobby", &["alice", "watch"]).await;
    while watch.has("presence") {
        let frame = watch.expect("presence").await;
        assert!(!frame["left"].to_string().contains("alice"), "a false leave: {frame}");
    }
}

#[tokio::test]
async fn presence_is_true_again_after_redis_has_forgotten_it() {
    let redis = Redis::start().await;
    let before = redis.snapshot();
    let mut cluster = cluster_on(redis, 2).await;
    let mut watch = Client::connect(cluster.addr(0), "watch").await;
    watch.join("lobby").await;
    let mut alice = Client::connect(cluster.addr(1), "alice").await;
    alice.join("lobby").await;
    watch.until_present("lobby", &["alice", "watch"]).await;
    cluster.redis.kill().await;
    cluster.redis.restore(&before);
    cluster.redis.restart().await;
    // Who comes afterwards is seen, and those who were there are there.
    let mut bob = until(PATIENCE, "bob to join", async || {
        let mut bob = Client::connect(cluster.addr(1), "bob").await;
        let reply = bob.request(json!({ "type": "join", "room": "lobby" })).await;
        if reply["type"] == "ok" { Ok(bob) } else { Err(reply.to_string()) }
    })
    .await;
    let everybody = ["alice", "bob", "watch"];
    for client in [&mut watch, &mut alice, &mut bob] {
        client.until_present("lobby", &everybody).await;
    }
    let mut late = Client::connect(cluster.addr(0), "late").await;
    until(PATIENCE, "everybody to be listed", async || {
        let joined = late.join("lobby").await;
        let listed = is_list_of(&joined["members"], &["alice", "bob", "late", "watch"]);
        if listed { Ok(()) } else { Err(joined.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn on_a_laptop_it_is_the_same() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let mut bob = Client::connect(gateway.addr(), "bob").await;
    bob.join("lobby").await;
    alice.until_present("lobby", &["alice", "bob"]).await;
    bob.hang_up().await;
    alice.until_present("lobby", &["alice"]).await;
}
