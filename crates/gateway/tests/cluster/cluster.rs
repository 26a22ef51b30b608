//! Three nodes behind nginx on one Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::{Client, Cluster, Dial, Nginx, PATIENCE, Redis, token, until};
use tokio::sync::Barrier;

use crate::fixture::{FAST, agreed, cluster, options, say_many};

const CLIENTS: usize = 30;
const ROOMS: usize = 3;
const EACH: usize = 100;

fn room_of(client: usize) -> String {
    format!("room-{}", client % ROOMS)
}

/// The first half connects through nginx, the others to the nodes themselves. `ip_hash` looks at three octets.
fn dial(cluster: &Cluster, nginx: &Nginx, number: usize) -> Dial {
    let name = format!("user-{number}");
    let dial = if number < CLIENTS / 2 {
        Dial::to(nginx.addr()).from(Ipv4Addr::new(127, 0, number as u8 + 1, 1))
    } else {
        Dial::to(cluster.addr(number))
    };
    dial.bearer(&token(&name)).named(&name)
}

#[tokio::test]
async fn thirty_clients_on_three_nodes_behind_nginx_see_the_same() {
    let trusting = options().config("trusted_proxies = [\"127.0.0.1\"]").config(FAST);
    let cluster = Cluster::start_with(Redis::start().await, 3, trusting).await;
    let nginx = Nginx::start([0, 1, 2].map(|node| cluster.addr(node))).await;

    let all_joined = Arc::new(Barrier::new(CLIENTS));
    let mut tasks = Vec::new();
    for number in 0..CLIENTS {
        let (dial, all_joined) = (dial(&cluster, &nginx, number), Arc::clone(&all_joined));
        tasks.push(tokio::spawn(async move {
            let room = room_of(number);
            let mut client = dial.welcomed().await;
            client.join(&room).await;
            all_joined.wait().await;
            say_many(&mut client, &room, 0..EACH).await;
            client.until_events(&room, EACH * CLIENTS / ROOMS).await;
            client
        }));
    }
    let mut clients = Vec::new();
    for task in tasks {
        clients.push(task.await.unwrap());
    }

    for client in &mut clients {
        // Whatever is too much would come now; an event of another room makes the client panic by itself.
        client.drain(Duration::from_millis(5)).await;
    }
    for room in 0..ROOMS {
        let members = clients.iter().skip(room).step_by(ROOMS);
        let events = agreed(members, &room_of(room));
        assert_eq!(events.len(), EACH * CLIENTS / ROOMS);
        every_message_once_and_in_the_order_of_its_sender(&events);
    }
    nodes_are_all_used(&clients);
    metrics_agree(&cluster, &clients).await;
}

fn every_message_once_and_in_the_order_of_its_sender(events: &[testkit::Event]) {
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        said.entry(&event.from).or_default().push(event.data["text"].as_str().unwrap());
    }
    assert_eq!(said.len(), CLIENTS / ROOMS);
    for (from, texts) in said {
        let expected: Vec<String> = (0..EACH).map(|number| format!("{from} {number}")).collect();
        assert_eq!(texts, expected);
    }
}

fn nodes_are_all_used(clients: &[Client]) {
    let nodes = |clients: &[Client]| clients.iter().map(|c| c.node().to_owned()).collect::<BTreeSet<_>>();
    let (through_nginx, direct) = clients.split_at(CLIENTS / 2);
    assert_eq!(nodes(through_nginx).len(), 3, "nginx spreads clients over all nodes");
    assert_eq!(nodes(direct).len(), 3);
}

/// What the nodes count is what the test counted.
async fn metrics_agree(cluster: &Cluster, clients: &[Client]) {
    let followed: BTreeSet<_> = clients.iter().enumerate().map(|(n, c)| (c.node(), room_of(n))).collect();
    let messages = CLIENTS * EACH;
    let expected = [
        ("chorus_connections", CLIENTS),
        ("chorus_members", CLIENTS),
        ("chorus_rooms", followed.len()),
        ("chorus_appends_total", messages),
        ("chorus_deliveries_total", messages * CLIENTS / ROOMS),
        // A join and the messages of each.
        ("chorus_frames_received_total", messages + CLIENTS),
        ("chorus_bus_resets_total", 0),
        ("chorus_bus_up", 3),
    ];
    for (metric, expected) in expected {
        // Counters of deliveries may be gathered before they are published.
        until(PATIENCE, &format!("{metric} to be {expected}"), async || {
            let sum = cluster.sum(metric).await;
            if (sum - expected as f64).abs() < 0.5 { Ok(()) } else { Err(sum.to_string()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_token_in_a_query_stays_out_of_every_log() {
    let noisy = options().env("CHORUS_LOG", "trace");
    let cluster = Cluster::start_with(Redis::start().await, 3, noisy).await;
    let nginx = Nginx::start([0, 1, 2].map(|node| cluster.addr(node))).await;
    let secret = token("alice");
    let path = format!("/ws?token={secret}");

    let client = Dial::to(nginx.addr()).path(&path).welcomed().await;
    drop(client);
    until(PATIENCE, "nginx to log the connection", async || {
        let log = nginx.access_log();
        if log.contains("/ws") { Ok(()) } else { Err(log) }
    })
    .await;
    let logs: Vec<String> = cluster.nodes.iter().map(testkit::Gateway::log).collect();
    for node in cluster.nodes {
        node.kill().await;
    }
    // Now nginx finds no upstream, which it would log with the whole request line.
    let refusal = Dial::to(nginx.addr()).path(&path).refused().await;
    assert_eq!(refusal.status, 502);

    let signature = secret.rsplit('.').next().unwrap();
    for log in logs.iter().chain([&nginx.access_log(), &nginx.error_log()]) {
        assert!(!log.contains(signature), "a token was logged: {log}");
    }
}

#[tokio::test]
async fn a_node_receives_only_rooms_that_someone_on_it_has_joined() {
    let quick = options().config("[rooms]\nlinger_ms = 100\n");
    let cluster = Cluster::start_with(Redis::start().await, 2, quick).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(1), "bob").await;
    let subscribers = |room: &str| {
        let reply = cluster.redis.command(&["PUBSUB", "NUMSUB", &format!("chat:{room}")]);
        format!("{reply:?}")
    };
    let count = |n: u32| format!("int({n})");

    alice.join("shared").await;
    alice.join("hers").await;
    assert!(subscribers("hers").contains(&count(1)), "{}", subscribers("hers"));
    bob.join("shared").await;
    assert!(subscribers("shared").contains(&count(2)), "{}", subscribers("shared"));

    alice.ok(json!({ "type": "leave", "room": "hers" })).await;
    until(PATIENCE, "the last leave to end the subscription", async || {
        let seen = subscribers("hers");
        if seen.contains(&count(0)) { Ok(()) } else { Err(seen) }
    })
    .await;
    // Left and joined again: the room is followed anew.
    bob.join("hers").await;
    alice.join("hers").await;
    alice.say("hers", "again").await;
    bob.until_events("hers", 1).await;
}

#[tokio::test]
async fn a_user_in_two_places_hears_itself_in_both() {
    let cluster = cluster(2).await;
    let mut phone = Client::connect(cluster.addr(0), "alice").await;
    let mut laptop = Client::connect(cluster.addr(1), "alice").await;
    phone.join("lobby").await;
    laptop.join("lobby").await;
    phone.say("lobby", "from the phone").await;
    laptop.say("lobby", "from the laptop").await;
    phone.until_events("lobby", 2).await;
    laptop.until_events("lobby", 2).await;
    agreed([&phone, &laptop], "lobby");
}
