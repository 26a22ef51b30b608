//! Who is thrown out and kept out, on every node, also over a restart; and limits of a user in the whole cluster.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Cluster, Dial, PATIENCE, Redis, Request, expiring, sign, token, until};

use crate::{
    calls::{cluster, server},
    fixture::{FAST, options},
};

/// Connects, and gives what the connection was closed with.
async fn turned_away(cluster: &Cluster, node: usize, token: &str) -> (testkit::Close, Vec<Value>) {
    let dial = Dial::to(cluster.addr(node)).bearer(token).named("banned");
    let mut client = dial.open().await.expect("an upgrade");
    let close = client.closed().await;
    let mut said = Vec::new();
    while client.has("closing") {
        said.push(client.expect("closing").await);
    }
    assert!(!client.has("welcome"), "it was let in");
    (close, said)
}

#[tokio::test]
async fn a_ban_holds_on_every_node_and_over_restarts() {
    let mut cluster = cluster(2).await;
    let mut sessions = Vec::new();
    for node in [0, 1, 1] {
        let mut session = Client::connect(cluster.addr(node), "eve").await;
        session.join("lobby").await;
        sessions.push(session);
    }
    let mut bystander = Client::connect(cluster.addr(1), "alice").await;
    bystander.join("lobby").await;
    bystander.until_present("lobby", &["alice", "eve"]).await;

    let began = Instant::now();
    let body = json!({ "duration_ms": 600_000, "reason": "spam, twice" });
    let banned = server(&cluster, 0, "PUT", "/v1/users/eve/ban", body).await;
    assert_eq!((banned.status, &banned.json()["user"]), (200, &json!("eve")));
    for session in &mut sessions {
        let close = session.closed().await;
        assert_eq!((close.code, &*close.reason), (1008, "banned"));
        let said = session.expect("closing").await;
        let wait = said["retry_after_ms"].as_u64().expect("when to come back");
        assert!((1..=600_000).contains(&wait) && said["message"] == "spam, twice", "{said}");
    }
    println!("three sessions of two nodes were closed after {:?}", began.elapsed());
    bystander.until_present("lobby", &["alice"]).await;
    for node in [0, 1] {
        let (close, said) = turned_away(&cluster, node, &token("eve")).await;
        assert_eq!((close.code, &*close.reason), (1008, "banned"));
        assert_eq!(said[0]["message"], "spam, twice");
        let call =
            Request::get("/v1/rooms/lobby/messages").bearer(&token("eve")).send(cluster.addr(node)).await;
        assert_eq!(call.status, 403, "{call:?}");
        let stream =
            Request::get("/v1/events?room=lobby").bearer(&token("eve")).send(cluster.addr(node)).await;
        assert_eq!(stream.status, 403, "{stream:?}");
    }
    assert!(cluster.nodes[0].log().contains("audit"), "an act of moderation leaves a line");
    let line = cluster.nodes[0].log().lines().find(|line| line.contains("user banned")).map(str::to_owned);
    assert!(line.is_some_and(|line| line.contains("eve") && line.contains("API key 2")));

    // Another node, and Redis itself begins again.
    cluster.redis.stop().await;
    cluster.redis.restart().await;
    cluster.add().await;
    until(PATIENCE, "the new node to turn her away", async || {
        let (close, _) = turned_away(&cluster, 2, &token("eve")).await;
        if close.code == 1008 { Ok(()) } else { Err(format!("{close:?}")) }
    })
    .await;
    let shown = server(&cluster, 1, "GET", "/v1/users/eve/ban", Value::Null).await.json();
    assert_eq!(shown["reason"], "spam, twice");
    assert_eq!(server(&cluster, 1, "DELETE", "/v1/users/eve/ban", Value::Null).await.status, 204);
    for node in [0, 1, 2] {
        // Until it has found Redis again it goes by what it knows.
        cluster.nodes[node].ready().await;
        Client::connect(cluster.addr(node), "eve").await;
    }
}

#[tokio::test]
async fn what_a_node_knows_holds_while_redis_is_away() {
    let mut cluster = cluster(2).await;
    server(&cluster, 0, "PUT", "/v1/users/eve/ban", Value::Null).await;
    assert_eq!(turned_away(&cluster, 1, &token("eve")).await.0.code, 1008);
    cluster.redis.stop().await;
    until(PATIENCE, "the node to notice", async || {
        let ready = Request::get("/readyz").send(cluster.addr(1)).await.status;
        if ready == 503 { Ok(()) } else { Err(ready.to_string()) }
    })
    .await;
    assert_eq!(turned_away(&cluster, 1, &token("eve")).await.0.code, 1008, "what is known holds");
    Client::connect(cluster.addr(1), "alice").await;
}

#[tokio::test]
async fn a_disconnected_user_may_come_back() {
    let cluster = cluster(2).await;
    let mut sessions =
        vec![Client::connect(cluster.addr(0), "bob").await, Client::connect(cluster.addr(1), "bob").await];
    let mut other = Client::connect(cluster.addr(1), "alice").await;
    let done = server(&cluster, 0, "POST", "/v1/users/bob/disconnect", json!({ "reason": "bye" })).await;
    assert_eq!(done.status, 204, "{done:?}");
    for session in &mut sessions {
        let close = session.closed().await;
        assert_eq!((close.code, &*close.reason), (1008, "kicked"));
        assert_eq!(session.expect("closing").await["message"], "bye");
    }
    Client::connect(cluster.addr(0), "bob").await;
    other.join("lobby").await;
}

#[tokio::test]
async fn tokens_from_before_a_revocation_are_worthless() {
    let cluster = cluster(2).await;
    let issued = |ago: i64| sign(&json!({ "sub": "bob", "exp": expiring(600), "iat": expiring(-ago) }));
    let (old, timeless) = (issued(60), sign(&json!({ "sub": "bob", "exp": expiring(600) })));
    let mut with_old = Dial::to(cluster.addr(1)).bearer(&old).named("old").welcomed().await;
    let mut with_new = Dial::to(cluster.addr(1)).bearer(&issued(10)).named("new").welcomed().await;
    let since = (expiring(-30) * 1000).cast_unsigned();
    let revoked = server(&cluster, 0, "POST", "/v1/users/bob/revoke", json!({ "since_ms": since })).await;
    assert_eq!((revoked.status, &revoked.json()["since_ms"]), (200, &json!(since)));
    let close = with_old.closed().await;
    assert_eq!((close.code, &*close.reason), (1008, "auth_failed"));
    for node in [0, 1] {
        for token in [&old, &timeless] {
            assert_eq!(turned_away(&cluster, node, token).await.0.reason, "auth_failed");
        }
        Dial::to(cluster.addr(node)).bearer(&issued(0)).welcomed().await;
    }
    with_new.join("lobby").await;
    assert_eq!(with_new.refused(json!({ "type": "auth", "token": old })).await, "forbidden");
    with_new.ok(json!({ "type": "auth", "token": issued(5) })).await;
}

#[tokio::test]
async fn a_right_that_is_gone_when_a_token_is_renewed_ends_the_membership() {
    let cluster = cluster(1).await;
    let with = |rooms: Value| sign(&json!({ "sub": "bob", "exp": expiring(600), "rooms": rooms }));
    let first = with(json!({ "a": "rw", "b": "rw" }));
    let mut bob = Dial::to(cluster.addr(0)).bearer(&first).named("bob").welcomed().await;
    for room in ["a", "b"] {
        bob.join(room).await;
    }
    bob.ok(json!({ "type": "auth", "token": with(json!({ "a": "r" })) })).await;
    let error = bob.expect("error").await;
    assert_eq!(
        (&error["code"], &error["room"], error.get("ref")),
        (&json!("forbidden"), &json!("b"), None),
        "{error}"
    );
    assert_eq!(bob.refused(json!({ "type": "message", "room": "a", "data": 1 })).await, "forbidden");
    assert_eq!(bob.refused(json!({ "type": "message", "room": "b", "data": 1 })).await, "not_joined");
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("b").await;
    alice.say("b", "not for bob").await;
    alice.join("a").await;
    alice.say("a", "for bob").await;
    assert_eq!(bob.expect("message").await["room"], "a");
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_messages_in_the_whole_cluster() {
    let lines = "sessions_per_user = 2\nmessages_per_second = 2\n";
    let options = options().config(&format!("{FAST}{lines}"));
    let cluster = Cluster::start_with(Redis::start().await, 2, options).await;
    let mut first = Client::connect(cluster.addr(0), "bob").await;
    let mut second = Client::connect(cluster.addr(1), "bob").await;
    for node in [0, 1] {
        let (close, said) = turned_away(&cluster, node, &token("bob")).await;
        assert_eq!((close.code, &*close.reason), (1013, "overloaded"));
        assert!(said[0]["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{said:?}");
    }
    Client::connect(cluster.addr(0), "alice").await;
    first.join("lobby").await;
    second.join("lobby").await;
    // Four at once, by whichever node.
    for _ in 0..2 {
        first.say("lobby", 1).await;
        second.say("lobby", 1).await;
    }
    let mut limited = None;
    for _ in 0..10 {
        let reply = second.request(json!({ "type": "message", "room": "lobby", "data": 1 })).await;
        if reply["code"] == "rate_limited" {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("more than two a second");
    let wait = limited["retry_after_ms"].as_u64().expect("when to try again");
    assert!((1..=1_000).contains(&wait), "{limited}");
    first.drain(Duration::from_millis(wait)).await;
    until(PATIENCE, "the next one to pass", async || {
        let reply = first.request(json!({ "type": "message", "room": "lobby", "data": 1 })).await;
        if reply["type"] == "ok" { Ok(()) } else { Err(reply.to_string()) }
    })
    .await;
    // A place that is given back is free.
    second.hang_up().await;
    until(PATIENCE, "the place to be free", async || {
        let mut client =
            Dial::to(cluster.addr(0)).bearer(&token("bob")).open().await.map_err(|_| "refused")?;
        let welcome = client.next().await;
        if welcome["type"] == "welcome" { Ok(()) } else { Err(welcome.to_string()) }
    })
    .await;
}
