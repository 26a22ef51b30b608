//! Several gateways on one Redis.

use std::net::SocketAddr;
use std::path::Path;

use crate::{Gateway, GatewayOptions, Redis};

/// A Redis and gateways that share it.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes, called `node-0`, `node-1`, …
    pub nodes: Vec<Gateway>,
    /// What they share.
    pub redis: Redis,
    options: GatewayOptions,
}

impl Cluster {
    /// Starts a Redis and `size` gateways from this binary, and waits until all are ready.
    pub async fn start(binary: impl AsRef<Path>, size: usize) -> Self {
        Self::start_with(Redis::start().await, size, GatewayOptions::new(binary)).await
    }

    /// Starts gateways with these options on a Redis that runs already.
    pub async fn start_with(redis: Redis, size: usize, options: GatewayOptions) -> Self {
        let mut cluster = Self { nodes: Vec::new(), redis, options };
        for _ in 0..size {
            cluster.add().await;
        }
        cluster
    }

    /// Starts one more gateway and waits until it is ready.
    pub async fn add(&mut self) {
        let name = format!("node-{}", self.nodes.len());
        let node = self.options.clone().redis(&self.redis).node(&name).start().await;
        node.ready().await;
        self.nodes.push(node);
    }

    /// The address of a node, counted round and round.
    pub fn addr(&self, number: usize) -> SocketAddr {
        self.nodes[number % self.nodes.len()].addr()
    }

    /// The sum of a metric over all nodes.
    pub async fn sum(&self, metric: &str) -> f64 {
        let mut sum = 0.0;
        for node in &self.nodes {
            sum += node.metrics().await.sum(metric);
        }
        sum
    }
}
