//! What whoever runs the cluster is told of its nodes, and has them do.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Cluster, Gateway, GatewayOptions, PATIENCE, Request, Response, until};

use crate::{
    calls::{KEY, cluster, server},
    fixture::{FAST, chorus, options},
};

/// The nodes that are listed, in the order of their names.
async fn nodes(cluster: &Cluster, by: usize) -> Vec<Value> {
    let answer = server(cluster, by, "GET", "/v1/nodes", Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["nodes"].as_array().cloned().unwrap_or_default()
}

fn sum(nodes: &[Value], figure: &str) -> u64 {
    nodes.iter().map(|node| node[figure].as_u64().unwrap_or_default()).sum()
}

/// Waits until a node says that it drains.
pub(crate) async fn until_it_drains(gateway: &Gateway) {
    until(PATIENCE, "the drain to begin", async || {
        if gateway.log().contains("draining") { Ok(()) } else { Err(gateway.log()) }
    })
    .await;
}

/// Waits until the nodes, as the last one lists them, are as they should be.
pub(crate) async fn until_nodes(
    cluster: &Cluster,
    what: &str,
    good: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    until(PATIENCE, what, async || {
        let nodes = nodes(cluster, cluster.nodes.len() - 1).await;
        if good(&nodes) { Ok(nodes) } else { Err(format!("{nodes:?}")) }
    })
    .await
}

#[tokio::test]
async fn the_figures_are_those_of_what_was_done() {
    const BUSY: u64 = 60;
    const QUIET: u64 = 5;
    let cluster = cluster(3).await;
    let mut clients = Vec::new();
    for number in 0..6 {
        let mut client = Client::connect(cluster.addr(number % 3), &format!("user-{number}")).await;
        client.join("busy").await;
        clients.push(client);
    }
    clients[0].join("quiet").await;
    until_nodes(&cluster, "everybody to be counted", |nodes| {
        nodes.len() == 3
            && sum(nodes, "connections") == 6
            && sum(nodes, "users") == 6
            && sum(nodes, "members") == 7
    })
    .await;

    for number in 0..BUSY {
        clients[0].say("busy", number).await;
    }
    for number in 0..QUIET {
        clients[0].say("quiet", number).await;
    }
    for client in &mut clients {
        client.until_events("busy", BUSY as usize).await;
    }
    // The hottest rooms are those of a short while: each look at them is to be caught.
    let mut hottest = vec![Value::Null; 3];
    let told = until(PATIENCE, "the totals, and the rooms", async || {
        let nodes = nodes(&cluster, 2).await;
        for (seen, node) in hottest.iter_mut().zip(&nodes) {
            let room = &node["hottest"][0];
            if room["messages_per_second"].as_f64() > seen["messages_per_second"].as_f64() {
                *seen = room.clone();
            }
        }
        let complete = sum(&nodes, "appends") == BUSY + QUIET
            && sum(&nodes, "deliveries") == 6 * BUSY + QUIET
            && hottest
                .iter()
                .all(|room| room["messages_per_second"].as_f64() > Some(BUSY as f64 / 2.0 / 3.0 * 0.9))
            && nodes[0]["append_latency"]["count"] == BUSY + QUIET;
        if complete { Ok(nodes) } else { Err(format!("{hottest:?} {nodes:?}")) }
    })
    .await;

    // Prometheus is told the same.
    assert!((cluster.sum("chorus_deliveries_total").await - (6 * BUSY + QUIET) as f64).abs() < 0.5);
    for room in &hottest {
        // A look takes in what came in three seconds.
        let rate = |figure: &str| room[figure].as_f64().expect("a rate");
        let (messages, deliveries) = (rate("messages_per_second"), rate("deliveries_per_second"));
        assert_eq!((&room["room"], &room["members"]), (&json!("busy"), &json!(2)));
        assert!(messages <= BUSY as f64 / 2.8, "{room}");
        assert!((deliveries - 2.0 * messages).abs() <= 0.2, "to each of two members: {room}");
    }
    for (node, appended) in told.iter().zip([true, false, false]) {
        assert!(node["rss_bytes"].as_u64() > Some(1 << 20), "{node}");
        assert!(node["uptime_ms"].as_u64() > Some(0) && node["silent_ms"].as_u64() < Some(6000), "{node}");
        assert_eq!(
            (&node["bus"]["up"], &node["draining"], &node["slow_closes"]),
            (&json!(true), &json!(false), &json!(0))
        );
        assert_eq!(
            node["append_latency"].is_object(),
            appended,
            "nobody said anything to the others: {node}"
        );
    }
    let latency = |figure: &str| told[0]["append_latency"][figure].as_u64().expect("a time");
    assert!(0 < latency("p50_us") && latency("p50_us") <= latency("p99_us"), "{told:?}");
    assert!(latency("p99_us") <= latency("p999_us") && latency("window_ms") <= 12_000, "{told:?}");
}

#[tokio::test]
async fn without_redis_a_node_tells_of_itself() {
    let mut cluster = cluster(2).await;
    until_nodes(&cluster, "two nodes", |nodes| nodes.len() == 2).await;
    cluster.redis.stop().await;
    let told = until(PATIENCE, "the outage to show", async || {
        let answer = server(&cluster, 0, "GET", "/v1/nodes", Value::Null).await;
        let told = answer.json();
        if told["nodes"][0]["bus"]["up"] == false { Ok(told) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert_eq!((&told["complete"], told["nodes"].as_array().map(Vec::len)), (&json!(false), Some(1)));
    assert_eq!(
        (&told["nodes"][0]["name"], &told["answered_by"]),
        (&json!("node-0"), &told["nodes"][0]["id"])
    );
    let bus = &told["nodes"][0]["bus"];
    assert!(
        bus["down_since_ms"].is_u64() && bus["detail"].as_str().is_some_and(|why| !why.is_empty()),
        "{bus}"
    );
    let drain = server(&cluster, 0, "POST", "/v1/nodes/node-1/drain", Value::Null).await;
    assert_eq!(drain.status, 503, "{drain:?}");

    cluster.redis.restart().await;
    let nodes = until_nodes(&cluster, "both to be there again", |nodes| {
        nodes.len() == 2 && nodes.iter().all(|node| node["bus"]["up"] == true)
    })
    .await;
    assert!(nodes[0]["bus"]["down_since_ms"].is_null(), "{nodes:?}");
}

#[tokio::test]
async fn only_who_runs_the_cluster_sees_it_and_has_it_do_something() {
    let cluster = cluster(1).await;
    for (method, path) in [("GET", "/v1/nodes"), ("POST", "/v1/nodes/node-0/drain")] {
        let send = async |request: Request| request.send(cluster.addr(0)).await.status;
        assert_eq!(send(Request::new(method, path)).await, 401, "{path}");
        assert_eq!(send(Request::new(method, path).bearer("a key that is none")).await, 401, "{path}");
        assert_eq!(send(Request::new(method, path).bearer(&testkit::token("alice"))).await, 403, "{path}");
        let foreign = Request::new(method, path).bearer(KEY).header("Origin", "https://evil.example");
        assert_eq!(send(foreign).await, 403, "{path}");
    }
    let unknown = server(&cluster, 0, "POST", "/v1/nodes/node-7/drain", Value::Null).await;
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("not_found")));
    let malformed = server(&cluster, 0, "POST", "/v1/nodes/%ff/drain", Value::Null).await;
    assert_eq!(malformed.status, 400, "{malformed:?}");
    assert_eq!(Request::get("/readyz").send(cluster.addr(0)).await.status, 200, "nothing has happened");
}

#[tokio::test]
async fn a_node_that_is_told_to_drain_is_shown_to_and_comes_back() {
    let mut cluster = cluster(3).await;
    let mut held = Client::connect(cluster.addr(1), "alice").await;
    let first = until_nodes(&cluster, "three nodes", |nodes| nodes.len() == 3).await[1]["id"].clone();
    let id = first.as_str().expect("an id").to_owned();
    let path = &format!("/v1/nodes/{id}/drain");
    // Also by another node, and also twice: the second finds it draining, or gone.
    let told = server(&cluster, 0, "POST", path, Value::Null).await;
    assert_eq!((told.status, told.json()), (202, json!({ "nodes": [id] })));
    let again = server(&cluster, 0, "POST", path, Value::Null).await;
    assert!([202, 404].contains(&again.status), "{again:?}");
    let close = held.closed().await;
    assert_eq!((close.code, &*close.reason), (1012, "restart"));
    assert_eq!(cluster.nodes[1].exited(PATIENCE).await.code(), Some(0), "{}", cluster.nodes[1].log());
    let line = cluster.nodes[0].log().lines().find(|line| line.contains("told to drain")).map(str::to_owned);
    assert!(
        line.is_some_and(|line| line.contains("audit") && line.contains(&id) && line.contains("API key 2"))
    );
    until_nodes(&cluster, "it to be gone", |nodes| nodes.len() == 2).await;
    assert_eq!(
        server(&cluster, 0, "POST", path, Value::Null).await.status,
        404,
        "nobody hears of it any more"
    );
}

/// Memory bus: the node that is told is the one that answers, and has nobody to wait for.
/// It is told in its first milliseconds: an order that came before anybody waited for one was lost.
#[tokio::test]
async fn a_node_alone_answers_before_it_ends() {
    for _ in 0..5 {
        let mut gateway = options().env("CHORUS_API_KEYS", KEY).start().await;
        let answer = Request::new("POST", "/v1/nodes/node/drain").bearer(KEY).send(gateway.addr()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let began = Instant::now();
        assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(5), "the drain's time is ten seconds");
    }
}

/// SIGTERM by whatever runs it, while it drains by order, is no second signal.
#[tokio::test]
async fn a_first_signal_during_an_ordered_drain_lets_it_go_on() {
    let mut gateway =
        options().config(&format!("drain_seconds = 2\n{FAST}")).env("CHORUS_API_KEYS", KEY).start().await;
    let path = format!("/ws?token={}", testkit::token("alice"));
    // It never answers a close, so that the drain takes its time.
    let _deaf = testkit::RawSocket::open(gateway.addr(), &path).await;
    let answer = Request::new("POST", "/v1/nodes/node/drain").bearer(KEY).send(gateway.addr()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    until_it_drains(&gateway).await;
    gateway.signal(testkit::Signal::TERM);
    assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0), "130 is that of a second signal");
}

#[tokio::test]
async fn in_development_mode_whoever_sits_there_needs_no_key() {
    let mut gateway = GatewayOptions::bare(chorus()).start().await;
    let own = format!("http://{}", gateway.addr());
    let told = until(PATIENCE, "it to say something of itself", async || {
        let told = Request::get("/v1/nodes").send(gateway.addr()).await.json();
        if told["nodes"][0]["name"] == "node" { Ok(told) } else { Err(told.to_string()) }
    })
    .await;
    assert_eq!((&told["complete"], &told["nodes"][0]["bus"]["detail"]), (&json!(true), &json!("in memory")));
    let ban = Request::new("PUT", "/v1/users/eve/ban").header("Origin", own.clone()).json(&json!({}));
    assert_eq!(ban.send(gateway.addr()).await.status, 200);
    let drain = |header: &'static str, value: String| {
        Request::new("POST", "/v1/nodes/node/drain").header(header, value).send(gateway.addr())
    };
    let refused: [(Response, u16); 4] = [
        (drain("X-Forwarded-For", "10.1.1.1".to_owned()).await, 401),
        (drain("Host", "rebound.example".to_owned()).await, 401),
        (drain("Origin", "https://evil.example".to_owned()).await, 403),
        (drain("Authorization", "Bearer nonsense".to_owned()).await, 401),
    ];
    for (response, status) in refused {
        assert_eq!(response.status, status, "{response:?}");
    }
    let post = Request::new("POST", "/v1/rooms/lobby/messages").json(&json!({ "data": 1 }));
    assert_eq!(post.send(gateway.addr()).await.status, 401, "that is not what the pages need");
    assert_eq!(Request::get("/readyz").send(gateway.addr()).await.status, 200, "nothing has happened");
    assert_eq!(drain("Origin", own).await.status, 202);
    assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
    assert!(gateway.log().contains("development mode"), "the audit says who: {}", gateway.log());

    let locked = GatewayOptions::bare(chorus()).env("CHORUS_API_KEYS", KEY).start().await;
    let ask = async |request: Request| request.send(locked.addr()).await.status;
    assert_eq!(ask(Request::get("/v1/nodes")).await, 401, "who has made a key wants it to be needed");
    assert_eq!(ask(Request::get("/v1/nodes").bearer(KEY)).await, 200);
}
