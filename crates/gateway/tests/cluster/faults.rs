//! Redis fails, in every way it can, while clients stay connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, Cluster, PATIENCE, Redis, Request, until};
use tokio::task::JoinHandle;

use crate::fixture::{agreed, cluster, cluster_on, say_many, say_until_ok};

const TALKERS: usize = 6;
const EACH: usize = 60;

/// Clients, spread over the nodes, that each send `EACH` messages and repeat what was answered `unavailable`.
async fn talkers(cluster: &Cluster, acknowledged: &Arc<AtomicUsize>) -> Vec<JoinHandle<Client>> {
    let mut clients = Vec::new();
    for number in 0..TALKERS {
        let mut client = Client::connect(cluster.addr(number), &format!("user-{number}")).await;
        client.join("lobby").await;
        clients.push(client);
    }
    let talk = |mut client: Client| {
        let acknowledged = Arc::clone(acknowledged);
        async move {
            for number in 0..EACH {
                let id = format!("{} {number}", client.name());
                say_until_ok(&mut client, "lobby", &id).await;
                acknowledged.fetch_add(1, Ordering::Relaxed);
                // A little slower than it could, so that the fault falls amid the talk.
                client.drain(Duration::from_millis(10)).await;
            }
            client
        }
    };
    clients.into_iter().map(|client| tokio::spawn(talk(client))).collect()
}

async fn until_acknowledged(acknowledged: &AtomicUsize, count: usize) {
    until(PATIENCE, &format!("{count} acknowledged messages"), async || {
        let so_far = acknowledged.load(Ordering::Relaxed);
        if so_far >= count { Ok(()) } else { Err(so_far.to_string()) }
    })
    .await;
}

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
async fn everyone_is_told_when_redis_comes_back_from_an_older_snapshot() {
    let mut cluster = cluster(3).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    let mut carol = Client::connect(cluster.addr(2), "carol").await;
    for client in [&mut alice, &mut bob, &mut carol] {
        client.join("lobby").await;
    }
    say_many(&mut alice, "lobby", 0..10).await;
    carol.until_events("lobby", 10).await;
    let snapshot = cluster.redis.snapshot();
    say_many(&mut alice, "lobby", 10..15).await;
    for client in [&mut alice, &mut bob, &mut carol] {
        client.until_events("lobby", 15).await;
    }
    // Carol is away when it happens.
    let carols = carol.cut();

    cluster.redis.kill().await;
    cluster.redis.restore(&snapshot);
    cluster.redis.restart().await;
    // The numbers of what is gone go to others.
    for number in 0..8 {
        say_until_ok(&mut bob, "lobby", &format!("afterwards {number}")).await;
    }
    for client in [&mut alice, &mut bob] {
        client
            .read_until(PATIENCE, "a reset", |c| {
                c.ledger("lobby").resets.first().map_or(Err("none".into()), |_| Ok(()))
            })
            .await;
        client.until_events("lobby", 18).await;
        let resets = &client.ledger("lobby").resets;
        assert_eq!(
            (resets.len(), &resets[0]["reason"], &resets[0]["seq"]),
            (1, &json!("forked"), &json!(10))
        );
    }
    let mut carol = Client::connect(cluster.addr(1), "carol").await;
    carol.resume(carols).await;
    carol.until_seq("lobby", 18).await;
    // One way or the other she is told, and holds nothing that is gone.
    let ledger = carol.ledger("lobby");
    assert!(ledger.unrecovered + ledger.resets.len() > 0, "carol was not told: {ledger:?}");
    let events = agreed([&alice, &bob], "lobby");
    assert!(events.ends_with(&ledger.events), "carol holds what is gone: {ledger:?}");
}

#[tokio::test]
async fn everyone_is_told_when_redis_is_flushed() {
    let cluster = cluster(3).await;
    let mut clients = Vec::new();
    for number in 0..3 {
        let mut client = Client::connect(cluster.addr(number), &format!("user-{number}")).await;
        client.join("lobby").await;
        clients.push(client);
    }
    say_many(&mut clients[0], "lobby", 0..10).await;
    for client in &mut clients {
        client.until_events("lobby", 10).await;
    }
    let old_epoch = clients[0].ledger("lobby").epoch.clone();

    cluster.redis.command(&["FLUSHALL"]);
    say_many(&mut clients[1], "lobby", 10..15).await;
    for client in &mut clients {
        let name = client.name().to_owned();
        client
            .read_until(PATIENCE, "the events after a reset", |c| {
                let ledger = c.ledger("lobby");
                let done = ledger.resets.len() == 1 && ledger.events.len() == 5;
                if done { Ok(()) } else { Err(format!("{ledger:?}")) }
            })
            .await;
        assert_eq!(client.ledger("lobby").resets[0]["reason"], "new", "{name}");
    }
    agreed(&clients, "lobby");
    assert_ne!(clients[0].ledger("lobby").epoch, old_epoch);
}

#[tokio::test]
async fn a_flush_is_noticed_in_silence_too() {
    let cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", "gone soon").await;
    alice.until_events("lobby", 1).await;
    cluster.redis.command(&["FLUSHALL"]);
    let reset = alice.read_until(Duration::from_secs(30), "a reset", |c| {
        c.ledger("lobby").resets.first().cloned().ok_or_else(|| "none".to_owned())
    });
    assert_eq!(reset.await["reason"], "new");
    alice.say("lobby", "goes on").await;
    alice.until_events("lobby", 1).await;
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
