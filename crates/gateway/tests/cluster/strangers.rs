//! Somebody else publishes on a room's channel: it is refused, and counted.

use serde_json::Value;
use testkit::{Client, PATIENCE, Redis, until};

use crate::fixture::cluster;

/// How many scripts Redis was asked to run.
fn scripts(redis: &Redis) -> i64 {
    let script =
        "return tonumber(string.match(redis.call('INFO', 'commandstats'), 'cmdstat_evalsha:calls=(%d+)'))";
    redis.number(&["EVAL", script, "0"])
}

#[tokio::test]
async fn what_is_malformed_is_counted_and_harms_nobody() {
    let cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", 1).await;
    let long = format!("\u{1}e{} 2\n\u{1}\u{0}long", "e".repeat(65));
    let garbage =
        ["", "\u{1}", "\u{1}e", "hello", "\u{2}t{}", "\u{1}p1", "\u{1}eb 2\n", "\u{1}e 2\n\u{1}\u{0}", &long];
    for payload in garbage {
        cluster.redis.command(&["PUBLISH", "chat:lobby", payload]);
    }
    let bytes = r"return redis.call('PUBLISH', 'chat:lobby', '\1e\255\254 2\n\1\0')";
    cluster.redis.command(&["EVAL", bytes, "0"]);
    let wanted = garbage.len() as f64 + 1.0;
    until(PATIENCE, "all of it to be counted", async || {
        let seen = cluster.sum("chorus_bus_malformed_total").await;
        if (seen - wanted).abs() < 0.5 { Ok(()) } else { Err(format!("{seen} of {wanted}")) }
    })
    .await;
    alice.say("lobby", 2).await;
    alice.until_events("lobby", 2).await;
    assert_eq!(alice.ledger("lobby").resets, Vec::<Value>::new());
    assert!(cluster.sum("chorus_bus_panics_total").await < 0.5);
    assert!(cluster.sum("chorus_bus_up").await > 0.5);
}

/// A number far ahead looks like a great hole. The head says that there is none before anything is read for it.
#[tokio::test]
async fn a_number_far_ahead_is_compared_with_the_head() {
    const FORGED: i64 = 100;
    let cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    let said = alice.say("lobby", 1).await;
    alice.until_events("lobby", 1).await;
    let epoch = said["epoch"].as_str().unwrap();
    let before = scripts(&cluster.redis);
    for number in 0..FORGED {
        let payload = format!("\u{1}e{epoch} {}\n\u{1}\u{0}forged", 9_007_199_254_740_991 - number);
        cluster.redis.command(&["PUBLISH", "chat:lobby", &payload]);
    }
    until(PATIENCE, "all of them to be refused", async || {
        let seen = cluster.sum("chorus_bus_stale_total").await;
        if (seen - FORGED as f64).abs() < 0.5 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    let asked = scripts(&cluster.redis) - before;
    assert!(asked <= FORGED, "{asked} scripts were run for {FORGED} forged events");
    assert!(cluster.sum("chorus_bus_holes_filled_total").await < 0.5, "nothing was missing");
    alice.say("lobby", 2).await;
    alice.until_events("lobby", 2).await;
    assert_eq!(alice.ledger("lobby").resets, Vec::<Value>::new());
}
