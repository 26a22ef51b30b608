//! Redis fails, in every way it can, while clients stay connected.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, Cluster, PATIENCE, Redis, Request, Signal, until};
use tokio::task::JoinHandle;

use crate::fixture::{agreed, cluster, cluster_on, say_until_ok};
use crate::talk::{EACH, TALKERS, talkers, until_acknowledged};

/// Waits until every node says by `/readyz` that it has lost Redis.
async fn until_noticed(cluster: &Cluster) {
    for node in &cluster.nodes {
        until(PATIENCE, "/readyz to answer 503", async || {
            let status = Request::get("/readyz").send(node.addr()).await.status;
            if status == 503 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }
}

/// Everyone holds every message once, in one order, and nobody was told that anything is gone.
async fn everything_arrived_once(talkers: Vec<JoinHandle<Client>>) {
    let mut clients = Vec::new();
    for talker in talkers {
        clients.push(talker.await.unwrap());
    }
    for client in &mut clients {
        client.until_events("lobby", TALKERS * EACH).await;
    }
    for client in &mut clients {
        client.drain(Duration::from_millis(50)).await;
        assert_eq!(client.ledger("lobby").resets, Vec::<Value>::new());
    }
    let events = agreed(&clients, "lobby");
    let mut ids: Vec<&str> = events.iter().map(|event| event.data.as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), events.len()), (TALKERS * EACH, TALKERS * EACH));
}

#[tokio::test]
async fn redis_is_stopped_and_started_while_clients_send() {
    let mut cluster = cluster(3).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let talkers = talkers(&cluster, &acknowledged).await;

    until_acknowledged(&acknowledged, TALKERS * EACH / 3).await;
    cluster.redis.stop().await;
    until_noticed(&cluster).await;
    // Connections are still taken, and what needs Redis says that it cannot be had.
    let mut late = Client::connect(cluster.addr(0), "late").await;
    assert_eq!(late.refused(json!({ "type": "join", "room": "elsewhere" })).await, "unavailable");
    assert_eq!(late.request(json!({ "type": "ping" })).await["type"], "pong");

    cluster.redis.restart().await;
    everything_arrived_once(talkers).await;
    for node in &cluster.nodes {
        node.ready().await;
    }
    late.join("elsewhere").await;
}

#[tokio::test]
async fn redis_crashes_with_everything_on_disk_while_clients_send() {
    let redis = Redis::start_with(&["appendfsync always"]).await;
    let mut cluster = cluster_on(redis, 3).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let talkers = talkers(&cluster, &acknowledged).await;
    until_acknowledged(&acknowledged, TALKERS * EACH / 3).await;
    cluster.redis.kill().await;
    cluster.redis.restart().await;
    everything_arrived_once(talkers).await;
}

#[tokio::test]
async fn redis_hangs_for_a_while_and_goes_on() {
    let cluster = cluster(2).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let talkers = talkers(&cluster, &acknowledged).await;
    until_acknowledged(&acknowledged, TALKERS * EACH / 3).await;
    cluster.redis.freeze();
    until_noticed(&cluster).await;
    cluster.redis.thaw();
    everything_arrived_once(talkers).await;
}

#[tokio::test]
async fn a_message_after_the_subscribers_were_cut_arrives_although_silence_follows() {
    let cluster = cluster(3).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    let mut carol = Client::connect(cluster.addr(2), "carol").await;
    for client in [&mut alice, &mut bob, &mut carol] {
        client.join("lobby").await;
    }
    // Several times: whether the message overtakes the subscription is a matter of luck.
    for round in 1..=3 {
        let killed = cluster.redis.number(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        assert!(killed >= 3, "a connection of each node, not {killed}");
        say_until_ok(&mut alice, "lobby", &format!("the only one of round {round}")).await;
        for client in [&mut alice, &mut bob, &mut carol] {
            client.until_events("lobby", round).await;
        }
    }
    assert!(cluster.sum("chorus_bus_reconnects_total").await >= 1.0);
    agreed([&alice, &bob, &carol], "lobby");
}

#[tokio::test]
async fn every_connection_of_redis_is_cut_while_clients_send() {
    let cluster = cluster(3).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let talkers = talkers(&cluster, &acknowledged).await;
    for part in 1..=4 {
        until_acknowledged(&acknowledged, part * TALKERS * EACH / 6).await;
        cluster.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        cluster.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }
    everything_arrived_once(talkers).await;
}

#[tokio::test]
async fn the_scripts_are_forgotten_while_clients_send() {
    let cluster = cluster(2).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let talkers = talkers(&cluster, &acknowledged).await;
    for part in 1..=4 {
        until_acknowledged(&acknowledged, part * TALKERS * EACH / 6).await;
        cluster.redis.command(&["SCRIPT", "FLUSH"]);
    }
    everything_arrived_once(talkers).await;
}

/// The probe used to judge by the clock, before it had looked into its sockets: it took the time in which the node
/// itself had stood still for silence, said that Redis was deaf, and cut a connection that was good.
#[tokio::test]
async fn a_node_that_stood_still_does_not_take_that_for_silence() {
    /// Longer than the probe is patient, and shorter than a command may take.
    const STOPPED: Duration = Duration::from_secs(3);
    let cluster = cluster(3).await;
    for node in &cluster.nodes {
        node.signal(Signal::STOP);
    }
    tokio::time::sleep(STOPPED).await;
    for node in &cluster.nodes {
        node.signal(Signal::CONT);
    }
    for number in 0..cluster.nodes.len() {
        let mut client = Client::connect(cluster.addr(number), "alice").await;
        client.join("lobby").await;
        client.say("lobby", 1).await;
        client.until_events("lobby", 1).await;
        client.close(1000, "bye").await;
    }
    for node in &cluster.nodes {
        assert!(!node.log().contains("bus is down"), "{}", node.log());
    }
    assert!(cluster.sum("chorus_bus_reconnects_total").await < 0.5);
}
