//! Slow readers harm nobody, and lose nothing before they are given up.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Client, Cluster, Dial, Gateway, Redis, token};

use crate::fixture::{FAST, cluster, options};

/// A client that stops reading after it has joined.
async fn stalled(gateway: &Gateway, name: &str) -> Client {
    let dial = Dial::to(gateway.addr()).named(name).bearer(&token(name)).receive_buffer(4096);
    let mut client = dial.welcomed().await;
    client.join("lobby").await;
    client
}

async fn flood(sender: &mut Client, messages: usize, bytes: usize) {
    let text = "x".repeat(bytes);
    for number in 0..messages {
        sender.say("lobby", json!({ "number": number, "text": text })).await;
    }
}

#[tokio::test]
async fn a_slow_reader_delays_nobody_and_catches_up_from_the_log() {
    let cluster = cluster(1).await;
    let mut slow = stalled(&cluster.nodes[0], "slow").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    // Two megabytes and a half: far more than sockets and the room's tail (256 KiB) hold.
    let began = Instant::now();
    flood(&mut fast, 150, 16_000).await;
    fast.until_events("lobby", 150).await;
    assert!(began.elapsed() < Duration::from_secs(15), "the fast one took {:?}", began.elapsed());
    // Now it reads: all of it, in order, from the log.
    slow.until_events("lobby", 150).await;
    assert!(slow.ledger("lobby").resets.is_empty());
    fast.say("lobby", "and on").await;
    slow.until_events("lobby", 151).await;
}

#[tokio::test]
async fn an_event_larger_than_the_tail_reaches_everyone() {
    // It was trimmed before it was flushed, and the flusher looked for it for ever, a thread of the node with it.
    let config = format!("{FAST}[tail]\nbytes = 1024\n");
    let cluster = Cluster::start_with(Redis::start().await, 1, options().config(&config)).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(0), "bob").await;
    for client in [&mut alice, &mut bob] {
        client.join("lobby").await;
    }
    flood(&mut alice, 5, 16_000).await;
    for client in [&mut alice, &mut bob] {
        client.until_events("lobby", 5).await;
    }
    cluster.nodes[0].ready().await;
}

#[tokio::test]
async fn many_slow_readers_do_not_grow_the_memory() {
    let cluster = cluster(1).await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 50, 16_000).await;
    let before = cluster.nodes[0].rss();
    let mut slow = Vec::new();
    for number in 0..40 {
        slow.push(stalled(&cluster.nodes[0], &format!("slow-{number}")).await);
    }
    flood(&mut fast, 200, 16_000).await;
    let grown = cluster.nodes[0].rss().saturating_sub(before);
    // A queue for each would hold 40 × 3 MB.
    assert!(grown < 30_000_000, "40 slow readers cost {grown} bytes");
    for client in &mut slow[..2] {
        client.until_events("lobby", 200).await;
    }
}

#[tokio::test]
async fn whoever_reads_nothing_past_the_deadline_is_closed_and_can_resume() {
    let config = format!("{FAST}slow_consumer_ms = 1000\n");
    let cluster = Cluster::start_with(Redis::start().await, 2, options().config(&config)).await;
    let mut slow = stalled(&cluster.nodes[0], "slow").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 150, 16_000).await;
    testkit::until(testkit::PATIENCE, "the slow one to be given up", async || {
        let closed = cluster.nodes[0].metrics().await.with("chorus_closes_total", "code", "1013");
        if closed > 0.5 { Ok(()) } else { Err(closed.to_string()) }
    })
    .await;
    // The close frame stands behind what the sockets hold; when they were full it could not even be written.
    let close = slow.closed().await;
    assert!([1013, 1006].contains(&close.code), "{close:?}");
    assert!(close.code == 1006 || close.reason == "slow_consumer", "{close:?}");

    let mut slow = {
        let rooms = slow.cut();
        let mut again = Client::connect(cluster.addr(1), "slow").await;
        again.resume(rooms).await;
        again
    };
    slow.until_events("lobby", 150).await;
    assert_eq!(slow.ledger("lobby").unrecovered, 0);
}

#[tokio::test]
async fn whoever_falls_behind_the_log_is_told_or_closed() {
    let config = format!("{FAST}\n[history]\nlength = 100\n");
    let cluster = Cluster::start_with(Redis::start().await, 1, options().config(&config)).await;
    let mut slow = stalled(&cluster.nodes[0], "slow").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 400, 10_000).await;
    // Either it is told that a part is gone, and goes on, or it is closed: what it never sees is an untold hole,
    // of which its ledger would complain.
    let outcome = slow
        .read_until(testkit::PATIENCE, "the last event or the end", |client| {
            let told = !client.ledger("lobby").resets.is_empty();
            match (client.ledger("lobby").seq, client.has_ended()) {
                (400, _) => Ok(told),
                (_, true) => Ok(true),
                (seq, false) => Err(format!("seq {seq}")),
            }
        })
        .await;
    assert!(outcome, "it saw 400 events although the log holds 200 at most");
}

#[tokio::test]
async fn whoever_never_reads_its_replies_is_not_read_either() {
    let cluster = cluster(1).await;
    let mut greedy = stalled(&cluster.nodes[0], "greedy").await;
    let mut talker = Client::connect(cluster.addr(0), "talker").await;
    talker.join("lobby").await;
    flood(&mut talker, 200, 1000).await;
    let before = cluster.nodes[0].rss();
    // It asks for the history 2,000 times, 200 KB each, and reads nothing.
    let asking = async {
        for number in 0..2000 {
            greedy.send(&json!({ "type": "history", "room": "lobby", "limit": 200, "ref": number })).await;
        }
    };
    // The gateway stops reading, so this need not end.
    let _ = tokio::time::timeout(Duration::from_secs(3), asking).await;
    let grown = cluster.nodes[0].rss().saturating_sub(before);
    assert!(grown < 60_000_000, "unread replies cost {grown} bytes");
    assert_eq!(talker.request(json!({ "type": "ping" })).await["type"], "pong");
}
