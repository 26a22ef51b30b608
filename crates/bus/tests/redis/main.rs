//! The Redis bus keeps the contract in every shape of Redis, and keeps it when Redis forgets, dies, freezes, comes back
//! older or is replaced.
//!
//! It is one program, for programs run one after the other: the long tests of one need not wait for those of another.
#![allow(clippy::expect_used, clippy::panic, reason = "the helpers of tests fail by panicking too")]

use std::time::Duration;

use bus::{Bus, RedisBus, RedisConfig, Retention, conformance};
use testkit::Redis;

mod acl;
mod ages;
mod cluster;
mod crowds;
mod faults;
mod forks;
mod health;
mod layout;
mod migration;
mod outages;
mod panics;
mod sentinel;
mod shipped;
mod strangers;
mod tls;

/// What most tests keep of a room.
const RETENTION: Retention = Retention { length: conformance::LENGTH, age_ms: 3_600_000 };

/// A node that probes more often than usual, so that tests don't wait.
async fn node(url: &str) -> RedisBus {
    let config = RedisConfig {
        probe_interval: Duration::from_millis(100),
        command_timeout: Duration::from_secs(2),
        ..RedisConfig::new(url, "test", RETENTION)
    };
    RedisBus::connect(config).await.expect("a right configuration")
}

/// Waits until a node says that it is up, or down.
async fn until_up(bus: &dyn Bus, up: bool) {
    conformance::until(if up { "good health" } else { "bad health" }, async || {
        let health = bus.health();
        if health.up == up { Ok(()) } else { Err(health.detail) }
    })
    .await;
}

/// Waits until a node has found Redis again: what it says of its health may be from before it was gone.
async fn until_back(bus: &dyn Bus) {
    let unused = conformance::room("back");
    conformance::until("redis to be back", async || {
        let health = bus.health();
        match bus.head(&unused).await {
            Ok(_) if health.up => Ok(()),
            Ok(_) => Err(health.detail),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let redis = Redis::start().await;
    conformance::check(&faults::Nodes(redis.url())).await;
}
