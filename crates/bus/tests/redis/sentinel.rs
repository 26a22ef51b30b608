//! The Redis bus keeps the contract behind sentinels, and follows them to another primary.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{
    Ack, Bus,
    conformance::{self, append, message, room},
};
use testkit::RedisSentinel;

use crate::faults::{Nodes, Talk, node, until_up};

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let redis = RedisSentinel::start().await;
    conformance::check(&Nodes(redis.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost() {
    let mut redis = RedisSentinel::start().await;
    let one = Arc::new(node(&redis.url(), Ack::Replicated(1)).await);
    let other = node(&redis.url(), Ack::Local).await;
    let rooms = (0..4).map(|_| room("killed")).collect();
    let talk = Talk::begin(&one, &other, rooms).await;
    let primary = redis.lose_primary().await;
    talk.more().await;
    // It comes back as a replica.
    redis.bring_back(primary).await;
    talk.more().await;
    talk.end(true).await;
    until_up(&*one).await;
    until_up(&other).await;
}

/// The sentinels make the one that was replaced a replica after eight seconds; until then it says ok to whoever still
/// asks it, and all of that is lost. With acknowledgements of the primary alone a little may be, and everybody is told.
/// One replica of two is not enough either: it may be the one that was not promoted, and went on copying.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_is_replaced_while_it_lives() {
    let redis = RedisSentinel::start().await;
    let bold = Arc::new(node(&redis.url(), Ack::Local).await);
    let careful = Arc::new(node(&redis.url(), Ack::Replicated(2)).await);
    let rooms = || -> Vec<_> { (0..3).map(|_| room("replaced")).collect() };
    let locally = rooms();
    let head = format!("{{chat:{}}}:head", locally[0]);
    let local = Talk::begin(&bold, &careful, locally).await;
    let replicated = Talk::begin(&careful, &bold, rooms()).await;
    let primary = redis.primary();
    redis.failover().await;
    redis.until_primary_is_not(primary).await;
    let replaced = Instant::now();
    let promoted = &redis.nodes[redis.primary()];
    let before = promoted.number(&["HGET", &head, "s"]);
    conformance::until("appends to the promoted one", async || {
        let now = promoted.number(&["HGET", &head, "s"]);
        if now > before + 10 { Ok(()) } else { Err(format!("{before}, {now}")) }
    })
    .await;
    assert!(replaced.elapsed() < Duration::from_secs(5), "took {:?}", replaced.elapsed());
    redis.until_level(2).await;
    replicated.more().await;
    local.end(false).await;
    replicated.end(true).await;
    until_up(&*bold).await;
    until_up(&*careful).await;
}

/// One replica of two hangs, and both are asked for. Rooms used to wait for it one after the other, a second each.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_hang_are_told_to_every_room_at_once_and_nothing_more_is_appended() {
    const ROOMS: usize = 50;
    let redis = RedisSentinel::start().await;
    let careful = node(&redis.url(), Ack::Replicated(2)).await;
    let bold = node(&redis.url(), Ack::Local).await;
    let rooms: Vec<_> = (0..ROOMS).map(|_| room("hanging")).collect();
    append(&careful, &rooms[0], "before").await;
    let hanging = &redis.nodes[(redis.primary() + 1) % redis.nodes.len()];
    hanging.freeze();

    // What another node has appended is not known to be on the replicas either.
    append(&bold, &rooms[0], "known").await;
    assert!(careful.append(&rooms[0], message("known")).await.is_err(), "a duplicate that one replica lacks");

    let began = Instant::now();
    for id in ["first", "second", "third"] {
        let under_way: Vec<_> = rooms.iter().map(|room| careful.append(room, message(id))).collect();
        for appending in under_way {
            assert!(appending.await.is_err(), "one replica lacks it");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
    let head = bold.head(&rooms[1]).await.expect("a head");
    assert!(head.seq <= 1, "refused, and in the log all the same: {head}");

    hanging.thaw();
    for room in &rooms {
        conformance::until("the replica to be back", async || {
            careful.append(room, message("second")).await.map_err(|error| error.to_string())
        })
        .await;
    }
}
