//! Reading on from a position, on whatever node.

use serde_json::json;
use testkit::{Client, Cluster, Redis};

use crate::fixture::{FAST, agreed, cluster, options, say_many, single};

#[tokio::test]
async fn what_was_missed_is_replayed_by_another_node() {
    let cluster = cluster(3).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    alice.join("lobby").await;
    bob.join("lobby").await;
    say_many(&mut alice, "lobby", 0..5).await;
    bob.until_events("lobby", 5).await;

    let before = bob.cut();
    say_many(&mut alice, "lobby", 5..30).await;
    // An `ok` may come before node 0 has heard of the event itself.
    alice.until_events("lobby", 30).await;
    // Node 0 has the room in its memory; node 2 has never heard of it.
    for node in [0, 2] {
        let mut bob = Client::connect(cluster.addr(node), "bob").await;
        let replies = bob.resume(before.clone()).await;
        assert_eq!(replies["lobby"]["recovered"], true);
        assert_eq!(replies["lobby"]["count"], 25);
        assert_eq!(replies["lobby"]["seq"], 5);
        bob.until_events("lobby", 30).await;
        agreed([&alice, &bob], "lobby");
    }
}

#[tokio::test]
async fn a_position_older_than_the_log_is_not_recovered() {
    let short = options().config(FAST).config("[history]\nlength = 100\n");
    let mut cluster = Cluster::start_with(Redis::start().await, 1, short).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let epoch = alice.join("lobby").await["epoch"].clone();
    say_many(&mut alice, "lobby", 0..350).await;

    // A node that holds nothing of the room in memory.
    cluster.add().await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    let since = json!({ "epoch": epoch, "seq": 1 });
    let ok = bob.ok(json!({ "type": "join", "room": "lobby", "since": since })).await;
    assert_eq!((&ok["recovered"], &ok["seq"], &ok["head"]), (&json!(false), &json!(350), &json!(350)));
    // The place to stand is a true one: what comes next follows it.
    alice.say("lobby", "next").await;
    bob.until_events("lobby", 1).await;
    assert_eq!(bob.ledger("lobby").seq, 351);

    let mut carol = Client::connect(cluster.addr(1), "carol").await;
    let ok = carol.ok(json!({ "type": "join", "room": "lobby", "since": since, "recent": 10 })).await;
    assert_eq!((&ok["recovered"], &ok["seq"], &ok["count"]), (&json!(false), &json!(341), &json!(10)));
    carol.until_events("lobby", 10).await;
    assert_eq!(carol.ledger("lobby").seq, 351);
}

#[tokio::test]
async fn an_unknown_epoch_or_a_position_beyond_the_head_is_not_recovered() {
    let redis = cluster(1).await;
    let memory = single().await;
    for addr in [redis.addr(0), memory.addr()] {
        let mut alice = Client::connect(addr, "alice").await;
        let epoch = alice.join("lobby").await["epoch"].clone();
        say_many(&mut alice, "lobby", 0..7).await;
        let strange = [
            json!({ "epoch": "never heard of it", "seq": 3 }),
            json!({ "epoch": "another.0", "seq": 3 }),
            json!({ "epoch": epoch, "seq": 1000 }),
            json!({ "epoch": epoch, "seq": 9_007_199_254_740_991_u64 }),
        ];
        for (since, head) in strange.into_iter().zip(7..) {
            let mut bob = Client::connect(addr, "bob").await;
            let ok = bob.ok(json!({ "type": "join", "room": "lobby", "since": since })).await;
            assert_eq!((&ok["recovered"], &ok["count"]), (&json!(false), &json!(0)), "{since}");
            assert_eq!(
                (&ok["epoch"], &ok["seq"], &ok["head"]),
                (&epoch, &json!(head), &json!(head)),
                "{since}"
            );
            // A true place to stand: the next event follows it.
            alice.say("lobby", "next").await;
            bob.until_seq("lobby", head + 1).await;
            assert!(!bob.has("reset"), "{since}");
        }
    }
}

#[tokio::test]
async fn a_resume_at_the_head_replays_nothing() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    say_many(&mut alice, "lobby", 0..3).await;
    alice.until_events("lobby", 3).await;
    let before = alice.cut();
    let mut alice = Client::connect(cluster.addr(1), "alice").await;
    let replies = alice.resume(before).await;
    assert_eq!((&replies["lobby"]["recovered"], &replies["lobby"]["count"]), (&json!(true), &json!(0)));
    alice.say("lobby", "here again").await;
    alice.until_events("lobby", 4).await;
}

#[tokio::test]
async fn the_most_recent_are_replayed_to_a_newcomer() {
    let redis = cluster(1).await;
    let memory = single().await;
    for addr in [redis.addr(0), memory.addr()] {
        let mut alice = Client::connect(addr, "alice").await;
        alice.join("lobby").await;
        say_many(&mut alice, "lobby", 0..10).await;
        // An `ok` may come before its event has come to the node; whoever joins in between gets that one live.
        alice.until_seq("lobby", 10).await;
        for (recent, replayed) in [(0, 0), (3, 3), (10, 10), (50, 10)] {
            let mut bob = Client::connect(addr, "bob").await;
            let ok = bob.ok(json!({ "type": "join", "room": "lobby", "recent": recent })).await;
            assert_eq!(ok["recovered"], false);
            assert_eq!((&ok["count"], &ok["head"]), (&json!(replayed), &json!(10)), "recent {recent}");
            assert_eq!(ok["seq"], 10 - replayed);
            bob.until_seq("lobby", 10).await;
            assert_eq!(bob.ledger("lobby").events.len(), replayed);
        }
    }
}

#[tokio::test]
async fn rooms_in_the_query_are_joined_at_once() {
    let gateway = single().await;
    let path = format!("/ws?room=a&room=@bob&room=not%20one&room=b&token={}", testkit::token("alice"));
    let mut alice = testkit::Dial::to(gateway.addr()).path(path).welcomed().await;
    let mut answers = Vec::new();
    while answers.len() < 4 {
        let frame = alice.next().await;
        if frame["type"] == "ok" || frame["type"] == "error" {
            assert_eq!(frame.get("ref"), None);
            answers.push((frame["type"].clone(), frame["code"].clone(), frame["room"].clone()));
        }
    }
    let joined = |room: &str| (json!("ok"), json!(null), json!(room));
    let refused = |code: &str, room: serde_json::Value| (json!("error"), json!(code), room);
    assert_eq!(
        answers,
        [joined("a"), refused("forbidden", json!("@bob")), refused("bad_room", json!(null)), joined("b")]
    );
    alice.say("a", 1).await;
    alice.say("b", 2).await;
    alice.until_events("a", 1).await;
    alice.until_events("b", 1).await;
}

#[tokio::test]
async fn a_storm_of_resumes_reads_the_log_by_room_and_not_by_client() {
    const ROOMS: [&str; 3] = ["red", "green", "blue"];
    const CLIENTS: usize = 60;
    let mut cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut crowd = Vec::new();
    for number in 0..CLIENTS {
        crowd.push(Client::connect(cluster.addr(0), &format!("user-{number}")).await);
    }
    for room in ROOMS {
        alice.join(room).await;
        for client in &mut crowd {
            client.join(room).await;
        }
        say_many(&mut alice, room, 0..5).await;
    }
    let mut cut = Vec::new();
    for mut client in crowd {
        for room in ROOMS {
            client.until_events(room, 5).await;
        }
        cut.push(client.cut());
    }
    for room in ROOMS {
        say_many(&mut alice, room, 5..40).await;
        alice.until_events(room, 40).await;
    }

    // A node that holds nothing of the rooms in memory.
    cluster.add().await;
    let before = log_reads(&cluster.redis);
    let returning = cut.into_iter().enumerate().map(|(number, rooms)| {
        let addr = cluster.addr(1);
        tokio::spawn(async move {
            let mut client = Client::connect(addr, &format!("user-{number}")).await;
            for reply in client.resume(rooms).await.values() {
                assert_eq!((&reply["recovered"], &reply["count"]), (&json!(true), &json!(35)));
            }
            for room in ROOMS {
                client.until_events(room, 40).await;
            }
            client
        })
    });
    for client in returning.collect::<Vec<_>>() {
        let client = client.await.expect("a client that resumed");
        ROOMS.iter().for_each(|room| drop(agreed([&alice, &client], room)));
    }
    let reads = log_reads(&cluster.redis) - before;
    println!("{} resumes cost Redis {reads} reads of the log", CLIENTS * ROOMS.len());
    assert!(
        usize::try_from(reads).unwrap() <= 2 * ROOMS.len(),
        "{reads} reads for {} resumes",
        CLIENTS * ROOMS.len()
    );
}

/// How often a log was read since Redis started: the read script looks for the oldest event with one XRANGE, and for
/// those asked for with another.
fn log_reads(redis: &Redis) -> i64 {
    let calls =
        "return tonumber(redis.call('INFO', 'commandstats'):match('cmdstat_xrange:calls=(%d+)') or 0)";
    redis.number(&["EVAL", calls, "0"]) / 2
}

#[tokio::test]
async fn a_thousand_resumes_in_the_same_moment_cost_redis_reads_by_room() {
    // `cargo xtask figures` has ten thousand of them.
    const CLIENTS: usize = 1_000;
    const ROOMS: usize = 20;
    let storm = testkit::storm(options().config(FAST), CLIENTS, ROOMS).await;
    println!("{CLIENTS} resumes in {ROOMS} rooms: {storm:?}");
    assert!(storm.reads >= ROOMS as u64, "the node knew nothing of the rooms: {storm:?}");
    assert!(storm.reads <= 2 * ROOMS as u64, "{storm:?}");
    // Following included, and who is there, and whatever else a node asks for meanwhile: none of it for each client.
    let asked = storm.calls.get("evalsha").unwrap_or(&0);
    assert!(*asked < CLIENTS as u64 / 4, "{storm:?}");
    // Those who come are gathered: fifty who come in the same moment are not fifty frames.
    assert!(storm.presence_frames <= 15, "{storm:?}");
}

/// Each of them used to read the log up to where it was too much, one after the other, and then read it for itself.
#[tokio::test]
async fn resumes_from_too_far_for_the_tail_cost_redis_reads_by_room_too() {
    const CLIENTS: usize = 400;
    let small = format!("{FAST}[tail]\nbytes = 4096\n");
    let storm = testkit::storm(options().config(&small), CLIENTS, 4).await;
    println!("{CLIENTS} resumes from far: {storm:?}");
    assert!(storm.reads < CLIENTS as u64 / 4, "{storm:?}");
}
