//! Joins and resumes amid steady talk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use testkit::{Client, Cluster, Event, Gateway, PATIENCE, until, within};

use crate::fixture::{cluster, options};

const CHURNERS: usize = 8;
const CYCLES: usize = 40;

#[tokio::test]
async fn hundreds_of_joins_and_resumes_amid_steady_talk_see_no_hole() {
    let cluster = Arc::new(cluster(2).await);
    let mut observer = Client::connect(cluster.addr(0), "observer").await;
    observer.join("lobby").await;
    let stop = Arc::new(AtomicBool::new(false));
    let talkers: Vec<_> =
        (0..2).map(|n| tokio::spawn(talk(Arc::clone(&cluster), n, Arc::clone(&stop)))).collect();

    let churners: Vec<_> = (0..CHURNERS).map(|n| tokio::spawn(churn(Arc::clone(&cluster), n))).collect();
    let mut seen = Vec::new();
    for churner in churners {
        let patience = std::time::Duration::from_mins(1);
        seen.push(within(patience, "a client that comes and goes", churner).await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let mut said = 0;
    for talker in talkers {
        said += talker.await.unwrap();
    }

    observer.until_seq("lobby", said).await;
    let truth = &observer.ledger("lobby").events;
    for stays in seen {
        for events in stays.iter().filter(|events| !events.is_empty()) {
            let first = usize::try_from(events[0].seq).unwrap() - 1;
            assert_eq!(events[..], truth[first..first + events.len()], "what a stay saw is what was said");
        }
    }
}

/// Talks without a pause; returns how much was said.
async fn talk(cluster: Arc<Cluster>, number: usize, stop: Arc<AtomicBool>) -> u64 {
    let mut client = Client::connect(cluster.addr(number), &format!("talker-{number}")).await;
    client.join("lobby").await;
    let mut said = 0;
    while !stop.load(Ordering::Relaxed) {
        client.say("lobby", json!({ "number": said })).await;
        said += 1;
    }
    said
}

/// Comes and goes, in every way there is; returns the events of each stay. A resumed stay continues the one before.
async fn churn(cluster: Arc<Cluster>, number: usize) -> Vec<Vec<Event>> {
    let name = format!("churner-{number}");
    let mut stays = Vec::new();
    for cycle in 0..CYCLES / 2 {
        let mut client = Client::connect(cluster.addr(cycle + number), &name).await;
        let mut join = json!({ "type": "join", "room": "lobby" });
        if cycle % 2 == 0 {
            join["recent"] = json!(cycle);
        }
        let head = client.ok(join).await["head"].as_u64().unwrap();
        client.until_seq("lobby", head + 2).await;
        let before = client.cut();

        // On the other node, or on the same.
        let mut client = Client::connect(cluster.addr(cycle * 2 + number), &name).await;
        let replies = client.resume(before).await;
        assert_eq!(replies["lobby"]["recovered"], true, "{replies:?}");
        let head = replies["lobby"]["head"].as_u64().unwrap();
        client.until_seq("lobby", head + 1).await;
        stays.push(client.ledger("lobby").events.clone());
    }
    stays
}

#[tokio::test]
async fn leaving_and_joining_again_on_one_connection_sees_no_hole() {
    let cluster = Arc::new(cluster(2).await);
    let stop = Arc::new(AtomicBool::new(false));
    let talker = tokio::spawn(talk(Arc::clone(&cluster), 0, Arc::clone(&stop)));
    let mut client = Client::connect(cluster.addr(1), "restless").await;
    client.join("lobby").await;
    for _ in 0..100 {
        let seq = client.ledger("lobby").seq;
        client.until_seq("lobby", seq + 1).await;
        client.ok(json!({ "type": "leave", "room": "lobby" })).await;
        let ledger = client.ledger("lobby");
        let since = json!({ "epoch": ledger.epoch, "seq": ledger.seq });
        let ok = client.ok(json!({ "type": "join", "room": "lobby", "since": since })).await;
        assert_eq!(ok["recovered"], true);
    }
    stop.store(true, Ordering::Relaxed);
    let said = talker.await.unwrap();
    client.until_seq("lobby", said).await;
}

/// The C library's allocator kept all of it.
#[tokio::test]
async fn what_a_crowd_took_is_given_back_when_it_has_gone() {
    let crowds = "[limits]\nconnections_per_address = 10000\naccepts_per_second = 100000\n";
    let gateway = options().config(crowds).start().await;
    // What is needed for the first time stays: code, tables.
    drop(crowd(&gateway, 200).await);
    let before = gateway.rss();

    let crowd = crowd(&gateway, 4000).await;
    let taken = gateway.rss() - before;
    drop(crowd);
    // Half of it comes back, and some more while the node has work.
    until(PATIENCE, "a quarter of it to be given back", async || {
        let kept = gateway.rss().saturating_sub(before);
        if kept < taken / 4 * 3 { Ok(()) } else { Err(format!("{kept} bytes of {taken} are still held")) }
    })
    .await;
}

/// Clients that are in a room of ten each.
async fn crowd(gateway: &Gateway, size: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(size);
    for number in 0..size {
        let mut client = Client::connect(gateway.addr(), &format!("user-{number}")).await;
        client.join(&format!("room-{}", number / 10)).await;
        clients.push(client);
    }
    clients
}
