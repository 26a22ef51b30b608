//! The Redis bus keeps the contract, and keeps it when Redis forgets, dies, freezes or comes back older.
#![allow(clippy::expect_used, clippy::panic, reason = "the helpers of tests fail by panicking too")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bus::{
    Bus, RedisBus, RedisConfig, Retention,
    conformance::{self, Cluster},
};
use testkit::Redis;

mod ages;
mod forks;
mod health;
mod layout;
mod outages;
mod panics;
mod strangers;

/// What most tests keep of a room.
const RETENTION: Retention = Retention { length: conformance::LENGTH, age_ms: 3_600_000 };

/// Nodes on one Redis.
struct Nodes(String);

#[async_trait]
impl Cluster for Nodes {
    async fn node(&self) -> Arc<dyn Bus> {
        Arc::new(node(&self.0).await)
    }
}

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
    conformance::check(&Nodes(redis.url())).await;
}
