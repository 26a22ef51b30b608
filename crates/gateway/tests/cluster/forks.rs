//! Redis loses what it had acknowledged: everyone who saw it is told, and all agree on what follows.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::json;
use testkit::{Client, PATIENCE};
use tokio::task::JoinHandle;

use crate::fixture::{agreed, cluster, say_many, say_until_ok};
use crate::talk::{EACH, TALKERS, talkers, until_acknowledged};

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
async fn an_ok_is_not_taken_for_an_event_of_a_log_that_was_not_told_of() {
    // The new log's first number was compared with the old one's last, and the `ok` sent at once as if its event had
    // passed: before the reset, and before the event itself.
    let cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    say_many(&mut alice, "lobby", 0..5).await;
    alice.until_events("lobby", 5).await;
    cluster.redis.command(&["FLUSHALL"]);
    // Her ledger complains of an `ok` that is in no place.
    alice.ok(json!({ "type": "message", "room": "lobby", "data": "on", "echo": false })).await;
    let seq = alice.say("lobby", "and on").await["seq"].as_u64().expect("an ok has a seq");
    alice.expect("reset").await;
    alice.until_seq("lobby", seq).await;
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

/// Awaits the talkers, has one of them say a last word, and lets everyone read up to it.
async fn finish(talkers: Vec<JoinHandle<Client>>) -> Vec<Client> {
    let mut clients = Vec::new();
    for talker in talkers {
        clients.push(talker.await.unwrap());
    }
    clients[0].say("lobby", "the last word").await;
    for client in &mut clients {
        client
            .read_until(PATIENCE, "the last word", |client| {
                let last = client.ledger("lobby").events.last();
                let done = last.is_some_and(|event| event.data == "the last word");
                if done { Ok(()) } else { Err(format!("{last:?}")) }
            })
            .await;
    }
    clients
}

#[tokio::test]
async fn all_agree_after_redis_fell_back_amid_talk() {
    let mut cluster = cluster(3).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let talkers = talkers(&cluster, &acknowledged).await;
    until_acknowledged(&acknowledged, TALKERS * EACH / 4).await;
    let snapshot = cluster.redis.snapshot();
    until_acknowledged(&acknowledged, TALKERS * EACH / 2).await;
    cluster.redis.kill().await;
    cluster.redis.restore(&snapshot);
    cluster.redis.restart().await;

    let clients = finish(talkers).await;
    for client in &clients {
        let resets: Vec<_> =
            client.ledger("lobby").resets.iter().map(|reset| reset["reason"].clone()).collect();
        assert_eq!(resets, ["forked"], "{}", client.name());
    }
    let events = agreed(&clients, "lobby");
    // A quarter was lost at least; what came before and after is all there, once.
    let mut said: Vec<&str> = events.iter().map(|event| event.data.as_str().unwrap()).collect();
    assert_eq!(events.last().unwrap().seq, events.len() as u64);
    said.sort_unstable();
    said.dedup();
    assert_eq!(said.len(), events.len());
    assert!(events.len() < TALKERS * EACH, "nothing was lost: this test proves nothing");
}

#[tokio::test]
async fn all_agree_after_redis_was_flushed_amid_talk() {
    let cluster = cluster(3).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let talkers = talkers(&cluster, &acknowledged).await;
    until_acknowledged(&acknowledged, TALKERS * EACH / 2).await;
    cluster.redis.command(&["FLUSHALL"]);

    let clients = finish(talkers).await;
    for client in &clients {
        let resets: Vec<_> =
            client.ledger("lobby").resets.iter().map(|reset| reset["reason"].clone()).collect();
        assert_eq!(resets, ["new"], "{}", client.name());
    }
    let events = agreed(&clients, "lobby");
    assert_eq!((events[0].seq, events.last().unwrap().seq), (1, events.len() as u64));
}
