//! What those who run it can see.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use testkit::{Client, Metrics, PATIENCE, Request, free_port, until};

use crate::fixture::{cluster, options, single};

#[tokio::test]
async fn health_and_readiness_are_two_things() {
    let mut cluster = cluster(1).await;
    let addr = cluster.addr(0);
    let status = async |path: &str| Request::get(path).send(addr).await.status;
    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 200));
    assert!((cluster.sum("chorus_bus_up").await - 1.0).abs() < 0.1);
    assert!(cluster.sum("chorus_bus_down_since_timestamp_seconds").await < 0.5);
    let before = unix_seconds();
    cluster.redis.stop().await;
    let stopped = unix_seconds();
    until(PATIENCE, "/readyz to answer 503", async || {
        let seen = status("/readyz").await;
        if seen == 503 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    assert_eq!(status("/healthz").await, 200);
    assert!(cluster.sum("chorus_bus_up").await < 0.5);

    // Both say since when: the last probe that came back went out a little before the end.
    let since = cluster.sum("chorus_bus_down_since_timestamp_seconds").await;
    assert!((before - 10.0..=stopped).contains(&since), "{before} {since} {stopped}");
    let told = Request::get("/readyz").send(addr).await.json();
    let told_ms = told["bus"]["down_since_ms"].as_f64().expect("a time in ms");
    assert!((told_ms / 1000.0 - since).abs() < 0.002, "{told} {since}");
    assert!(told["bus"]["detail"].as_str().is_some_and(|why| !why.is_empty()), "{told}");

    cluster.redis.restart().await;
    until(PATIENCE, "/readyz to answer 200", async || {
        let seen = status("/readyz").await;
        if seen == 200 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    assert!(cluster.sum("chorus_bus_down_since_timestamp_seconds").await < 0.5);
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs_f64()
}

#[tokio::test]
async fn the_fixed_names_are_there_with_help_and_without_rooms_or_users() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice-the-user").await;
    alice.join("lobby-the-room").await;
    alice.say("lobby-the-room", 1).await;
    alice.until_events("lobby-the-room", 1).await;
    alice.close(1000, "bye").await;
    let response = Request::get("/metrics").send(gateway.addr()).await;
    let text = response.body.as_str();
    assert!(
        response.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
        "{response:?}"
    );
    let helped: BTreeSet<&str> =
        text.lines().filter_map(|l| l.strip_prefix("# HELP ")?.split(' ').next()).collect();
    let typed: BTreeSet<&str> =
        text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(helped, typed, "every metric has help");
    let fixed = [
        "chorus_connections",
        "chorus_rooms",
        "chorus_members",
        "chorus_appends_total",
        "chorus_deliveries_total",
        "chorus_frames_received_total",
        "chorus_sent_bytes_total",
        "chorus_closes_total",
        "chorus_refusals_total",
        "chorus_bus_up",
        "chorus_bus_down_since_timestamp_seconds",
        "chorus_bus_holes_filled_total",
        "chorus_bus_resets_total",
        "chorus_bus_reconnects_total",
        "chorus_append_seconds",
        "chorus_delivery_seconds",
        "chorus_build_info",
    ];
    for name in fixed {
        assert!(helped.contains(name), "{name} is missing: {helped:?}");
    }
    for name in &helped {
        let unit = ["_total", "_seconds", "_bytes", "_info"].iter().any(|unit| name.ends_with(unit));
        let ours = name.starts_with("chorus_") || name.starts_with("process_");
        assert!(
            ours && (unit || text.contains(&format!("# TYPE {name} gauge"))),
            "{name} does not end in its unit"
        );
    }
    assert!(
        !text.contains("alice-the-user") && !text.contains("lobby-the-room"),
        "labelled by a room or a user"
    );
    let metrics = Metrics::parse(text);
    assert!((metrics.sum("chorus_append_seconds_count") - 1.0).abs() < 0.5, "{metrics:?}");
    assert!(metrics.sum("chorus_delivery_seconds_count") >= 1.0, "{metrics:?}");
    assert!(metrics.sum("chorus_sent_bytes_total") > 100.0, "{metrics:?}");
}

#[tokio::test]
async fn metrics_can_have_a_listener_of_their_own() {
    let port = free_port();
    let inside = format!("127.0.0.1:{port}");
    let gateway = options().env("CHORUS_METRICS_LISTEN", inside.as_str()).start().await;
    let inside = inside.parse().unwrap();
    assert!(Request::get("/metrics").send(inside).await.body.contains("chorus_build_info"));
    assert_eq!(Request::get("/metrics").send(gateway.addr()).await.status, 404);
    assert_eq!(Request::get("/healthz").send(gateway.addr()).await.status, 200);
}

#[tokio::test]
async fn connections_are_told_apart_by_state() {
    let gateway = single().await;
    let _silent = testkit::Dial::to(gateway.addr()).open().await.unwrap();
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.request(json!({ "type": "ping" })).await;
    let metrics = gateway.metrics().await;
    assert!((metrics.sum("chorus_connections") - 2.0).abs() < 0.5, "{metrics:?}");
    let websockets = metrics.with("chorus_connections_by_state", "transport", "websocket");
    assert!((websockets - 2.0).abs() < 0.5, "{metrics:?}");
}
