//! What a node writes to its log. What it never writes is in `secrets.rs`.

use serde_json::{Value, json};
use testkit::{Client, Dial, Gateway, PATIENCE, StreamDial, token, until};

use crate::fixture::options;

/// The lines of a JSON log.
fn lines(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.log();
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    // The last one may not be whole yet.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().map(parse).collect()
}

/// What is said of connections that have ended.
fn ends(gateway: &Gateway) -> Vec<Value> {
    let fields = lines(gateway).into_iter().map(|line| line["fields"].clone());
    fields.filter(|fields| fields["message"] == "connection ended").collect()
}

/// Waits for so many connections to have ended, and gives the last.
async fn end(gateway: &Gateway, count: usize) -> Value {
    let mut ends = until(PATIENCE, &format!("{count} connections to end"), async || {
        let ends = ends(gateway);
        if ends.len() >= count { Ok(ends) } else { Err(format!("{ends:?}")) }
    })
    .await;
    assert_eq!(ends.len(), count, "one line each: {ends:?}");
    ends.pop().unwrap_or_default()
}

#[tokio::test]
async fn the_log_can_be_json_line_by_line_and_text_without_colours() {
    let gateway = options().env("CHORUS_LOG_FORMAT", "json").start().await;
    Client::connect(gateway.addr(), "alice").await.close(1000, "bye").await;
    assert!(lines(&gateway).iter().all(Value::is_object));
    let text = options().env("CHORUS_LOG_FORMAT", "text").start().await;
    assert!(!text.log().contains('\u{1b}'), "no colours in a file");
}

#[tokio::test]
async fn a_connection_ends_with_its_story() {
    let gateway = options().env("CHORUS_LOG_FORMAT", "json").node("gw-7").start().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    let session = alice.welcome()["session"].clone();
    alice.join("lobby").await;
    alice.say("lobby", "x".repeat(1000)).await;
    alice.until_events("lobby", 1).await;
    alice.close(1000, "bye").await;
    let story = end(&gateway, 1).await;
    let expected = json!({
        "node": "gw-7", "session": session, "user": "alice", "address": "127.0.0.1", "transport": "ws",
        // A join, a message and a close; welcome, two times ok, and the event.
        "frames_in": 3, "frames_out": 5, "rooms": 1, "code": 1000, "reason": "client",
    });
    for (field, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(story[field], *value, "{field}: {story}");
    }
    for bytes in ["bytes_in", "bytes_out"] {
        assert!((1000..5000).contains(&story[bytes].as_u64().unwrap_or(0)), "{bytes}: {story}");
    }
    assert!(story["duration_ms"].is_u64() && story["left_out"].is_null(), "{story}");

    let seen = async |count| {
        let story = end(&gateway, count).await;
        (story["transport"].clone(), story["user"].clone(), story["code"].clone(), story["reason"].clone())
    };
    let told = |transport: &str, user: Value, code: u16, reason: &str| {
        (json!(transport), user, json!(code), json!(reason))
    };
    Dial::to(gateway.addr()).bearer("nonsense").closed().await;
    assert_eq!(seen(2).await, told("ws", Value::Null, 1008, "auth_failed"));
    Client::connect(gateway.addr(), "bob").await.cut();
    assert_eq!(seen(3).await, told("ws", json!("bob"), 1006, "lost"));
    let stream = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&token("carol")).welcomed().await;
    stream.cut();
    assert_eq!(seen(4).await, told("sse", json!("carol"), 1006, "lost"));
}

#[tokio::test]
async fn ends_are_sampled_unless_something_was_wrong() {
    let options = options().env("CHORUS_LOG_FORMAT", "json").env("CHORUS_LOG_CONNECTIONS", "0.25");
    let gateway = options.start().await;
    for _ in 0..8 {
        Client::connect(gateway.addr(), "alice").await.close(1000, "bye").await;
    }
    for _ in 0..3 {
        Dial::to(gateway.addr()).bearer("nonsense").closed().await;
    }
    let reasons = until(PATIENCE, "five lines", async || {
        let ends = ends(&gateway);
        if ends.len() >= 5 { Ok(ends) } else { Err(format!("{ends:?}")) }
    });
    let reasons: Vec<Value> = reasons.await.iter().map(|end| end["reason"].clone()).collect();
    let count = |reason: &str| reasons.iter().filter(|other| **other == reason).count();
    assert_eq!((count("client"), count("auth_failed")), (2, 3), "{reasons:?}");
}
