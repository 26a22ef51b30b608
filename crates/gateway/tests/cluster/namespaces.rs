//! What holds in a namespace, over two gateways and a Redis.

use serde_json::json;
use testkit::{Client, Cluster, Dial, PATIENCE, Redis, Request, expiring, sign, token, until};

use crate::fixture::{FAST, options};

async fn cluster(lines: &str) -> Cluster {
    let options = options().config(&format!("{FAST}{lines}")).env("CHORUS_API_KEYS", crate::calls::KEY);
    Cluster::start_with(Redis::start().await, 2, options).await
}

async fn joined(cluster: &Cluster, node: usize, user: &str, room: &str) -> Client {
    let mut client = Client::connect(cluster.addr(node), user).await;
    client.join(room).await;
    client
}

#[tokio::test]
async fn each_has_its_own_history_sizes_and_rights() {
    let cluster = cluster(
        "
        [namespaces.short]
        history_length = 5
        data_bytes = 100
        [namespaces.large]
        data_bytes = 40_000
        [namespaces.closed]
        default_rights = ''
        [namespaces.news]
        members_may_post = false
        [namespaces.'@']
        history_length = 3
        ",
    )
    .await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    assert_eq!(alice.welcome()["limits"]["data_bytes"], 40_000, "the largest that may come anywhere");
    for room in ["short:a", "large:a", "lobby", "news:a"] {
        alice.join(room).await;
    }
    for (room, bytes, code) in
        [("short:a", 101, "too_large"), ("lobby", 20_000, "too_large"), ("large:a", 50_000, "too_large")]
    {
        let data = "x".repeat(bytes - 2);
        assert_eq!(
            alice.refused(json!({ "type": "message", "room": room, "data": data })).await,
            code,
            "{room}"
        );
    }
    let first = alice.say("short:a", "x".repeat(98)).await;
    alice.say("large:a", "x".repeat(39_000)).await;
    let target = json!({ "epoch": first["epoch"], "seq": first["seq"] });
    let edit = json!({ "type": "edit", "room": "short:a", "target": target, "data": "x".repeat(99) });
    assert_eq!(alice.refused(edit).await, "too_large", "an edit is no way around it");

    // Redis trims in blocks of a hundred.
    for number in 0..250 {
        alice.say("short:a", number).await;
    }
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    let page = bob.ok(json!({ "type": "history", "room": "short:a", "after": 0, "limit": 1 })).await;
    assert!(page["events"][0]["seq"].as_u64().is_some_and(|seq| seq > 100), "{page}");
    assert_eq!(bob.refused(json!({ "type": "join", "room": "closed:a" })).await, "forbidden");

    // Announcements.
    bob.join("news:a").await;
    assert_eq!(bob.refused(json!({ "type": "message", "room": "news:a", "data": 1 })).await, "forbidden");
    let claims = json!({ "sub": "editor", "exp": expiring(60), "rooms": { "news:*": "rwm" } });
    let mut editor = Dial::to(cluster.addr(1)).bearer(&sign(&claims)).named("editor").welcomed().await;
    editor.join("news:a").await;
    editor.say("news:a", "extra").await;
    assert_eq!(bob.expect("message").await["data"], "extra");
    let posted =
        crate::calls::server(&cluster, 0, "POST", "/v1/rooms/news:a/messages", json!({ "data": 2 })).await;
    assert_eq!(posted.status, 200, "{posted:?}");
    assert_eq!(bob.expect("message").await["from"], "server");
}

#[tokio::test]
async fn users_have_rooms_of_their_own() {
    let cluster = cluster("").await;
    let mut phone = Client::connect(cluster.addr(0), "alice").await;
    let mut laptop = Client::connect(cluster.addr(1), "alice").await;
    // Nobody is in its own room unless it joins.
    for client in [&mut phone, &mut laptop] {
        assert_eq!(
            client.refused(json!({ "type": "message", "room": "@me", "data": 1 })).await,
            "not_joined"
        );
        assert_eq!(client.join("@me").await["room"], "@alice");
        assert_eq!(client.refused(json!({ "type": "message", "room": "@me", "data": 1 })).await, "forbidden");
    }
    let mut bob = Client::connect(cluster.addr(0), "bob").await;
    assert_eq!(bob.refused(json!({ "type": "join", "room": "@alice" })).await, "forbidden");
    let posted =
        crate::calls::server(&cluster, 1, "POST", "/v1/rooms/@alice/messages", json!({ "data": "psst" }))
            .await;
    assert_eq!(posted.status, 200, "{posted:?}");
    for client in [&mut phone, &mut laptop] {
        assert_eq!(client.expect("message").await["data"], "psst");
    }
    // Whoever moderates all rooms posts there, too, and reads nothing.
    let claims = json!({ "sub": "mod", "exp": expiring(60), "rooms": { "*": "rwm" } });
    let path = "/v1/rooms/@alice/messages";
    let post = Request::new("POST", path).bearer(&sign(&claims)).json(&json!({ "data": "behave" }));
    assert_eq!(post.send(cluster.addr(0)).await.status, 200);
    assert_eq!(phone.expect("message").await["from"], "mod");
    let read = Request::get(path).bearer(&sign(&claims)).send(cluster.addr(0)).await;
    assert_eq!(read.status, 403, "{read:?}");
}

#[tokio::test]
async fn presence_has_its_size_and_a_room_its_members() {
    let cluster = cluster(
        "
        [presence]
        max_members = 2
        [namespaces.dark]
        presence = false
        [namespaces.small]
        members = 2
        ",
    )
    .await;
    let mut alice = joined(&cluster, 0, "alice", "lobby").await;
    let mut bob = joined(&cluster, 1, "bob", "lobby").await;
    alice.until_present("lobby", &["alice", "bob"]).await;
    let one = alice.say("lobby", 1).await;
    let mut carol = joined(&cluster, 1, "carol", "lobby").await;
    let crowd = |frame: &serde_json::Value| frame["count"] == 3 && frame.get("joined").is_none();
    for client in [&mut alice, &mut bob, &mut carol] {
        while !crowd(&client.expect("presence").await) {}
        let there = client.ok(json!({ "type": "presence", "room": "lobby" })).await;
        assert_eq!((&there["count"], there.get("members")), (&json!(3), None), "{there}");
    }
    // Nor is it told how far so many have read.
    let target = json!({ "epoch": one["epoch"], "seq": one["seq"] });
    carol.ok(json!({ "type": "read", "room": "lobby", "target": target })).await;
    let joined_again = carol.join("lobby").await;
    assert_eq!((joined_again.get("members"), joined_again.get("markers")), (None, None), "{joined_again}");
    // Few enough again: they are told who is there.
    carol.hang_up().await;
    alice.until_present("lobby", &["alice", "bob"]).await;
    bob.until_present("lobby", &["alice", "bob"]).await;
    assert!(!alice.has("read"), "a crowd hears of no markers");

    let ok = alice.join("dark:a").await;
    assert_eq!(ok.get("members"), None, "{ok}");
    assert_eq!(alice.refused(json!({ "type": "presence", "room": "dark:a" })).await, "forbidden");

    for client in [&mut alice, &mut bob] {
        client.join("small:a").await;
    }
    alice.until_present("small:a", &["alice", "bob"]).await;
    for node in [0, 1] {
        let mut late = Client::connect(cluster.addr(node), "late").await;
        until(PATIENCE, "the room to be full", async || {
            let reply = late.request(json!({ "type": "join", "room": "small:a" })).await;
            if reply["code"] == "too_large" { Ok(()) } else { Err(reply.to_string()) }
        })
        .await;
    }
    // A stream is told before it begins.
    let request = Request::get("/v1/events?room=small:a").bearer(&token("later"));
    let response = request.send(cluster.addr(0)).await;
    assert_eq!((response.status, &response.json()["code"]), (413, &json!("too_large")), "{response:?}");
    // Whoever is in may come by another session.
    joined(&cluster, 1, "alice", "small:a").await;
}

#[tokio::test]
async fn a_namespace_has_its_pace() {
    let cluster = cluster("[namespaces.slow]\nmessages_per_second = 1\n").await;
    let mut one = joined(&cluster, 0, "alice", "slow:a").await;
    let mut other = joined(&cluster, 1, "alice", "slow:a").await;
    one.say("slow:a", 1).await;
    other.say("slow:a", 2).await;
    let mut limited = None;
    for _ in 0..5 {
        let reply = one.request(json!({ "type": "message", "room": "slow:a", "data": 3 })).await;
        if reply["code"] == "rate_limited" {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("two at once and one a second, by both nodes together");
    assert!(limited["retry_after_ms"].as_u64().is_some_and(|wait| (1..=1_000).contains(&wait)), "{limited}");
    one.join("lobby").await;
    for number in 0..10 {
        one.say("lobby", number).await;
    }
}

#[tokio::test]
async fn of_many_who_come_at_once_by_a_node_no_more_stay_than_may() {
    let cluster = cluster("[namespaces.small]\nmembers = 3\n").await;
    let mut crowd = Vec::new();
    for number in 0..12 {
        crowd.push(Client::connect(cluster.addr(0), &format!("user-{number}")).await);
    }
    let mut pending = Vec::new();
    for client in &mut crowd {
        pending.push(client.submit(json!({ "type": "join", "room": "small:a" })).await);
    }
    let mut inside = Vec::new();
    for (client, reference) in crowd.iter_mut().zip(pending) {
        let reply = client.reply(reference).await;
        if reply["type"] == "ok" {
            inside.push(client.name().to_owned());
        } else {
            assert_eq!(reply["code"], "too_large", "{reply}");
            assert!(reply["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{reply}");
        }
    }
    assert_eq!(inside.len(), 3, "{inside:?}");
    // The other node's users count those of this one, and a place that is given back is free on both.
    let index = crowd.iter().position(|client| client.name() == inside[0]).unwrap();
    until(PATIENCE, "all nodes to be told", async || {
        let members =
            crate::calls::server(&cluster, 1, "GET", "/v1/rooms/small:a/members", json!(null)).await;
        if members.json()["count"] == 3 { Ok(()) } else { Err(members.json().to_string()) }
    })
    .await;
    let mut late = Client::connect(cluster.addr(1), "late").await;
    assert_eq!(late.refused(json!({ "type": "join", "room": "small:a" })).await, "too_large");
    crowd[index].ok(json!({ "type": "leave", "room": "small:a" })).await;
    until(PATIENCE, "a place", async || {
        let reply = late.request(json!({ "type": "join", "room": "small:a" })).await;
        if reply["type"] == "ok" { Ok(()) } else { Err(reply.to_string()) }
    })
    .await;
}

/// The block of the README that names the namespace `news`.
fn example() -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains("[namespaces.news]")).unwrap().to_owned()
}

#[tokio::test]
async fn the_example_in_the_readme_works() {
    let example = example();
    let printed = options().config(&example).args(&["config"]).run().await;
    let printed = String::from_utf8(printed.stdout).unwrap();
    for line in ["[namespaces.news]", "members_may_post = false", "[namespaces.\"@\"]"] {
        assert!(printed.contains(line), "{line} is not in force:\n{printed}");
    }

    let cluster = Cluster::start_with(Redis::start().await, 2, options().config(&example)).await;
    let rooms = json!({ "news:*": "rw", "staff:*": "rw" });
    let claims = json!({ "sub": "alice", "exp": expiring(60), "rooms": rooms });
    let mut alice = Dial::to(cluster.addr(0)).bearer(&sign(&claims)).named("alice").welcomed().await;
    alice.join("staff:1").await;
    alice.say("staff:1", "hello").await;
    alice.join("news:sport").await;
    let request = json!({ "type": "message", "room": "news:sport", "data": 1 });
    assert_eq!(alice.refused(request).await, "forbidden", "only moderators post there");
    // Whose token names no rooms may not come to the staff.
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    assert_eq!(bob.refused(json!({ "type": "join", "room": "staff:1" })).await, "forbidden");
    bob.join("news:sport").await;
    let claims = json!({ "sub": "editor", "exp": expiring(60), "rooms": { "news:*": "rwm" } });
    let mut editor = Dial::to(cluster.addr(0)).bearer(&sign(&claims)).named("editor").welcomed().await;
    editor.join("news:sport").await;
    editor.say("news:sport", "three to one").await;
    assert_eq!(bob.expect("message").await["data"], "three to one");
}
