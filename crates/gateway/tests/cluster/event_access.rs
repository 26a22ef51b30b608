//! Who gets an event stream, and what is said to the others.

use serde_json::json;
use testkit::{Client, Dial, PATIENCE, Request, StreamDial, StreamEnd, expiring, sign, token, until};

use crate::calls;
use crate::events::{stream, ticket, until_streams};
use crate::fixture::{cluster, options, say_many, say_until_ok, single};

#[tokio::test]
async fn a_ticket_stays_good_for_its_stream_and_for_nothing_else() {
    let cluster = cluster(2).await;
    let mut talker = Client::connect(cluster.addr(0), "talker").await;
    talker.join("a").await;
    let ticket = ticket(&cluster.nodes[0], "bob").await;
    let dial =
        |node: usize, rooms: &[&str]| StreamDial::to(cluster.addr(node), rooms).query("ticket", &ticket);
    let mut bob = dial(0, &["a", "b"]).welcomed().await;
    bob.expect("ok").await;
    for round in 0..4 {
        say_many(&mut talker, "a", round..round + 1).await;
        bob.until_events("a", round + 1).await;
        // In another order they are the same rooms.
        bob = dial(round % 2, &["b", "a"]).resume(bob.cut()).welcomed().await;
    }
    for rooms in [&["a"][..], &["a", "b", "c"], &["c", "d"]] {
        assert_eq!(dial(1, rooms).refused().await.status, 401, "{rooms:?}");
    }
    let close = Dial::to(cluster.addr(0)).path(format!("/ws?ticket={ticket}")).closed().await;
    assert_eq!((close.code, close.reason.as_str()), (1008, "auth_failed"));

    let used = crate::events::ticket(&cluster.nodes[0], "bob").await;
    Dial::to(cluster.addr(0)).path(format!("/ws?ticket={used}")).welcomed().await;
    let refused = StreamDial::to(cluster.addr(0), &["a"]).query("ticket", &used).refused().await;
    assert_eq!(refused.status, 401);
    for bad in ["", "0", &"0".repeat(32), &"g".repeat(32), "sse:x"] {
        let refused = StreamDial::to(cluster.addr(0), &["a"]).query("ticket", bad).refused().await;
        assert_eq!(refused.status, 401, "{bad}");
    }
}

#[tokio::test]
async fn a_token_that_ends_ends_the_stream() {
    let gateway = single().await;
    let short = sign(&json!({ "sub": "bob", "exp": expiring(2) }));
    let mut bob = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&short).welcomed().await;
    assert!(bob.expect("expiring").await["in_ms"].as_u64().unwrap() <= 2_000);
    let closing = bob.expect("closing").await;
    assert_eq!((&closing["code"], &closing["reason"]), (&json!(4401), &json!("token_expired")));
    assert_eq!(bob.next().await, None);
    assert_eq!(bob.end(), Some(StreamEnd::Whole));
    let refused = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&short).refused().await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn a_cookie_needs_a_page_that_is_allowed() {
    let gateway = single().await;
    let cookie = format!("a=b; chorus_token={}", token("bob"));
    let host = gateway.addr().to_string();
    let dial = || StreamDial::to(gateway.addr(), &["lobby"]).header("Cookie", cookie.clone());
    dial().header("Origin", format!("http://{host}")).welcomed().await;
    // A browser sends no Origin with a GET of the page's own site.
    dial().header("Sec-Fetch-Site", "same-origin").welcomed().await;
    for (name, value) in
        [("X-Nothing", "at all"), ("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]
    {
        assert_eq!(dial().header(name, value).refused().await.status, 403, "{name}: {value}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_said_before_the_stream_begins() {
    let gateway = single().await;
    let to = |rooms: &[&str]| StreamDial::to(gateway.addr(), rooms).bearer(&token("bob"));
    let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let narrow = sign(&json!({ "sub": "bob", "exp": expiring(60), "rooms": { "a": "r", "b": "w" } }));
    let expired = sign(&json!({ "sub": "bob", "exp": expiring(-1) }));
    let long = format!("a~e~{}", "1".repeat(40));
    let cases: Vec<(u16, &str, StreamDial)> = vec![
        (400, "1 to 8 rooms", to(&[])),
        (400, "1 to 8 rooms", to(&nine)),
        (400, "room", to(&["{a}"])),
        (400, "room", to(&["~control"])),
        (400, "Last-Event-ID", to(&["a"]).header("Last-Event-ID", "17")),
        (400, "Last-Event-ID", to(&["a"]).header("Last-Event-ID", "a~e~1,a~e~2")),
        (400, "Last-Event-ID", to(&["a"]).header("Last-Event-ID", "\u{e9}")),
        (400, "Last-Event-ID", to(&["a"]).query("last_event_id", &long)),
        (400, "recent", to(&["a"]).query("recent", "-1")),
        (401, "needs a token", StreamDial::to(gateway.addr(), &["a"])),
        (401, "needs a token", StreamDial::to(gateway.addr(), &["a"]).query("token", &token("bob"))),
        (401, "expired", StreamDial::to(gateway.addr(), &["a"]).bearer(&expired)),
        (401, "token", StreamDial::to(gateway.addr(), &["a"]).bearer("x.y.z")),
        (403, "no right to read", StreamDial::to(gateway.addr(), &["a", "b"]).bearer(&narrow)),
        (403, "no right to read", to(&["@alice"])),
        (403, "origin", to(&["a"]).header("Origin", "https://evil.example")),
    ];
    for (status, words, dial) in cases {
        let answer = dial.clone().refused().await;
        assert_eq!(answer.status, status, "{dial:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        assert_eq!(answer.json()["status"], status, "{answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(words), "{words}: {answer:?}");
    }
    let metrics = gateway.metrics().await;
    assert!(
        metrics.sum("chorus_streams").abs() < 0.5 && metrics.sum("chorus_members").abs() < 0.5,
        "{metrics:?}"
    );
    assert!(metrics.with("chorus_refusals_total", "reason", "bad_request") > 5.0, "{metrics:?}");
    // Eight are as many as there may be.
    stream(&gateway, "bob", &nine[..8]).await;
}

#[tokio::test]
async fn streams_and_sockets_share_the_places() {
    let gateway = options().config("[limits]\nconnections = 3\nconnections_per_address = 2\n").start().await;
    let socket = Client::connect(gateway.addr(), "alice").await;
    let bob = stream(&gateway, "bob", &["lobby"]).await;
    let refused = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&token("carol")).refused().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
    drop(socket);
    until(PATIENCE, "the place to be free", async || {
        let dial = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&token("carol"));
        dial.open().await.map(drop).map_err(|answer| answer.status.to_string())
    })
    .await;
    drop(bob);
    until_streams(&gateway, 0.0).await;
}

#[tokio::test]
async fn while_redis_is_away_streams_stay_and_new_ones_are_told_to_wait() {
    let mut cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    say_many(&mut alice, "lobby", 0..3).await;
    // An event may come after its `ok`, and then to whoever joins in between, too.
    alice.until_events("lobby", 3).await;
    let mut bob = stream(&cluster.nodes[0], "bob", &["lobby"]).await;
    cluster.redis.stop().await;
    let refused = until(PATIENCE, "the outage to be noticed", async || {
        let dial = StreamDial::to(cluster.addr(0), &["lobby"]).bearer(&token("carol"));
        dial.open().await.err().ok_or_else(|| "a stream".to_owned())
    })
    .await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    cluster.redis.restart().await;
    say_until_ok(&mut alice, "lobby", "again").await;
    bob.until_events("lobby", 1).await;
    assert_eq!(bob.ledger("lobby").data(), ["again"]);
}

#[tokio::test]
async fn a_moderator_reaches_streams_too() {
    let cluster = calls::cluster(2).await;
    let mut eve = stream(&cluster.nodes[1], "eve", &["lobby"]).await;
    let body = json!({ "duration_ms": 600_000, "reason": "spam, twice" });
    calls::server(&cluster, 0, "PUT", "/v1/users/eve/ban", body).await;
    let closing = eve.expect("closing").await;
    assert_eq!((&closing["code"], &closing["reason"]), (&json!(1008), &json!("banned")));
    assert_eq!(closing["message"], "spam, twice");
    assert_eq!(eve.next().await, None, "it is told once");
    assert_eq!(eve.end(), Some(StreamEnd::Whole));
    let dial = StreamDial::to(cluster.addr(0), &["lobby"]).bearer(&token("eve")).resume(eve.cut());
    let refused = dial.refused().await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("forbidden")), "{refused:?}");
}

#[tokio::test]
async fn a_page_of_an_allowed_site_may_read_a_stream() {
    let gateway = options().env("CHORUS_ALLOWED_ORIGINS", "https://app.example").start().await;
    let dial = || StreamDial::to(gateway.addr(), &["lobby"]).bearer(&token("bob"));
    let bob = dial().header("Origin", "https://app.example").welcomed().await;
    assert_eq!(bob.header("access-control-allow-origin"), Some("https://app.example"));
    let refused = dial().header("Origin", "https://evil.example").refused().await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None), "{refused:?}");

    let document = Request::get("/v1/openapi.json").send(gateway.addr()).await.json();
    let operation = &document["paths"]["/v1/events"]["get"];
    assert!(operation["responses"]["200"]["content"]["text/event-stream"].is_object(), "{operation}");
    let parameters = operation["parameters"].as_array().unwrap().iter();
    let names: Vec<_> = parameters.map(|parameter| parameter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["room", "recent", "last_event_id", "ticket", "Last-Event-ID"]);
}
