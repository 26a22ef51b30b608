//! Limits, each with its answer.

use serde_json::{Value, json};
use testkit::{Client, Close, Dial, Gateway, PATIENCE, Redis, until};

use crate::fixture::options;

async fn with_limits(limits: &str) -> Gateway {
    options().config(&format!("[limits]\n{limits}\n")).start().await
}

fn overloaded() -> Close {
    Close { code: 1013, reason: "overloaded".to_owned() }
}

async fn until_connections(gateway: &Gateway, count: f64) {
    until(PATIENCE, &format!("{count} connections"), async || {
        let seen = gateway.metrics().await.sum("chorus_connections");
        if (seen - count).abs() < 0.5 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn whoever_sends_too_fast_is_told_to_wait() {
    let gateway = with_limits("frames_per_second = 5\nframe_burst = 10").await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    let mut replies: Vec<Value> = Vec::new();
    let mut refs = Vec::new();
    for _ in 0..20 {
        refs.push(alice.submit(json!({ "type": "ping" })).await);
    }
    for reference in refs {
        replies.push(alice.reply(reference).await);
    }
    let (good, bad): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply["type"] == "pong");
    assert!((10..=14).contains(&good.len()), "a burst of 10 and 5 a second let {} pass", good.len());
    let mut wait = 0;
    for error in bad {
        assert_eq!(error["code"], "rate_limited", "{error}");
        wait = wait.max(error["retry_after_ms"].as_u64().expect("when to try again"));
    }
    assert!((1..=5_000).contains(&wait), "{wait} ms");
    // Having waited as long as it was told, it may speak again.
    alice.drain(std::time::Duration::from_millis(wait + 50)).await;
    assert_eq!(alice.request(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn whoever_does_not_slow_down_is_closed() {
    let gateway = with_limits("frames_per_second = 1\nframe_burst = 5").await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    for _ in 0..30 {
        alice.send(&json!({ "type": "ping" })).await;
    }
    assert_eq!(alice.closed().await, Close { code: 1008, reason: "rate_limited".to_owned() });
    assert_eq!(alice.expect("error").await["code"], "rate_limited", "it was told first");
}

#[tokio::test]
async fn rooms_of_a_connection_are_limited() {
    let gateway = with_limits("rooms_per_connection = 2").await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("a").await;
    alice.join("b").await;
    let refused = alice.request(json!({ "type": "join", "room": "c" })).await;
    assert_eq!(refused["type"], "error", "{refused}");
    // A room it is in already is none too many, and a place that was left can be taken.
    alice.join("b").await;
    alice.ok(json!({ "type": "leave", "room": "a" })).await;
    alice.join("c").await;
}

#[tokio::test]
async fn connections_from_one_address_are_limited() {
    let gateway = with_limits("connections_per_address = 2").await;
    let from = |last: u8| Dial::to(gateway.addr()).from([127, 0, 0, last]).bearer(&testkit::token("alice"));
    let first = from(5).welcomed().await;
    let _second = from(5).welcomed().await;
    let mut third = from(5).open().await.unwrap();
    assert_eq!(third.closed().await, overloaded());
    let closing = third.expect("closing").await;
    assert_eq!((&closing["code"], &closing["reason"]), (&json!(1013), &json!("overloaded")));
    assert!(closing["retry_after_ms"].is_u64(), "{closing}");
    // Another address is another matter.
    let _other = from(6).welcomed().await;
    assert!(gateway.metrics().await.sum("chorus_refusals_total") >= 1.0);
    // A place that was given up can be taken.
    drop(first);
    until_connections(&gateway, 2.0).await;
    from(5).welcomed().await;
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_the_rightmost_that_is_not_trusted() {
    let config = "trusted_proxies = [\"127.0.0.9\", \"10.0.0.0/8\"]\n[limits]\nconnections_per_address = 1\n";
    let gateway = options().config(config).start().await;
    let via = |proxy: u8, forwarded: &str| {
        let dial = Dial::to(gateway.addr()).from([127, 0, 0, proxy]).named(forwarded);
        dial.bearer(&testkit::token("alice")).header("X-Forwarded-For", forwarded)
    };
    let _alice = via(9, "192.0.2.1").welcomed().await;
    let _bob = via(9, "192.0.2.2").welcomed().await;
    for forged in ["192.0.2.1", "203.0.113.7, 192.0.2.1", "203.0.113.8, 192.0.2.1, 10.1.2.3"] {
        assert_eq!(via(9, forged).closed().await, overloaded(), "{forged}");
    }
    // Whoever is no trusted proxy is believed nothing.
    let _stranger = via(8, "203.0.113.1").welcomed().await;
    assert_eq!(via(8, "203.0.113.2").closed().await, overloaded());
}

#[tokio::test]
async fn connections_of_a_node_are_limited() {
    let gateway = with_limits("connections = 3").await;
    let mut clients = Vec::new();
    for number in 0..3 {
        clients.push(Client::connect(gateway.addr(), &format!("user-{number}")).await);
    }
    // A browser can read why; in a flood there is only the status.
    match Dial::to(gateway.addr()).bearer(&testkit::token("late")).open().await {
        Ok(mut client) => assert_eq!(client.closed().await, overloaded()),
        Err(refusal) => assert_eq!(refusal.status, 503, "{refusal:?}"),
    }
    clients.pop();
    until_connections(&gateway, 2.0).await;
    until(PATIENCE, "a place for another", async || {
        match Dial::to(gateway.addr()).bearer(&testkit::token("again")).open().await {
            Ok(mut client) => match client.next().await {
                frame if frame["type"] == "welcome" => Ok(()),
                frame => Err(frame.to_string()),
            },
            Err(refusal) => Err(format!("{refusal:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn unfinished_upgrades_count_too() {
    let gateway = options().config("[limits]\nconnections_per_address = 5\n").start().await;
    // Connections that never send a byte hold their places only until the header's deadline.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(gateway.addr()).await.unwrap());
    }
    let dial = || Dial::to(gateway.addr()).from([127, 0, 0, 44]).bearer(&testkit::token("alice"));
    dial().welcomed().await;
}

#[tokio::test]
async fn a_flood_of_connections_is_slowed_and_not_fatal() {
    let gateway = with_limits("accepts_per_second = 20").await;
    let mut tasks = Vec::new();
    for number in 0..60_u8 {
        let dial = Dial::to(gateway.addr()).from([127, 0, 1, number]).bearer(&testkit::token("alice"));
        tasks.push(tokio::spawn(async move {
            match dial.open().await {
                Err(refusal) => refusal.status,
                Ok(mut client) => {
                    client
                        .read_until(PATIENCE, "welcome or the end", |client| {
                            if client.has("welcome") {
                                Ok(200)
                            } else if client.has_ended() {
                                Ok(1013)
                            } else {
                                Err("nothing".into())
                            }
                        })
                        .await
                }
            }
        }));
    }
    let mut welcomed = 0;
    for task in tasks {
        match task.await.unwrap() {
            200 => welcomed += 1,
            other => assert!([503, 1013, 0].contains(&other), "{other}"),
        }
    }
    assert!((15..60).contains(&welcomed), "{welcomed} of 60 were let in");
    until(PATIENCE, "somebody to be let in again", async || {
        match Dial::to(gateway.addr()).bearer(&testkit::token("bob")).open().await {
            Ok(mut client) => {
                let first = client.next().await;
                if first["type"] == "welcome" { Ok(()) } else { Err(first.to_string()) }
            }
            Err(refusal) => Err(format!("{refusal:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn replays_are_paced_but_whole() {
    let redis = Redis::start().await;
    let config =
        "[limits]\nframes_per_second = 100000\nframe_burst = 100000\nreplay_bytes_per_second = 1000000\n";
    let gateway = options().config(config).redis(&redis).start().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    for number in 0..300 {
        alice.say("lobby", json!({ "number": number, "text": "x".repeat(10_000) })).await;
    }
    let began = std::time::Instant::now();
    let mut bob = Client::connect(gateway.addr(), "bob").await;
    bob.ok(json!({ "type": "join", "room": "lobby", "recent": 300 })).await;
    // What is said meanwhile comes after it.
    alice.say("lobby", "live").await;
    bob.until_events("lobby", 301).await;
    assert_eq!(bob.ledger("lobby").events[300].data, "live");
    // The first megabyte comes at once, and the latest 256 KiB from the memory of the node.
    let took = began.elapsed();
    assert!(took.as_millis() > 1_200, "3 MB at 1 MB a second took {took:?}");
}
