//! The HTTP API, over two gateways and a Redis.

use serde_json::{Value, json};
use testkit::{
    Client, Cluster, Dial, PATIENCE, Redis, Request, Response, expiring, sign, token, until, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{FAST, options};

pub(crate) const KEY: &str = "an API key that only tests know";

/// Gateways that take an API key.
pub(crate) async fn cluster(size: usize) -> Cluster {
    configured(size, "").await
}

async fn configured(size: usize, lines: &str) -> Cluster {
    let options = options()
        .config(&format!("{FAST}{lines}"))
        .env("CHORUS_API_KEYS", format!("first-key-of-the-server,{KEY}"));
    Cluster::start_with(Redis::start().await, size, options).await
}

/// A call by the server.
pub(crate) async fn server(
    cluster: &Cluster,
    node: usize,
    method: &'static str,
    path: &str,
    body: Value,
) -> Response {
    call(cluster, node, KEY, method, path, body).await
}

async fn call(
    cluster: &Cluster,
    node: usize,
    bearer: &str,
    method: &'static str,
    path: &str,
    body: Value,
) -> Response {
    let request = Request::new(method, path).bearer(bearer);
    let request = if body.is_null() { request } else { request.json(&body) };
    request.send(cluster.addr(node)).await
}

/// Asserts what an error says.
fn refused(response: &Response, status: u16, code: &str) {
    assert_eq!(
        (response.status, response.header("content-type")),
        (status, Some("application/problem+json")),
        "{response:?}"
    );
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{response:?}");
    assert!(problem["detail"].as_str().is_some_and(|text| text.len() > 5), "{response:?}");
}

#[tokio::test]
async fn messages_are_posted_once_and_read_in_pages() {
    let cluster = cluster(2).await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    bob.join("lobby").await;
    let path = "/v1/rooms/lobby/messages";
    let post = |key: &'static str, data: Value| {
        Request::new("POST", path)
            .bearer(&token("alice"))
            .header("Idempotency-Key", key)
            .json(&json!({ "data": data }))
    };
    let first = post("k1", json!({ "text": "hi" })).send(cluster.addr(0)).await;
    assert_eq!(first.status, 200, "{first:?}");
    let told = bob.expect("message").await;
    assert_eq!(
        (&told["from"], &told["data"]["text"], &told["id"], &told["seq"]),
        (&json!("alice"), &json!("hi"), &json!("k1"), &json!(1))
    );
    assert_eq!(
        first.json(),
        json!({ "room": "lobby", "epoch": told["epoch"], "seq": 1, "id": "k1", "duplicate": false })
    );
    let again = post("\"k1\"", json!("other")).send(cluster.addr(1)).await.json();
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)), "also by the other node");

    let body = json!({ "data": 2, "from": "carol", "name": "Carol", "id": "k2" });
    assert_eq!(server(&cluster, 0, "POST", path, body).await.json()["seq"], 2);
    let told = bob.expect("message").await;
    assert_eq!((&told["from"], &told["name"]), (&json!("carol"), &json!("Carol")));
    assert_eq!(server(&cluster, 0, "POST", path, json!({ "data": null })).await.json()["seq"], 3);
    assert_eq!(bob.expect("message").await["from"], "server");

    let get = |query: &str, tag: Option<&str>| {
        let request = Request::get(format!("{path}{query}")).bearer(&token("alice"));
        let request = if let Some(tag) = tag { request.header("If-None-Match", tag) } else { request };
        request.send(cluster.addr(1))
    };
    let page = get("", None).await;
    let seqs = |page: &Response| {
        let events = page.json()["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["seq"].as_u64().unwrap_or(0)).collect::<Vec<_>>()
    };
    assert_eq!((page.status, seqs(&page), &page.json()["more"]), (200, vec![1, 2, 3], &json!(false)));
    let tag = page.header("etag").expect("a page has an ETag").to_owned();
    assert_eq!(get("", Some(&tag)).await.status, 304);
    let part = get("?after=1&limit=1", None).await;
    assert_eq!((seqs(&part), &part.json()["more"]), (vec![2], &json!(true)));
    assert_eq!(seqs(&get("?before=3&limit=1", None).await), [2]);
    post("k3", json!(4)).send(cluster.addr(0)).await;
    assert_eq!(get("", Some(&tag)).await.status, 200, "it has changed");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_changes_nothing() {
    let cluster = configured(1, "[rooms]\ndefault_rights = 'r'\n").await;
    let alice = token("alice");
    let path = "/v1/rooms/lobby/messages";
    let message = json!({ "data": 1 });
    let cases = [
        ("", "POST", path, message.clone(), 401, "auth_failed"),
        ("nonsense", "POST", path, message.clone(), 401, "auth_failed"),
        (&*alice, "POST", path, message.clone(), 403, "forbidden"),
        (KEY, "POST", path, json!({}), 400, "bad_request"),
        (KEY, "POST", path, json!([1]), 400, "bad_request"),
        (KEY, "POST", path, json!({ "data": 1, "id": "" }), 400, "bad_request"),
        (KEY, "POST", path, json!({ "data": 1, "from": "a b" }), 400, "bad_request"),
        (KEY, "POST", path, json!({ "data": "x".repeat(17_000) }), 413, "too_large"),
        (KEY, "POST", path, json!({ "data": "x".repeat(70_000) }), 413, "too_large"),
        (KEY, "POST", "/v1/rooms/a%20b/messages", message.clone(), 400, "bad_room"),
        (KEY, "POST", "/v1/rooms/%ff/messages", message.clone(), 400, "bad_request"),
        (&*alice, "POST", "/v1/rooms/@bob/messages", message.clone(), 403, "forbidden"),
        (&*alice, "GET", "/v1/rooms/@bob/messages", Value::Null, 403, "forbidden"),
        (&*alice, "GET", "/v1/rooms/lobby/messages?limit=0", Value::Null, 400, "bad_request"),
        (&*alice, "GET", "/v1/rooms/lobby/messages?limit=x", Value::Null, 400, "bad_request"),
        (&*alice, "GET", "/v1/rooms/lobby/messages?before=1&after=1", Value::Null, 400, "bad_request"),
        (&*alice, "POST", "/v1/broadcast", json!({ "rooms": ["a"], "data": 1 }), 403, "forbidden"),
        (KEY, "POST", "/v1/broadcast", json!({ "rooms": [], "data": 1 }), 400, "bad_request"),
        (&*alice, "GET", "/v1/rooms", Value::Null, 403, "forbidden"),
        (KEY, "GET", "/v1/rooms?after=nonsense", Value::Null, 400, "bad_request"),
        (&*alice, "GET", "/v1/nodes", Value::Null, 403, "forbidden"),
        (&*alice, "PUT", "/v1/users/bob/ban", json!({}), 403, "forbidden"),
        (KEY, "PUT", "/v1/users/a%20b/ban", json!({}), 400, "bad_request"),
        (KEY, "PUT", "/v1/users/bob/ban", json!({ "duration_ms": 0 }), 400, "bad_request"),
        (KEY, "PUT", "/v1/users/bob/ban", json!({ "reason": "x".repeat(513) }), 400, "bad_request"),
        (KEY, "GET", "/v1/users/bob/ban", Value::Null, 404, "not_found"),
        (
            KEY,
            "POST",
            "/v1/users/bob/revoke",
            json!({ "since_ms": 9_000_000_000_000_000_u64 }),
            400,
            "bad_request",
        ),
        (&*alice, "POST", "/v1/users/bob/disconnect", Value::Null, 403, "forbidden"),
        (&*alice, "PUT", "/v1/rooms/lobby/mutes/bob", json!({}), 403, "forbidden"),
        (
            &*alice,
            "POST",
            "/v1/frames",
            json!({ "type": "message", "room": "lobby", "data": 1 }),
            403,
            "forbidden",
        ),
        (
            &*alice,
            "POST",
            "/v1/frames?from=bob",
            json!({ "type": "presence", "room": "lobby" }),
            403,
            "forbidden",
        ),
        (&*alice, "POST", "/v1/frames", json!({ "type": "join", "room": "lobby" }), 400, "unknown_type"),
        (&*alice, "POST", "/v1/frames", json!({ "type": "nonsense" }), 400, "unknown_type"),
        (&*alice, "DELETE", path, Value::Null, 405, "bad_request"),
        (&*alice, "GET", "/v1/nonsense", Value::Null, 404, "not_found"),
    ];
    for (bearer, method, path, body, status, code) in cases {
        let response = call(&cluster, 0, bearer, method, path, body.clone()).await;
        let shown: String = body.to_string().chars().take(80).collect();
        assert_eq!(response.status, status, "{method} {path} {shown}: {response:?}");
        refused(&response, status, code);
    }
    let page = server(&cluster, 0, "GET", path, Value::Null).await.json();
    assert_eq!(page["events"], json!([]), "what was refused changed nothing");
    let strange =
        Request::new("POST", path).bearer(KEY).header("Origin", "https://evil.example").json(&message);
    refused(&strange.send(cluster.addr(0)).await, 403, "forbidden");
}

#[tokio::test]
async fn callers_are_limited_each_by_itself() {
    let cluster = configured(1, "calls_per_second = 1\n").await;
    let get =
        |user: &str| Request::get("/v1/rooms/lobby/messages").bearer(&token(user)).send(cluster.addr(0));
    let limited = until(PATIENCE, "a call too many", async || {
        let response = get("alice").await;
        if response.status == 429 { Ok(response) } else { Err(response.status.to_string()) }
    })
    .await;
    refused(&limited, 429, "rate_limited");
    let wait = limited.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(wait.is_some_and(|seconds| (1..=2).contains(&seconds)), "{limited:?}");
    assert_eq!(get("bob").await.status, 200);
}

#[tokio::test]
async fn the_pace_of_users_does_not_hold_for_servers() {
    let cluster = configured(1, "messages_per_second = 1\n").await;
    let mut rooms: Vec<_> = (0..49).map(|number| format!("room-{number}")).collect();
    rooms.push("@me".to_owned());
    let body = json!({ "rooms": rooms, "data": "all hands" });
    let answer = server(&cluster, 0, "POST", "/v1/broadcast", body).await.json();
    let results = answer["results"].as_array().expect("a result for each room");
    assert!(results.len() == 50 && results.iter().all(|result| result["seq"] == 1), "{answer}");
    assert_eq!(results[49]["room"], "@server", "its own, as elsewhere");
    let limited = until(PATIENCE, "a message too many", async || {
        let path = "/v1/rooms/lobby/messages";
        let response = call(&cluster, 0, &token("alice"), "POST", path, json!({ "data": 1 })).await;
        if response.status == 429 { Ok(response) } else { Err(response.status.to_string()) }
    })
    .await;
    refused(&limited, 429, "rate_limited");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let gateway = options().config("[limits]\nheader_read_timeout_ms = 300\n").start().await;
    let mut stream = tokio::net::TcpStream::connect(gateway.addr()).await.expect("a connection");
    let head = format!(
        "POST /v1/rooms/lobby/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n{{",
        token("alice")
    );
    stream.write_all(head.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    within(PATIENCE, "an answer and its end", stream.read_to_string(&mut answer)).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn one_message_goes_into_many_rooms() {
    let cluster = cluster(2).await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    for room in ["a", "b"] {
        bob.join(room).await;
    }
    let body = json!({ "rooms": ["a", "b", "not a room"], "data": "all hands", "id": "x1" });
    for duplicate in [false, true] {
        let answer = server(&cluster, 0, "POST", "/v1/broadcast", body.clone()).await.json();
        let results = answer["results"].as_array().expect("a result for each room");
        assert_eq!(results.len(), 3);
        for (result, room) in results.iter().zip(["a", "b"]) {
            let expected = (&json!(room), &json!(1), &json!(duplicate));
            assert_eq!((&result["room"], &result["seq"], &result["duplicate"]), expected, "{answer}");
        }
        assert_eq!(results[2]["error"]["code"], "bad_room", "{answer}");
    }
    for room in ["a", "b"] {
        bob.until_events(room, 1).await;
    }
}

#[tokio::test]
async fn the_whole_chat_goes_by_calls() {
    let cluster = cluster(2).await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    bob.join("lobby").await;
    let frame = |user: &str, frame: Value| {
        let request = Request::new("POST", "/v1/frames").bearer(&token(user)).json(&frame);
        request.send(cluster.addr(0))
    };
    let ok =
        frame("alice", json!({ "type": "message", "room": "lobby", "data": "helo", "ref": 7 })).await.json();
    assert_eq!((&ok["type"], &ok["ref"], &ok["seq"]), (&json!("ok"), &json!(7), &json!(1)));
    let target = json!({ "epoch": ok["epoch"], "seq": 1 });
    let of = |kind: &str, more: Value| {
        let mut frame = json!({ "type": kind, "room": "lobby", "target": target });
        frame.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        frame
    };
    refused(&frame("eve", of("edit", json!({ "data": "x" }))).await, 403, "forbidden");
    frame("alice", of("edit", json!({ "data": "hello" }))).await;
    assert_eq!(bob.expect("edit").await["data"], "hello");
    frame("alice", of("react", json!({ "key": "👍", "on": true }))).await;
    assert_eq!(bob.expect("reaction").await["from"], "alice");
    assert_eq!(frame("alice", of("read", json!({}))).await.json()["type"], "ok");
    assert_eq!(bob.expect("read").await["markers"][0]["user"], "alice");
    frame("alice", json!({ "type": "typing", "room": "lobby", "on": true })).await;
    assert_eq!(bob.expect("typing").await["from"], "alice");
    until(PATIENCE, "bob to be known of", async || {
        let there = frame("alice", json!({ "type": "presence", "room": "lobby" })).await.json();
        let known = there["members"] == json!([{ "user": "bob" }]) && there["count"] == 1;
        if known { Ok(()) } else { Err(there.to_string()) }
    })
    .await;
    frame("alice", of("delete", json!({}))).await;
    bob.expect("delete").await;
    let page = frame("alice", json!({ "type": "history", "room": "lobby" })).await.json();
    assert_eq!(page["events"].as_array().map(Vec::len), Some(4), "{page}");
    assert_eq!((&page["events"][0]["deleted"], &page["markers"][0]["user"]), (&json!(true), &json!("alice")));
    let gone = frame("alice", of("react", json!({ "key": "x", "on": true }))).await;
    refused(&gone, 404, "not_found");
    // A moderator who may not post amends what stands there and reacts to nothing, as over a socket.
    let reader = sign(&json!({ "sub": "mod", "exp": expiring(60), "rooms": { "lobby": "rm" } }));
    let own = frame("alice", json!({ "type": "message", "room": "lobby", "data": "hm" })).await.json();
    let about = json!({ "epoch": own["epoch"], "seq": own["seq"] });
    let react = json!({ "type": "react", "room": "lobby", "target": about, "key": "x", "on": true });
    refused(&call(&cluster, 0, &reader, "POST", "/v1/frames", react).await, 403, "forbidden");
    let edit = json!({ "type": "edit", "room": "lobby", "target": about, "data": "[moderated]" });
    assert_eq!(call(&cluster, 0, &reader, "POST", "/v1/frames", edit).await.status, 200);
    let pong = frame("alice", json!({ "type": "ping", "ref": 7 })).await.json();
    assert_eq!(pong, json!({ "type": "pong", "ref": 7 }));
    // A server moderates.
    let other = frame("alice", json!({ "type": "message", "room": "lobby", "data": "spam" })).await.json();
    let target = json!({ "epoch": other["epoch"], "seq": other["seq"] });
    let delete = json!({ "type": "delete", "room": "lobby", "target": target });
    assert_eq!(server(&cluster, 1, "POST", "/v1/frames?from=mod", delete).await.status, 200);
    assert_eq!(bob.expect("delete").await["from"], "mod");
}

#[tokio::test]
async fn what_is_going_on() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", 1).await;
    alice.expect("presence").await;
    let members = server(&cluster, 1, "GET", "/v1/rooms/lobby/members", Value::Null).await;
    let expected = json!({ "room": "lobby", "count": 1, "members": [{ "user": "alice" }] });
    assert_eq!((members.status, members.json()), (200, expected));
    let tag = members.header("etag").expect("an ETag");
    let again = Request::get("/v1/rooms/lobby/members").bearer(KEY).header("If-None-Match", tag);
    assert_eq!(again.send(cluster.addr(0)).await.status, 304);

    let (mut after, mut rooms) = (String::new(), Vec::new());
    loop {
        let page = server(&cluster, 1, "GET", &format!("/v1/rooms?limit=1{after}"), Value::Null).await.json();
        rooms.extend(page["rooms"].as_array().cloned().unwrap_or_default());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(rooms.len(), 1, "{rooms:?}");
    assert_eq!(
        (&rooms[0]["room"], &rooms[0]["seq"], &rooms[0]["count"]),
        (&json!("lobby"), &json!(1), &json!(1))
    );

    until(PATIENCE, "both nodes to be listed with what they say", async || {
        let nodes = server(&cluster, 0, "GET", "/v1/nodes", Value::Null).await.json();
        let all = nodes["nodes"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> = all.iter().map(|node| node["name"].as_str().unwrap_or_default()).collect();
        let connections = all.iter().filter_map(|node| node["connections"].as_u64()).sum::<u64>();
        if names == ["node-0", "node-1"] && connections == 1 { Ok(()) } else { Err(nodes.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn pages_of_listed_origins_may_call() {
    let cluster = configured(1, "").await;
    let own = format!("http://{}", cluster.addr(0));
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/v1/rooms/lobby/messages")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
    };
    let response = preflight("https://evil.example").send(cluster.addr(0)).await;
    assert_eq!(response.header("access-control-allow-origin"), None, "{response:?}");
    let same = Request::new("POST", "/v1/rooms/lobby/messages").bearer(&token("alice")).header("Origin", own);
    assert_eq!(same.json(&json!({ "data": 1 })).send(cluster.addr(0)).await.status, 200);

    let listed = options().env("CHORUS_ALLOWED_ORIGINS", "https://app.example").start().await;
    let response = preflight("https://app.example").send(listed.addr()).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("https://app.example"), "{response:?}");
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    let page = Request::get("/v1/rooms/lobby/messages")
        .bearer(&token("alice"))
        .header("Origin", "https://app.example");
    let response = page.send(listed.addr()).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("https://app.example"), "{response:?}");
}

#[tokio::test]
async fn a_moderator_calls_for_its_own_rooms_only() {
    let cluster = cluster(2).await;
    let claims = json!({ "sub": "mod", "exp": expiring(60), "rooms": { "lobby": "rwm", "*": "rw" } });
    let moderator = sign(&claims);
    let mut bob = Dial::to(cluster.addr(1)).bearer(&token("bob")).named("bob").welcomed().await;
    bob.join("lobby").await;
    let path = "/v1/rooms/lobby/mutes/bob";
    let muted =
        call(&cluster, 0, &moderator, "PUT", path, json!({ "duration_ms": 60_000, "reason": "too loud" }))
            .await;
    assert_eq!((muted.status, &muted.json()["reason"]), (200, &json!("too loud")), "{muted:?}");
    let elsewhere = call(&cluster, 0, &moderator, "PUT", "/v1/rooms/other/mutes/bob", Value::Null).await;
    refused(&elsewhere, 403, "forbidden");
    until(PATIENCE, "bob to be silent", async || {
        let reply = bob.request(json!({ "type": "message", "room": "lobby", "data": 1 })).await;
        let silent = reply["code"] == "forbidden" && reply["message"].to_string().contains("too loud");
        let waits = reply["retry_after_ms"].as_u64().is_some_and(|wait| (1..=60_000).contains(&wait));
        if silent && waits { Ok(()) } else { Err(reply.to_string()) }
    })
    .await;
    let posted =
        call(&cluster, 0, &token("bob"), "POST", "/v1/rooms/lobby/messages", json!({ "data": 1 })).await;
    refused(&posted, 403, "forbidden");
    let mutes = call(&cluster, 1, &moderator, "GET", "/v1/rooms/lobby/mutes", Value::Null).await.json();
    assert_eq!((&mutes["mutes"][0]["user"], &mutes["mutes"][0]["room"]), (&json!("bob"), &json!("lobby")));
    assert_eq!(call(&cluster, 1, &moderator, "DELETE", path, Value::Null).await.status, 204);
    until(PATIENCE, "bob to speak", async || {
        let reply = bob.request(json!({ "type": "message", "room": "lobby", "data": 1 })).await;
        if reply["type"] == "ok" { Ok(()) } else { Err(reply.to_string()) }
    })
    .await;
}
