//! Versions side by side: node after node is replaced under load by one of another version, and back.
//!
//! The other version is the binary that `CHORUS_PREVIOUS` names, as `cargo xtask compat` does; without it, it is this one.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use testkit::{Client, Gateway, GatewayOptions, PATIENCE, Redis, Signal, until};
use tokio::sync::RwLock;

use crate::{
    drain::{move_on, say},
    fixture::{FAST, agreed, chorus},
};

const CLIENTS: usize = 12;
const DRAIN_SECONDS: u64 = 3;
/// How much is said before the next node is replaced.
const BETWEEN: usize = 20 * CLIENTS;
/// Each says something new after so long, so that what all hold stays small.
const PAUSE: Duration = Duration::from_millis(10);

/// The binary that the cluster begins with.
fn previous() -> PathBuf {
    std::env::var_os("CHORUS_PREVIOUS").map_or_else(chorus, PathBuf::from)
}

async fn start(binary: PathBuf, redis: &Redis, name: &str) -> Gateway {
    let config = format!("drain_seconds = {DRAIN_SECONDS}\n{FAST}");
    let node = GatewayOptions::new(binary).config(&config).redis(redis).node(name).start().await;
    node.ready().await;
    node
}

/// Where clients go. Nobody is on the way to a node that is taken out of it.
type Places = Arc<RwLock<Vec<SocketAddr>>>;

#[tokio::test]
async fn nothing_is_lost_while_node_after_node_is_replaced_and_one_is_put_back() {
    let redis = Redis::start().await;
    let mut nodes = Vec::new();
    for number in 0..3 {
        nodes.push(start(previous(), &redis, &format!("node-{number}")).await);
    }
    let places = Places::new(RwLock::new(nodes.iter().map(Gateway::addr).collect()));
    let (said, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(nodes[number % 3].addr(), &format!("user-{number}")).await;
        client.join("lobby").await;
        tasks.push((client, Arc::clone(&places), Arc::clone(&said), Arc::clone(&over)));
    }
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|(client, places, said, over)| tokio::spawn(talk(client, places, said, over)))
        .collect();

    // The last step is the way back.
    let steps = [(0, chorus()), (1, chorus()), (2, chorus()), (1, previous())];
    for (step, (number, binary)) in steps.into_iter().enumerate() {
        more(&said).await;
        places.write().await.retain(|place| *place != nodes[number].addr());
        nodes[number].signal(Signal::TERM);
        let status = nodes[number].exited(Duration::from_secs(DRAIN_SECONDS + 2)).await;
        assert_eq!(status.code(), Some(0), "{}", nodes[number].log());
        nodes[number] = start(binary, &redis, &format!("node-{number}")).await;
        places.write().await.push(nodes[number].addr());
        let other = &nodes[(number + 1) % 3];
        understand_each_other(&nodes[number], other, &format!("here:{step}")).await;
        understand_each_other(other, &nodes[number], &format!("there:{step}")).await;
    }
    more(&said).await;
    over.store(true, Ordering::Relaxed);

    let mut clients = Vec::new();
    for task in tasks {
        clients.push(task.await.expect("a client that lost nothing"));
    }
    let total = said.load(Ordering::Relaxed);
    for client in &mut clients {
        client.until_events("lobby", total).await;
        assert_eq!(client.ledger("lobby").resets, Vec::<serde_json::Value>::new(), "{}", client.name());
    }
    assert_eq!(agreed(&clients, "lobby").len(), total);
}

/// Talks until it is over, and goes on elsewhere whenever its node is replaced.
async fn talk(mut client: Client, places: Places, said: Arc<AtomicUsize>, over: Arc<AtomicBool>) -> Client {
    for message in 0.. {
        let id = format!("{} {message}", client.name());
        while !say(&mut client, &id).await {
            let places = places.read().await;
            client = move_on(client, places[message % places.len()]).await;
        }
        said.fetch_add(1, Ordering::Relaxed);
        if over.load(Ordering::Relaxed) {
            break;
        }
        client.drain(PAUSE).await;
    }
    client
}

async fn more(said: &AtomicUsize) {
    let before = said.load(Ordering::Relaxed);
    until(PATIENCE, "more to be said", async || {
        let more = said.load(Ordering::Relaxed) - before;
        if more >= BETWEEN { Ok(()) } else { Err(more.to_string()) }
    })
    .await;
}

/// All that goes from node to node, and all that is read from Redis, from one node to another.
async fn understand_each_other(one: &Gateway, other: &Gateway, room: &str) {
    let mut alice = Client::connect(one.addr(), "alice").await;
    let mut bob = Client::connect(other.addr(), "bob").await;
    alice.join(room).await;
    bob.join(room).await;
    alice.until_present(room, &["alice", "bob"]).await;
    let ok = alice.say(room, "helo").await;
    let target = json!({ "epoch": ok["epoch"], "seq": ok["seq"] });
    alice.ok(json!({ "type": "edit", "room": room, "target": target, "data": "hello" })).await;
    alice.ok(json!({ "type": "react", "room": room, "target": target, "key": "+1", "on": true })).await;
    alice.ok(json!({ "type": "typing", "room": room, "on": true })).await;
    alice.ok(json!({ "type": "read", "room": room, "target": target })).await;
    for kind in ["message", "edit", "reaction", "typing", "read"] {
        assert_eq!(bob.expect(kind).await["room"], room, "{kind}");
    }
    // What one wrote the other finds: the same id is the same message, and the past is the same past.
    let said_again = json!({ "type": "message", "room": room, "id": "once", "data": "once" });
    assert_eq!(alice.ok(said_again.clone()).await["duplicate"], false);
    let mut alice_there = Client::connect(other.addr(), "alice").await;
    alice_there.join(room).await;
    assert_eq!(alice_there.ok(said_again).await["duplicate"], true);
    alice.ok(json!({ "type": "delete", "room": room, "target": target })).await;
    assert_eq!(bob.expect("delete").await["target"], target);
    let past = bob.ok(json!({ "type": "history", "room": room })).await;
    let told: Vec<_> = past["events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(told, ["message", "edit", "reaction", "message", "delete"], "{past}");
    assert_eq!((&past["events"][0]["deleted"], &past["events"][3]["data"]), (&json!(true), &json!("once")));
}
