//! What several subjects need.

use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::{Client, Cluster, Gateway, GatewayOptions, Redis};

/// The binary under test: the one just built, or another that `CHORUS_BIN` names.
pub(crate) fn chorus() -> PathBuf {
    std::env::var_os("CHORUS_BIN").map_or_else(|| env!("CARGO_BIN_EXE_chorus").into(), PathBuf::from)
}

/// Limits that a test which sends as fast as it can does not run into.
pub(crate) const FAST: &str =
    "[limits]\nframes_per_second = 100000\nframe_burst = 100000\nrequests_in_flight = 1000\n";

/// A gateway with a key, on the memory bus.
pub(crate) fn options() -> GatewayOptions {
    GatewayOptions::new(chorus())
}

/// The same, running, without a limit on speed.
pub(crate) async fn single() -> Gateway {
    options().config(FAST).start().await
}

/// Gateways without a limit on speed, on a Redis of their own.
pub(crate) async fn cluster(size: usize) -> Cluster {
    cluster_on(Redis::start().await, size).await
}

/// The same on a Redis that runs already.
pub(crate) async fn cluster_on(redis: Redis, size: usize) -> Cluster {
    Cluster::start_with(redis, size, options().config(FAST)).await
}

/// Says `{"text": "<name> <number>"}` for each number, awaiting each `ok`.
pub(crate) async fn say_many(client: &mut Client, room: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let data = json!({ "text": format!("{} {number}", client.name()) });
        client.say(room, data).await;
    }
}

/// Says something with an id, again and again until it is known to be appended.
pub(crate) async fn say_until_ok(client: &mut Client, room: &str, id: &str) -> Value {
    let request = json!({ "type": "message", "room": room, "id": id, "data": id });
    loop {
        let reply = client.request(request.clone()).await;
        if reply["type"] == "ok" {
            return reply;
        }
        assert_eq!(
            reply["code"],
            "unavailable",
            "{}: only an outage may refuse this: {reply}",
            client.name()
        );
        // As long as it is told to wait, or as a patient client would.
        let pause = reply["retry_after_ms"].as_u64().unwrap_or(100).min(500);
        client.drain(std::time::Duration::from_millis(pause)).await;
    }
}

/// Asserts that everyone holds the same events of a room, and returns them.
pub(crate) fn agreed<'a>(clients: impl IntoIterator<Item = &'a Client>, room: &str) -> Vec<testkit::Event> {
    let mut clients = clients.into_iter();
    let first = clients.next().expect("somebody");
    let events = &first.ledger(room).events;
    for other in clients {
        let others = &other.ledger(room).events;
        assert_eq!(
            events.len(),
            others.len(),
            "{} and {} hold different numbers",
            first.name(),
            other.name()
        );
        if let Some((mine, theirs)) = events.iter().zip(others).find(|(mine, theirs)| mine != theirs) {
            panic!("{} and {} disagree: {mine:?} and {theirs:?}", first.name(), other.name());
        }
    }
    events.clone()
}
