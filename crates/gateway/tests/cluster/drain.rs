//! SIGTERM: a node goes, its clients go on elsewhere.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{
    Client, Close, Cluster, Dial, PATIENCE, Redis, Request, Signal, free_port, token, until, within,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    calls::{KEY, server},
    fixture::{FAST, agreed, options},
    nodes::{until_it_drains, until_nodes},
};

const CLIENTS: usize = 12;
const EACH: usize = 60;
const DRAIN_SECONDS: u64 = 3;

async fn draining_cluster(size: usize) -> Cluster {
    let config = format!("drain_seconds = {DRAIN_SECONDS}\n{FAST}");
    let options = options().config(&config).env("CHORUS_API_KEYS", KEY);
    Cluster::start_with(Redis::start().await, size, options).await
}

#[tokio::test]
async fn nobody_loses_a_message_when_a_node_drains_under_load() {
    let cluster = draining_cluster(3).await;
    drain_under_load(cluster, async |cluster| cluster.nodes[0].signal(Signal::TERM)).await;
}

/// Whoever runs the cluster asks any of its nodes.
#[tokio::test]
async fn nobody_loses_a_message_when_a_node_is_told_to_drain_by_another() {
    let cluster = draining_cluster(3).await;
    // A node may be heard of two seconds after it has begun.
    until_nodes(&cluster, "node 2 to know of all", |nodes| nodes.len() == 3).await;
    drain_under_load(cluster, async |cluster| {
        let answer = server(cluster, 2, "POST", "/v1/nodes/node-0/drain", Value::Null).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    })
    .await;
}

/// Has node 0 drain while everybody talks, and looks at what everybody has.
async fn drain_under_load(mut cluster: Cluster, begin: impl AsyncFnOnce(&Cluster)) {
    let nodes = [0, 1, 2].map(|node| cluster.addr(node));
    let said = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(nodes[number % 3], &format!("user-{number}")).await;
        client.join("lobby").await;
        clients.push(client);
    }
    let mut tasks = Vec::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        let said = Arc::clone(&said);
        tasks.push(tokio::spawn(async move {
            let drains = number % 3 == 0;
            let mut moved = false;
            for message in 0..EACH {
                let id = format!("user-{number} {message}");
                while !say(&mut client, &id).await {
                    assert!(drains, "only node 0 drains");
                    client = move_on(client, nodes[1 + number % 2]).await;
                    moved = true;
                }
                said.fetch_add(1, Ordering::Relaxed);
            }
            if drains && !moved {
                client = move_on(client, nodes[1]).await;
            }
            client.until_events("lobby", CLIENTS * EACH).await;
            client
        }));
    }

    until(PATIENCE, "the talk to be in full swing", async || {
        let so_far = said.load(Ordering::Relaxed);
        if so_far >= CLIENTS * EACH / 4 { Ok(()) } else { Err(so_far.to_string()) }
    })
    .await;
    let began = Instant::now();
    begin(&cluster).await;
    let status = cluster.nodes[0].exited(Duration::from_secs(DRAIN_SECONDS + 2)).await;
    assert_eq!(status.code(), Some(0), "after {:?}: {}", began.elapsed(), cluster.nodes[0].log());

    let mut clients = Vec::new();
    for task in tasks {
        clients.push(task.await.unwrap());
    }
    assert_eq!(agreed(&clients, "lobby").len(), CLIENTS * EACH);
}

/// Says it; false when the connection was closed by the drain before the reply.
pub(crate) async fn say(client: &mut Client, id: &str) -> bool {
    let reference = submit(client, id).await;
    match reply_or_end(client, reference).await {
        None => false,
        Some(reply) => {
            // A node that drains may already say that it takes no more.
            let ok = reply["type"] == "ok";
            assert!(ok || reply["code"] == "unavailable", "{reply}");
            ok
        }
    }
}

async fn submit(client: &mut Client, id: &str) -> u64 {
    client.submit(json!({ "type": "message", "room": "lobby", "id": id, "data": id })).await
}

async fn reply_or_end(client: &mut Client, reference: u64) -> Option<Value> {
    let reply_or_end = |client: &mut Client| {
        client
            .reply_now(reference)
            .map(Some)
            .or_else(|| client.has_ended().then_some(None))
            .ok_or("nothing".into())
    };
    client.read_until(PATIENCE, "a reply or the end", reply_or_end).await
}

/// Waits for the close, and resumes on another node.
pub(crate) async fn move_on(mut client: Client, node: std::net::SocketAddr) -> Client {
    let name = client.name().to_owned();
    let close = client.closed().await;
    assert_eq!((close.code, close.reason.as_str()), (1012, "restart"), "{name}");
    let closing = client.expect("closing").await;
    assert_eq!((&closing["code"], &closing["reason"]), (&json!(1012), &json!("restart")));
    assert!(closing["retry_after_ms"].is_u64(), "{closing}");
    let rooms = client.cut();
    let mut client = Client::connect(node, &name).await;
    let replies = client.resume(rooms).await;
    assert_eq!(replies["lobby"]["recovered"], true, "{replies:?}");
    client
}

#[tokio::test]
async fn sockets_are_closed_spread_over_the_window_and_the_node_says_that_it_is_not_ready() {
    let mut cluster = draining_cluster(1).await;
    let addr = cluster.addr(0);
    let mut clients = Vec::new();
    for number in 0..40 {
        clients.push(Client::connect(addr, &format!("user-{number}")).await);
    }
    let began = Instant::now();
    cluster.nodes[0].signal(Signal::TERM);
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let close = client.closed().await;
                assert_eq!((close.code, close.reason.as_str()), (1012, "restart"));
                (began.elapsed(), client.expect("closing").await["retry_after_ms"].clone())
            })
        })
        .collect();
    until(PATIENCE, "not ready, or not listening any more", async || {
        match Request::get("/readyz").try_send(addr).await {
            Ok(response) if response.status != 503 => Err(response.status.to_string()),
            _ => Ok(()),
        }
    })
    .await;

    let mut times = Vec::new();
    let mut waits: Vec<Value> = Vec::new();
    for task in tasks {
        let (time, wait) = task.await.unwrap();
        times.push(time);
        waits.push(wait);
    }
    let spread = times.iter().max().unwrap().saturating_sub(*times.iter().min().unwrap());
    // With few connections they follow each other closely: at least 5 ms apart.
    assert!(spread > Duration::from_millis(150), "all were closed within {spread:?}");
    waits.dedup();
    assert!(waits.len() > 1, "retry_after_ms is not jittered: {waits:?}");
    assert_eq!(cluster.nodes[0].exited(PATIENCE).await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(DRAIN_SECONDS + 1), "{:?}", began.elapsed());
    assert_eq!(Dial::to(addr).refused().await.status, 0, "nobody listens there any more");
}

#[tokio::test]
async fn a_client_that_never_answers_does_not_hold_up_the_exit() {
    let mut gateway = options().config("drain_seconds = 1\n").start().await;
    let path = format!("/ws?token={}", token("alice"));
    let _deaf = testkit::RawSocket::open(gateway.addr(), &path).await;
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_empty_node_leaves_at_once() {
    let mut gateway = options().start().await;
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "the default drain is ten seconds, {:?}",
        began.elapsed()
    );
}

/// It was told that its message was in the log, which was gone in the next moment, and nobody had heard of it.
#[tokio::test]
async fn rooms_that_end_with_their_node_take_nothing_more_once_it_drains() {
    for redis in [None, Some(Redis::start().await)] {
        let metrics = free_port();
        let config = format!("drain_seconds = 10\nmetrics_listen = \"127.0.0.1:{metrics}\"\n");
        let options = options().config(&config);
        let options = if let Some(redis) = &redis { options.redis(redis) } else { options };
        let gateway = options.start().await;
        gateway.ready().await;
        // It does not answer its close, so that the drain takes two seconds.
        let mute = Client::connect(gateway.addr(), "mute").await;
        let mut late = TcpStream::connect(gateway.addr()).await.unwrap();
        let head = format!(
            "POST /v1/rooms/lobby/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 13\r\n\
             Expect: 100-continue\r\n\r\n",
            token("alice")
        );
        late.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        within(PATIENCE, "the body to be asked for", late.read_exact(&mut go_on)).await.unwrap();
        gateway.signal(Signal::TERM);
        until(PATIENCE, "the drain to begin", async || {
            let response = Request::get("/readyz").send(([127, 0, 0, 1], metrics).into()).await;
            if response.status == 503 { Ok(()) } else { Err(response.status.to_string()) }
        })
        .await;
        late.write_all(br#"{"data":"hi"}"#).await.unwrap();
        let mut answer = String::new();
        within(PATIENCE, "an answer and its end", late.read_to_string(&mut answer)).await.unwrap();
        if redis.is_some() {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        } else {
            let told = answer.starts_with("HTTP/1.1 503 ") && answer.contains(r#""code":"unavailable""#);
            assert!(told && answer.to_lowercase().contains("retry-after: "), "{answer}");
        }
        drop(mute);
    }
}

/// Whoever is told to go first would never hear of what the others, who have yet to be told, say meanwhile.
#[tokio::test]
async fn rooms_that_end_with_their_node_take_nothing_more_from_those_who_have_yet_to_be_told_to_go() {
    let mut gateway = options().config("drain_seconds = 10\n").start().await;
    let mut clients = Vec::new();
    for number in 0..100 {
        let mut client = Client::connect(gateway.addr(), &format!("user-{number}")).await;
        client.join("lobby").await;
        clients.push(client);
    }
    gateway.signal(Signal::TERM);
    until_it_drains(&gateway).await;
    let mut references = Vec::new();
    for client in &mut clients {
        references.push(submit(client, "late").await);
    }
    let mut refused = 0;
    for (client, reference) in clients.iter_mut().zip(references) {
        if let Some(reply) = reply_or_end(client, reference).await {
            assert_eq!(reply["code"], "unavailable", "{reply}");
            assert!(reply["retry_after_ms"].is_u64(), "{reply}");
            refused += 1;
        }
    }
    assert!(refused > 0, "all were told to go before they could say anything");
    assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
}

/// What was said right before, and was in the log, was in nobody's hands: those who were told to go were told nothing else.
#[tokio::test]
async fn what_rooms_that_end_with_their_node_have_taken_everybody_gets() {
    for _ in 0..5 {
        let mut gateway = options().config(&format!("drain_seconds = 10\n{FAST}")).start().await;
        let mut clients = Vec::new();
        for number in 0..20 {
            let mut client = Client::connect(gateway.addr(), &format!("user-{number}")).await;
            client.join("lobby").await;
            clients.push(client);
        }
        let speakers: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                tokio::spawn(async move {
                    let mut taken = Vec::new();
                    for number in 0..1000 {
                        let id = format!("{} {number}", client.name());
                        if !say(&mut client, &id).await {
                            break;
                        }
                        taken.push(id);
                    }
                    client.closed().await;
                    (client, taken)
                })
            })
            .collect();
        until(PATIENCE, "the talk to be in full swing", async || {
            let said = gateway.metrics().await.sum("chorus_appends_total");
            if said > 200.0 { Ok(()) } else { Err(said.to_string()) }
        })
        .await;
        gateway.signal(Signal::TERM);
        let (mut clients, mut all) = (Vec::new(), Vec::new());
        for speaker in speakers {
            let (client, mut taken) = speaker.await.unwrap();
            clients.push(client);
            all.append(&mut taken);
        }
        for client in &clients {
            let heard: HashSet<_> =
                client.ledger("lobby").data().into_iter().filter_map(Value::as_str).collect();
            let lost: Vec<_> = all.iter().filter(|id| !heard.contains(id.as_str())).collect();
            assert!(lost.is_empty(), "{} never heard {lost:?}", client.name());
        }
        assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_second_signal_exits_at_once() {
    for first in [Signal::TERM, Signal::INT] {
        let mut gateway = options().start().await;
        let mut client = Client::connect(gateway.addr(), "alice").await;
        client.join("lobby").await;
        gateway.signal(first);
        until(PATIENCE, "the drain to begin", async || {
            match Request::get("/readyz").try_send(gateway.addr()).await {
                Ok(response) if response.status != 503 => Err(response.status.to_string()),
                _ => Ok(()),
            }
        })
        .await;
        let began = Instant::now();
        gateway.signal(Signal::TERM);
        gateway.exited(PATIENCE).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn without_time_for_a_drain_everybody_is_told_at_once() {
    let mut gateway = options().config("drain_seconds = 0\n").start().await;
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(Client::connect(gateway.addr(), &format!("user-{number}")).await);
    }
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
    assert_eq!(gateway.log().matches("connection ended").count(), clients.len(), "{}", gateway.log());
    for client in &mut clients {
        // It was cut off without a word.
        assert_eq!(client.closed().await, Close { code: 1001, reason: "going_away".to_owned() });
    }
}
