//! Traces of messages, as a collector gets them.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Attribute},
};
use parking_lot::Mutex;
use prost::Message;
use serde_json::{Value, json};
use testkit::{Client, Cluster, Gateway, PATIENCE, Redis, Request, free_port, token, until};
use tokio::net::TcpListener;

use crate::{
    calls::KEY,
    fixture::{FAST, options, say_many},
};

/// A span, and whose it is.
#[derive(Clone, Debug)]
struct Span {
    name: String,
    trace: String,
    id: String,
    parent: String,
    /// The node that it is of.
    node: String,
    attributes: Value,
    began: u64,
    ended: u64,
    failed: bool,
}

/// What speaks OTLP over HTTP, and keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// One that listens; and its URL.
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        (Self::serve(listener), url)
    }

    fn serve(listener: TcpListener) -> Self {
        let collector = Self::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    /// Waits for so many spans that are as they should be, and gives them in the order of their beginning.
    async fn until(&self, count: usize, right: impl Fn(&Span) -> bool) -> Vec<Span> {
        let mut spans = until(PATIENCE, &format!("{count} spans"), async || {
            let spans: Vec<Span> = self.spans.lock().iter().filter(|span| right(span)).cloned().collect();
            if spans.len() >= count { Ok(spans) } else { Err(format!("{:?}", self.spans.lock())) }
        })
        .await;
        assert_eq!(spans.len(), count, "{spans:?}");
        spans.sort_by_key(|span| span.began);
        spans
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    for resource in request.resource_spans {
        let own = attributes(&resource.resource.unwrap_or_default().attributes);
        assert_eq!(own["service.name"], "chorus", "{own}");
        let node = own["service.instance.id"].as_str().unwrap_or_default();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.spans.lock().extend(spans.map(|span| Span {
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            node: node.split('~').next().unwrap_or_default().to_owned(),
            attributes: attributes(&span.attributes),
            began: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
            failed: span.status.is_some_and(|status| status.code == 2),
        }));
    }
    StatusCode::OK
}

fn attributes(given: &[KeyValue]) -> Value {
    let value = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Attribute::StringValue(text)) => json!(text),
        Some(Attribute::IntValue(number)) => json!(number),
        Some(Attribute::BoolValue(which)) => json!(which),
        other => panic!("{}: {other:?}", pair.key),
    };
    Value::Object(given.iter().map(|pair| (pair.key.clone(), value(pair))).collect())
}

fn hex(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    if bytes.is_empty() { String::new() } else { format!("{number:0width$x}", width = 2 * bytes.len()) }
}

/// Nodes that trace every message, on a Redis.
async fn cluster(collector: &str, sample: &str) -> Cluster {
    let options = options()
        .config(FAST)
        .env("CHORUS_OTLP_ENDPOINT", collector)
        .env("CHORUS_OTLP_SAMPLE", sample)
        .env("CHORUS_API_KEYS", KEY);
    Cluster::start_with(Redis::start().await, 2, options).await
}

/// The only one of this name, or of this name and node.
fn only<'a>(spans: &'a [Span], name: &str, node: &str) -> &'a Span {
    let mut of_name = spans.iter().filter(|span| span.name == name && span.node == node);
    match (of_name.next(), of_name.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {name} of {node}: {spans:?}"),
    }
}

/// Asserts that spans are the whole way of one message from `node-0` to two nodes, below `parent`.
fn is_whole_way(spans: &[Span], kind: &str, parent: &str) {
    let traces: BTreeSet<&str> = spans.iter().map(|span| &*span.trace).collect();
    assert_eq!(traces.len(), 1, "{spans:?}");
    let message = only(spans, kind, "node-0");
    assert_eq!(message.parent, parent, "{spans:?}");
    let append = only(spans, "append", "node-0");
    assert_eq!(append.parent, message.id, "{spans:?}");
    for node in ["node-0", "node-1"] {
        let relay = only(spans, "relay", node);
        assert_eq!(relay.parent, append.id, "{spans:?}");
        let write = only(spans, "write", node);
        assert_eq!(write.parent, relay.id, "{spans:?}");
        assert_eq!(relay.attributes["chorus.seq"], message.attributes["chorus.seq"], "{spans:?}");
        assert_eq!(write.attributes["chorus.members"], 1, "{spans:?}");
        assert!(append.began <= relay.began && relay.began <= write.began, "{spans:?}");
    }
    assert!(message.began <= append.began && append.ended <= message.ended, "{spans:?}");
    assert!(spans.iter().all(|span| !span.failed && span.attributes["chorus.room"] == "lobby"), "{spans:?}");
}

#[tokio::test]
async fn one_trace_from_a_message_to_the_write_on_another_node() {
    let (collector, url) = Collector::start().await;
    let cluster = cluster(&url, "1").await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    alice.join("lobby").await;
    bob.join("lobby").await;
    let ok = alice.say("lobby", "hello").await;
    bob.until_events("lobby", 1).await;
    let spans = collector.until(6, |_| true).await;
    is_whole_way(&spans, "message", "");
    let message = only(&spans, "message", "node-0");
    assert_eq!(message.attributes["chorus.seq"], ok["seq"]);
    assert_eq!(message.attributes["chorus.duplicate"], false);

    // It is on its way with the event, and nowhere else.
    let seen = bob.last_text().to_owned();
    let read = Request::get("/v1/rooms/lobby/messages").bearer(KEY).send(cluster.addr(1)).await.body;
    let stored = format!("{:?}", cluster.redis.command(&["XRANGE", "{chat:lobby}:log", "-", "+"]));
    for (what, text) in [("the frame", seen), ("the history", read), ("the log", stored)] {
        assert!(text.contains("hello") && !text.contains(&message.trace), "{what}: {text}");
    }

    // A key that has a trace in front of it is the sender's own all the same, and other events go the same way.
    let quiet = json!({ "type": "message", "room": "lobby", "data": 1, "id": "quiet", "echo": false });
    assert_eq!(alice.ok(quiet).await["duplicate"], false);
    let of_quiet = collector.until(12, |_| true).await;
    is_whole_way(&of_quiet[6..], "message", "");
    let target = json!({ "epoch": ok["epoch"], "seq": ok["seq"] });
    alice.ok(json!({ "type": "edit", "room": "lobby", "target": target, "data": "other" })).await;
    let of_edit = collector.until(18, |_| true).await;
    is_whole_way(&of_edit[12..], "edit", "");
    until(PATIENCE, "18 spans to be counted", async || {
        let sent = cluster.sum("chorus_spans_total").await;
        if (sent - 18.0).abs() < 0.5 { Ok(()) } else { Err(sent.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_servers_trace_goes_on_and_a_users_does_not() {
    let (collector, url) = Collector::start().await;
    let cluster = cluster(&url, "0").await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    alice.join("lobby").await;
    bob.join("lobby").await;
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let post = async |bearer: &str, traceparent: &str| {
        let request = Request::post("/v1/rooms/lobby/messages").bearer(bearer).json(&json!({ "data": 1 }));
        let response = request.header("traceparent", traceparent).send(cluster.addr(0)).await;
        assert_eq!(response.status, 200, "{response:?}");
    };
    // None of these is traced: a user's, one that its server does not keep, what is no traceparent, and what has none.
    post(&token("alice"), &format!("00-{trace}-{parent}-01")).await;
    post(KEY, &format!("00-{trace}-{parent}-00")).await;
    post(KEY, "nonsense").await;
    alice.say("lobby", 1).await;
    post(KEY, &format!("00-{trace}-{parent}-01")).await;
    bob.until_events("lobby", 5).await;
    let spans = collector.until(6, |_| true).await;
    is_whole_way(&spans, "message", parent);
    assert_eq!(spans[0].trace, trace);
    assert_eq!(spans[0].attributes["chorus.seq"], 5);
}

#[tokio::test]
async fn a_node_alone_traces_its_own_way() {
    let (collector, url) = Collector::start().await;
    let gateway = options().env("CHORUS_OTLP_ENDPOINT", url).env("CHORUS_OTLP_SAMPLE", "1.0").start().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", "hello").await;
    let spans = collector.until(4, |_| true).await;
    let [message, append, relay, write] =
        ["message", "append", "relay", "write"].map(|name| only(&spans, name, "node"));
    assert_eq!(
        [message, append, relay, write].map(|span| &*span.parent),
        ["", &message.id, &append.id, &relay.id]
    );
    // What has gathered when the node ends still leaves.
    alice.say("lobby", "last").await;
    assert!(gateway.stop().await.success());
    assert_eq!(collector.spans.lock().len(), 8);
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_no_message() {
    let port = free_port();
    let gateway: Gateway = options()
        .config(FAST)
        .env("CHORUS_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("CHORUS_OTLP_SAMPLE", "1")
        .start()
        .await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    say_many(&mut alice, "lobby", 0..300).await;
    let lost = async |least: f64| {
        until(PATIENCE, "spans to be lost", async || {
            let lost = gateway.metrics().await.with("chorus_spans_total", "outcome", "lost");
            if lost >= least { Ok(lost) } else { Err(lost.to_string()) }
        })
        .await
    };
    let before = lost(1200.0).await;
    say_many(&mut alice, "lobby", 300..310).await;
    lost(before + 1.0).await;
    alice.until_events("lobby", 310).await;
    let lines = |text: &str| gateway.log().lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("spans are lost"), 1, "{}", gateway.log());
    assert!(gateway.log().contains("can't connect"), "it says why: {}", gateway.log());

    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port that nobody has");
    let collector = Collector::serve(listener);
    alice.say("lobby", "heard").await;
    collector.until(1, |span| span.name == "message" && span.attributes["chorus.seq"] == 311).await;
    until(PATIENCE, "a word of it", async || {
        if lines("spans reach the collector again") == 1 { Ok(()) } else { Err(gateway.log()) }
    })
    .await;
}
