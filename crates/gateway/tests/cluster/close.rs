//! How connections end. The codes that belong to a subject of their own (authentication, frames, drain, slow readers)
//! are tested with it; this is the rest, and their count.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Client, Close, Dial, PATIENCE, RawSocket, token, until};

use crate::fixture::{options, single};

#[tokio::test]
async fn a_client_that_says_bye_is_answered() {
    let gateway = single().await;
    for (code, reason) in [(1000, "bye"), (3000, "mine"), (4999, "")] {
        let mut alice = Client::connect(gateway.addr(), "alice").await;
        let close = alice.close(code, reason).await;
        // The answer to a close frame repeats its code (RFC 6455, 5.5.1).
        assert_eq!(close.code, code, "{close:?}");
    }
    until(PATIENCE, "the connections to be gone", async || {
        let left = gateway.metrics().await.sum("chorus_connections");
        if left == 0.0 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_vanishes_without_a_word_is_forgotten() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let counted = async |count: f64| {
        until(PATIENCE, &format!("{count} connections and members"), async || {
            let metrics = gateway.metrics().await;
            let seen = (metrics.sum("chorus_connections"), metrics.sum("chorus_members"));
            if seen == (count, count) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    };
    counted(1.0).await;
    drop(alice);
    counted(0.0).await;
}

#[tokio::test]
async fn whoever_is_silent_for_two_heartbeats_is_closed() {
    let gateway = options().config("[heartbeat]\ninterval_ms = 200\n").start().await;
    // Before it is connected: a client that is slow to see that it is would find the time too short.
    let began = Instant::now();
    let mut deaf = RawSocket::open(gateway.addr(), &format!("/ws?token={}", token("deaf"))).await;
    let mut pings = 0;
    let close = loop {
        let frame = deaf.read().await.expect("a close frame before the end");
        match frame.opcode {
            9 => pings += 1,
            8 => break frame.close().unwrap(),
            _ => {}
        }
    };
    assert_eq!(close, (1001, "heartbeat_timeout".to_owned()));
    assert!(
        pings >= 1 && began.elapsed() >= Duration::from_millis(400),
        "{pings} pings in {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn whoever_answers_pings_stays() {
    let gateway = options().config("[heartbeat]\ninterval_ms = 200\n").start().await;
    // The first answers pings (the library does), the second never hears one because it always talks.
    let mut quiet = Client::connect(gateway.addr(), "quiet").await;
    let mut busy = RawSocket::open(gateway.addr(), &format!("/ws?token={}", token("busy"))).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        quiet.drain(Duration::from_millis(50)).await;
        busy.text(r#"{"type":"ping","ref":1}"#).await;
        busy.read_opcode(1).await;
    }
    assert_eq!(quiet.request(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn closes_are_counted_by_code() {
    let gateway = options().config("[auth]\ndeadline_ms = 200\n").start().await;
    let closed = |code: &'static str, count: f64| {
        let gateway = &gateway;
        async move {
            until(PATIENCE, &format!("{count} closes with {code}"), async || {
                let metrics = gateway.metrics().await;
                let seen = metrics.with("chorus_closes_total", "code", code);
                if (seen - count).abs() < 0.5 { Ok(()) } else { Err(format!("{seen}: {metrics:?}")) }
            })
            .await;
        }
    };
    Client::connect(gateway.addr(), "alice").await.close(1000, "bye").await;
    closed("1000", 1.0).await;
    for _ in 0..2 {
        let close = Dial::to(gateway.addr()).closed().await;
        assert_eq!(close, Close { code: 1008, reason: "auth_timeout".to_owned() });
    }
    closed("1008", 2.0).await;
}
