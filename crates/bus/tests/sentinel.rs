//! The Redis bus keeps the contract behind sentinels, and follows them to another primary.
#![allow(clippy::expect_used, clippy::panic, reason = "the helpers of tests fail by panicking too")]

use std::sync::Arc;

use bus::{
    Ack,
    conformance::{self, room},
};
use faults::{Nodes, Talk, node, until_up};
use testkit::RedisSentinel;

#[path = "shared/faults.rs"]
mod faults;

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
    let primary = redis.primary();
    redis.nodes[primary].kill().await;
    redis.until_primary_is_not(primary).await;
    talk.more().await;
    // It comes back as a replica.
    redis.nodes[primary].restart().await;
    redis.until_level(2).await;
    talk.more().await;
    talk.end(true).await;
    until_up(&*one).await;
    until_up(&other).await;
}

/// With acknowledgements of the primary alone a failover may lose some; then everybody is told, and all agree.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_is_replaced_while_it_lives() {
    let redis = RedisSentinel::start().await;
    let one = Arc::new(node(&redis.url(), Ack::Local).await);
    let other = node(&redis.url(), Ack::Local).await;
    let rooms = (0..4).map(|_| room("replaced")).collect();
    let talk = Talk::begin(&one, &other, rooms).await;
    for _ in 0..2 {
        let primary = redis.primary();
        redis.failover();
        redis.until_primary_is_not(primary).await;
        redis.until_level(2).await;
        talk.more().await;
    }
    talk.end(false).await;
    until_up(&*one).await;
    until_up(&other).await;
}
