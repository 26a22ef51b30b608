//! The Redis bus keeps the contract on a Redis Cluster, and keeps it when primaries are replaced and slots move.

use std::sync::Arc;

use bus::{
    Ack, Bus, ReadFrom,
    conformance::{self, Recorder, append, append_many, bodies, follow, read, room},
};
use bytes::Bytes;
use proto::{RoomName, server::ResetReason};
use testkit::RedisCluster;

use crate::faults::{Nodes, Talk, node, until_up};

const REPLICATED: Ack = Ack::Replicated(1);

/// Some rooms for every primary.
fn rooms(cluster: &RedisCluster) -> Vec<RoomName> {
    let (mut rooms, mut have) = (Vec::new(), [0; 6]);
    while rooms.len() < 6 {
        let room = room("talk");
        let primary = cluster.primary_of(cluster.slot(&format!("chat:{room}")));
        if have[primary] < 2 {
            have[primary] += 1;
            rooms.push(room);
        }
    }
    rooms
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let cluster = RedisCluster::start().await;
    conformance::check(&Nodes(cluster.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost() {
    let mut cluster = RedisCluster::start().await;
    let (one, other) =
        (Arc::new(node(&cluster.url(), REPLICATED).await), node(&cluster.url(), Ack::Local).await);
    let rooms = rooms(&cluster);
    let slot = cluster.slot(&format!("chat:{}", rooms[0]));
    let primary = cluster.primary_of(slot);
    let talk = Talk::begin(&one, &other, rooms).await;
    cluster.nodes[primary].kill().await;
    conformance::until("bad health", async || {
        let health = one.health();
        if health.up { Err(health.detail) } else { Ok(()) }
    })
    .await;
    cluster.until_complete().await;
    // The promoted one has no replica to confirm anything until this one is back.
    cluster.nodes[primary].restart().await;
    cluster.until_complete().await;
    until_up(&*one).await;
    until_up(&other).await;
    talk.more().await;
    talk.end(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_failover_loses_nothing_and_is_no_fork() {
    let cluster = RedisCluster::start().await;
    let (one, other) =
        (Arc::new(node(&cluster.url(), Ack::Local).await), node(&cluster.url(), Ack::Local).await);
    let rooms = rooms(&cluster);
    let slot = cluster.slot(&format!("chat:{}", rooms[0]));
    let talk = Talk::begin(&one, &other, rooms).await;
    for _ in 0..2 {
        let replica = cluster.replica_of(cluster.primary_of(slot));
        cluster.nodes[replica].command(&["CLUSTER", "FAILOVER"]);
        conformance::until("the failover", async || {
            if cluster.primary_of(slot) == replica { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        cluster.until_complete().await;
        talk.more().await;
    }
    assert_eq!(talk.end(true).await, 0, "a bump without a loss was told as a fork");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_while_their_rooms_are_busy() {
    let cluster = RedisCluster::start().await;
    let (one, other) =
        (Arc::new(node(&cluster.url(), Ack::Local).await), node(&cluster.url(), Ack::Local).await);
    let rooms = rooms(&cluster);
    let slots: Vec<u16> = rooms.iter().map(|room| cluster.slot(&format!("chat:{room}"))).collect();
    let quiet = rooms[0].clone();
    let talk = Talk::begin(&one, &other, rooms).await;
    for slot in slots.into_iter().take(3) {
        let to = cluster.other_primary(slot);
        let source = &cluster.nodes[cluster.primary_of(slot)];
        cluster
            .move_slot(slot, to, async || {
                // Some keys are here and some are there, so what is appended now is put off.
                conformance::until("TRYAGAIN", async || {
                    let told = format!("{:?}", source.command(&["INFO", "errorstats"]));
                    if told.contains("TRYAGAIN") { Ok(()) } else { Err(told) }
                })
                .await;
            })
            .await;
        talk.more().await;
    }
    assert_eq!(talk.end(true).await, 0);
    until_up(&*one).await;
    until_up(&other).await;

    // Live, and not only filled: what is not logged comes through as well.
    let (recorder, _following) = follow(&other, &quiet).await;
    until_ephemeral(&*one, &quiet, &recorder).await;
}

/// With `cluster-preferred-endpoint-type unknown-endpoint` nodes name no host: each is where it was asked. So must be
/// the one that the answer ASK names by its port alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_between_nodes_that_name_no_host() {
    let cluster = RedisCluster::start_with(&["cluster-preferred-endpoint-type unknown-endpoint"]).await;
    let bus = node(&cluster.url(), Ack::Local).await;
    let room = room("nameless");
    append(&bus, &room, "before").await;
    let slot = cluster.slot(&format!("chat:{room}"));
    let source = &cluster.nodes[cluster.primary_of(slot)];
    cluster
        .move_slot(slot, cluster.other_primary(slot), async || {
            if source.number(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]) == 0 {
                append(&bus, &room, "asked").await;
            }
        })
        .await;
    append(&bus, &room, "after").await;
    let log = read(&bus, &room, ReadFrom::AfterSeq(0), 10).await;
    assert_eq!(bodies(&log.events), ["before", "asked", "after"]);
}

/// fred drops the server's word that a subscription ended with its slot.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_room_is_heard_after_its_slot_has_moved() {
    let cluster = RedisCluster::start().await;
    let (one, other) = (node(&cluster.url(), Ack::Local).await, node(&cluster.url(), Ack::Local).await);
    let room = room("moved");
    let (recorder, _following) = follow(&other, &room).await;
    append(&one, &room, "before").await;
    let slot = cluster.slot(&format!("chat:{room}"));
    for turn in 0..3 {
        cluster.move_slot(slot, cluster.other_primary(slot), async || {}).await;
        append(&one, &room, &format!("a{turn}")).await;
        recorder.until_last(&format!("a{turn}")).await;
        until_ephemeral(&one, &room, &recorder).await;
    }
    assert_eq!(recorder.resets(), []);
}

/// Between two looks at the map nothing has changed, but the subscription is gone, and nobody was told.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_room_is_heard_after_its_slot_went_away_and_came_back() {
    let cluster = RedisCluster::start().await;
    let (one, other) = (node(&cluster.url(), Ack::Local).await, node(&cluster.url(), Ack::Local).await);
    let room = room("back");
    let (recorder, _following) = follow(&other, &room).await;
    append(&one, &room, "before").await;
    let slot = cluster.slot(&format!("chat:{room}"));
    let home = cluster.primary_of(slot);
    for turn in 0..5 {
        cluster.move_slot(slot, cluster.other_primary(slot), async || {}).await;
        cluster.move_slot(slot, home, async || {}).await;
        append(&one, &room, &format!("a{turn}")).await;
        recorder.until_last(&format!("a{turn}")).await;
        until_ephemeral(&one, &room, &recorder).await;
    }
    assert_eq!(recorder.resets(), []);
}

/// Waits until what is not logged comes through: that is never filled, so the subscription is in force.
async fn until_ephemeral(bus: &dyn Bus, room: &RoomName, recorder: &Recorder) {
    let before = recorder.ephemeral().len();
    conformance::until("an ephemeral frame", async || {
        bus.publish(room, Bytes::from_static(b"{}")).await.map_err(|error| error.to_string())?;
        if recorder.ephemeral().len() == before { Err("nothing".to_owned()) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_are_killed_lose_nothing() {
    let cluster = RedisCluster::start().await;
    let (one, other) =
        (Arc::new(node(&cluster.url(), Ack::Local).await), node(&cluster.url(), Ack::Local).await);
    let talk = Talk::begin(&one, &other, rooms(&cluster)).await;
    for node in &cluster.nodes {
        node.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        node.command(&["SCRIPT", "FLUSH"]);
        // A replica refuses it, and has it from its primary.
        let _ = node.try_command(&["FUNCTION", "FLUSH"]);
        talk.more().await;
    }
    assert_eq!(talk.end(true).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_loses_something_is_told() {
    let mut cluster = RedisCluster::start().await;
    let (one, other) = (node(&cluster.url(), Ack::Local).await, node(&cluster.url(), Ack::Local).await);
    let room = room("forked");
    let (here, _here) = follow(&one, &room).await;
    let (there, _there) = follow(&other, &room).await;
    let primary = cluster.primary_of(cluster.slot(&format!("chat:{room}")));
    let replica = cluster.replica_of(primary);
    append(&one, &room, "kept").await;
    cluster.nodes[primary].command(&["WAIT", "1", "5000"]);
    // A password that is not wanted is refused, and the replica copies no more.
    cluster.nodes[replica].command(&["CONFIG", "SET", "masterauth", "unwanted"]);
    cluster.nodes[primary].command(&["CLIENT", "KILL", "TYPE", "replica"]);
    append_many(&one, &room, "lost", 3).await;
    for recorder in [&here, &there] {
        recorder.until_last("lost3").await;
    }
    cluster.nodes[primary].kill().await;
    conformance::until("another primary", async || {
        let appended = one.append(&room, conformance::message("after")).await;
        appended.map(drop).map_err(|error| error.to_string())
    })
    .await;
    for recorder in [&here, &there] {
        recorder.until_last("after").await;
        assert_eq!(recorder.bodies(), ["kept", "after"]);
        let resets: Vec<_> = recorder.resets().into_iter().map(|(to, reason)| (to.seq, reason)).collect();
        assert_eq!(resets, [(1, ResetReason::Forked)]);
    }
}

/// Without replicas no append can be confirmed, and none is said to be.
#[tokio::test(flavor = "multi_thread")]
async fn too_few_replicas_are_told() {
    let mut cluster = RedisCluster::start().await;
    let bus = node(&cluster.url(), REPLICATED).await;
    let room = room("alone");
    let primary = cluster.primary_of(cluster.slot(&format!("chat:{room}")));
    append(&bus, &room, "before").await;
    let replica = cluster.replica_of(primary);
    cluster.nodes[replica].kill().await;
    let refused = bus.append(&room, conformance::message("unsure")).await;
    assert!(refused.is_err(), "{refused:?}");
    cluster.nodes[replica].restart().await;
    cluster.until_complete().await;
    conformance::until("a confirmation", async || {
        let again =
            bus.append(&room, conformance::message("unsure")).await.map_err(|error| error.to_string())?;
        if again.duplicate { Ok(()) } else { Err(format!("{again:?}")) }
    })
    .await;
}
