//! What a client can ask for, and in which order it is answered.

use serde_json::{Value, json};
use testkit::{Client, Cluster, Dial, PATIENCE, Redis, expiring, sign, until};

use crate::fixture::{FAST, cluster, options, say_many, single};

#[tokio::test]
async fn the_same_id_again_gives_the_first_position_and_appends_nothing() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut elsewhere = Client::connect(cluster.addr(1), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    for client in [&mut alice, &mut elsewhere, &mut bob] {
        client.join("lobby").await;
    }
    let message = json!({ "type": "message", "room": "lobby", "id": "m-1", "data": "once" });
    let first = alice.ok(message.clone()).await;
    assert_eq!((&first["seq"], &first["duplicate"], &first["id"]), (&json!(1), &json!(false), &json!("m-1")));
    for client in [&mut alice, &mut elsewhere] {
        let again = client.ok(message.clone()).await;
        assert_eq!(
            (&again["seq"], &again["epoch"], &again["duplicate"]),
            (&json!(1), &first["epoch"], &json!(true))
        );
    }
    // An id is its user's own, and its room's.
    assert_eq!(bob.ok(message).await["seq"], 2);
    alice.join("other").await;
    let other = alice.ok(json!({ "type": "message", "room": "other", "id": "m-1", "data": "there" })).await;
    assert_eq!(other["duplicate"], false);
    for client in [&mut alice, &mut elsewhere, &mut bob] {
        client.until_seq("lobby", 2).await;
    }
    let event = alice.expect("message").await;
    assert_eq!(
        (&event["from"], &event["id"], &event["data"]),
        (&json!("alice"), &json!("m-1"), &json!("once"))
    );
    assert!(event["at"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{event}");
}

#[tokio::test]
async fn messages_of_one_connection_keep_their_order() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    alice.join("lobby").await;
    bob.join("lobby").await;
    // All at once, without waiting for an answer.
    for number in 0..500 {
        alice.submit(json!({ "type": "message", "room": "lobby", "data": number })).await;
    }
    for client in [&mut bob, &mut alice] {
        client.until_events("lobby", 500).await;
        let numbers: Vec<Value> = (0..500).map(|number| json!(number)).collect();
        assert_eq!(client.ledger("lobby").data(), numbers.iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn without_echo_the_ok_stands_in_the_place_of_the_event() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    alice.join("lobby").await;
    bob.join("lobby").await;
    // Both talk at once; alice's ledger takes her oks for her events and complains of any hole or repeat. No more than 64 wait
    // for their places.
    for half in 1..=2 {
        for number in 0..50 {
            alice.submit(json!({ "type": "message", "room": "lobby", "data": number, "echo": false })).await;
            bob.submit(json!({ "type": "message", "room": "lobby", "data": -number })).await;
        }
        alice.until_events("lobby", half * 100).await;
        bob.until_events("lobby", half * 100).await;
    }
    let of = |client: &Client| client.ledger("lobby").data().into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(of(&alice), of(&bob));
    assert!(alice.ledger("lobby").events.iter().all(|event| event.from != "alice"), "her own came back");
}

#[tokio::test]
async fn without_echo_the_ok_waits_for_the_replicas_all_the_same() {
    // The event is published before the replicas have it, and the ok once stood in its place.
    let redis = Redis::start_with(&["repl-diskless-sync-delay 0"]).await;
    let replica = Redis::start_with(&[&format!("replicaof 127.0.0.1 {}", redis.port())]).await;
    until(PATIENCE, "a level replica", async || {
        let info = format!("{:?}", redis.command(&["INFO", "replication"]));
        if info.contains("state=online") { Ok(()) } else { Err(info) }
    })
    .await;
    let config = format!("{FAST}[history]\nack = \"replicated\"\n");
    let cluster = Cluster::start_with(redis, 1, options().config(&config)).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    let message = json!({ "type": "message", "room": "lobby", "id": "m-1", "data": "mine", "echo": false });
    replica.freeze();
    assert_eq!(alice.refused(message.clone()).await, "unavailable");
    replica.thaw();
    let ok = until(PATIENCE, "the replica to confirm", async || {
        let reply = alice.request(message.clone()).await;
        if reply["type"] == "ok" { Ok(reply) } else { Err(reply.to_string()) }
    })
    .await;
    assert_eq!((&ok["seq"], &ok["duplicate"]), (&json!(1), &json!(true)));
    alice.until_events("lobby", 1).await;
    // Another is confirmed at once; its event comes all the same, and the ok does not pass for it.
    let ok = alice.ok(json!({ "type": "message", "room": "lobby", "data": 2, "echo": false })).await;
    assert_eq!((&ok["seq"], &ok["duplicate"]), (&json!(2), &json!(true)));
    alice.until_events("lobby", 2).await;
}

#[tokio::test]
async fn typing_reaches_the_room_and_leaves_no_trace() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    alice.join("lobby").await;
    bob.join("lobby").await;
    // It may be dropped, so it is said until it is heard.
    until(PATIENCE, "bob to hear that alice types", async || {
        alice.send(&json!({ "type": "typing", "room": "lobby", "on": true })).await;
        alice.request(json!({ "type": "ping" })).await;
        bob.request(json!({ "type": "ping" })).await;
        if bob.has("typing") { Ok(()) } else { Err("nothing".to_owned()) }
    })
    .await;
    let typing = bob.expect("typing").await;
    assert_eq!(typing, json!({ "type": "typing", "room": "lobby", "from": "alice", "on": true }));
    assert_eq!(bob.ok(json!({ "type": "history", "room": "lobby" })).await["events"], json!([]));
    assert_eq!(alice.join("lobby").await["head"], 0);
}

#[tokio::test]
async fn what_was_left_is_not_heard_and_what_was_not_joined_is_not_served() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    let mut bob = Client::connect(gateway.addr(), "bob").await;
    for request in [
        json!({ "type": "message", "room": "lobby", "data": 1 }),
        json!({ "type": "typing", "room": "lobby", "on": true }),
        json!({ "type": "leave", "room": "lobby" }),
    ] {
        assert_eq!(alice.refused(request).await, "not_joined");
    }
    alice.join("lobby").await;
    bob.join("lobby").await;
    bob.say("lobby", "heard").await;
    alice.until_events("lobby", 1).await;
    alice.ok(json!({ "type": "leave", "room": "lobby" })).await;
    bob.say("lobby", "unheard").await;
    bob.until_events("lobby", 2).await;
    alice.drain(std::time::Duration::from_millis(50)).await;
    assert_eq!(alice.ledger("lobby").events.len(), 1);
    assert_eq!(alice.refused(json!({ "type": "message", "room": "lobby", "data": 1 })).await, "not_joined");
}

#[tokio::test]
async fn history_comes_in_pages() {
    let redis = cluster(1).await;
    let memory = single().await;
    for addr in [redis.addr(0), memory.addr()] {
        let mut alice = Client::connect(addr, "alice").await;
        alice.join("lobby").await;
        say_many(&mut alice, "lobby", 0..250).await;
        // Membership is not needed.
        let mut bob = Client::connect(addr, "bob").await;
        let mut page = async |mut ask: Value| {
            ask["type"] = json!("history");
            ask["room"] = json!("lobby");
            let ok = bob.ok(ask).await;
            let events = ok["events"].as_array().unwrap();
            let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
            assert!(
                events.iter().all(|event| event["type"] == "message" && event["from"] == "alice"),
                "{ok}"
            );
            (seqs, ok["more"] == true)
        };
        let run = |range: std::ops::RangeInclusive<u64>| range.collect::<Vec<_>>();
        assert_eq!(page(json!({ "limit": 10 })).await, (run(241..=250), true));
        assert_eq!(page(json!({ "limit": 200 })).await, (run(51..=250), true));
        assert_eq!(page(json!({ "before": 51, "limit": 200 })).await, (run(1..=50), false));
        assert_eq!(page(json!({ "before": 51, "limit": 20 })).await, (run(31..=50), true));
        assert_eq!(page(json!({ "after": 0, "limit": 5 })).await, (run(1..=5), true));
        assert_eq!(page(json!({ "after": 245, "limit": 200 })).await, (run(246..=250), false));
        assert_eq!(page(json!({ "after": 250 })).await, (vec![], false));
        assert_eq!(page(json!({ "before": 1 })).await, (vec![], false));
        let too_many = bob.request(json!({ "type": "history", "room": "lobby", "limit": 201 })).await;
        assert!(too_many["code"] == "bad_request" || too_many["events"].as_array().unwrap().len() == 200);
        let both = bob.request(json!({ "type": "history", "room": "lobby", "before": 9, "after": 1 })).await;
        assert_eq!(both["code"], "bad_request", "{both}");
    }
}

#[tokio::test]
async fn a_page_of_history_ends_at_256_kib() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    for _ in 0..60 {
        alice.say("lobby", "x".repeat(16_000)).await;
    }
    let ok = alice.ok(json!({ "type": "history", "room": "lobby", "after": 0, "limit": 200 })).await;
    let count = ok["events"].as_array().unwrap().len();
    assert!(ok.to_string().len() <= 512 * 1024, "no frame is longer than 512 KiB");
    assert_eq!(ok["more"], true);
    assert!((10..=17).contains(&count), "{count} events of 16 KB");
}

/// Not as many events as may be asked for, of which most would be thrown away.
#[tokio::test]
async fn a_page_of_history_costs_redis_what_it_holds() {
    let cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    for _ in 0..200 {
        alice.say("lobby", "x".repeat(3_000)).await;
    }
    let sent = || cluster.redis.info("stats", "total_net_output_bytes").parse::<usize>().unwrap();
    for forward in [true, false] {
        let mut ask = json!({ "type": "history", "room": "lobby", "limit": 200 });
        if forward {
            ask["after"] = json!(0);
        }
        let mut seqs = Vec::new();
        loop {
            let before = sent();
            let ok = alice.ok(ask.clone()).await;
            let cost = sent() - before;
            assert!(cost < 400_000, "{cost} bytes for a page");
            let page: Vec<u64> =
                ok["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
            if forward {
                ask["after"] = json!(page.last());
                seqs.extend(page);
            } else {
                ask["before"] = json!(page.first());
                seqs.splice(0..0, page);
            }
            if ok["more"] == false {
                break;
            }
            assert!(seqs.len() < 200, "there is no more");
        }
        assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn one_s_own_room_has_a_short_name() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    let ok = alice.join("@me").await;
    assert_eq!(ok["room"], "@alice");
    assert_eq!(alice.refused(json!({ "type": "message", "room": "@me", "data": 1 })).await, "forbidden");
    assert_eq!(alice.refused(json!({ "type": "join", "room": "@bob" })).await, "forbidden");
}

#[tokio::test]
async fn a_name_and_a_wide_range_of_user_ids_are_handed_on() {
    let gateway = single().await;
    let id = "user|42@example.org/a+b=c#1";
    let token = sign(&json!({ "sub": id, "name": "Älice \"the\" 1st", "exp": expiring(60) }));
    let mut alice = Dial::to(gateway.addr()).bearer(&token).welcomed().await;
    alice.join("lobby").await;
    alice.say("lobby", "hello").await;
    let event = alice.expect("message").await;
    assert_eq!((&event["from"], &event["name"]), (&json!(id), &json!("Älice \"the\" 1st")));
}

#[tokio::test]
async fn the_ok_of_a_join_comes_before_what_it_replays_and_joining_twice_is_harmless() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    say_many(&mut alice, "lobby", 0..5).await;
    alice.until_events("lobby", 5).await;
    // Again, without a wish: it goes on where it stands.
    let again = alice.join("lobby").await;
    assert_eq!(again["seq"], 5);
    alice.say("lobby", "once").await;
    alice.until_seq("lobby", 6).await;

    let mut bob = Client::connect(gateway.addr(), "bob").await;
    let reference = bob.submit(json!({ "type": "join", "room": "lobby", "recent": 3 })).await;
    assert_eq!(bob.next().await["ref"], reference, "the ok comes first");
    for seq in 4..=6 {
        assert_eq!(bob.next().await["seq"], seq);
    }
}
