//! What carries the rooms, whatever its shape.

use std::slice;

use super::Shape;
use crate::{Redis, RedisCluster, RedisSentinel};

/// Longer than the tests have it: what the busy machine does not do in time would pass for a death.
const NODE_TIMEOUT: &str = "cluster-node-timeout 2000";

/// A Redis of some shape.
#[derive(Debug)]
pub enum Store {
    /// One.
    Single(Redis),
    /// Several that share the rooms.
    Cluster(RedisCluster),
    /// One that has all of them, and others that may take its place.
    Sentinel(RedisSentinel),
}

impl Store {
    /// Starts one and waits until it is whole.
    pub async fn start(shape: Shape) -> Self {
        match shape {
            Shape::Single => Self::Single(Redis::start_with(&["appendfsync always"]).await),
            Shape::Cluster(_) => {
                // As deploy/redis/cluster.conf has it: the rooms of the other primaries go on.
                let lines = [
                    NODE_TIMEOUT,
                    "cluster-require-full-coverage no",
                    "cluster-allow-pubsubshard-when-down yes",
                ];
                // A node is where it was asked: behind the proxies of whoever asks.
                let nameless = "cluster-preferred-endpoint-type unknown-endpoint";
                Self::Cluster(RedisCluster::start_with(&[&lines[..], &[nameless]].concat()).await)
            }
            Shape::Sentinel(_) => Self::Sentinel(RedisSentinel::start_apart().await),
        }
    }

    /// The servers that hold data, in the order of their starting.
    pub fn nodes(&self) -> &[Redis] {
        match self {
            Self::Single(redis) => slice::from_ref(redis),
            Self::Cluster(cluster) => &cluster.nodes,
            Self::Sentinel(sentinel) => &sentinel.nodes,
        }
    }

    /// One of them.
    pub fn node(&mut self, index: usize) -> &mut Redis {
        match self {
            Self::Single(redis) => redis,
            Self::Cluster(cluster) => &mut cluster.nodes[index],
            Self::Sentinel(sentinel) => &mut sentinel.nodes[index],
        }
    }

    /// The URL for a gateway that reaches everything at `host`.
    pub fn url(&self, host: &str) -> String {
        let at = |ports: &[u16]| {
            let places: Vec<String> = ports.iter().map(|port| format!("{host}:{port}")).collect();
            places.join(",")
        };
        match self {
            Self::Single(_) => format!("redis://{}", at(&self.ports())),
            Self::Cluster(_) => format!("redis-cluster://{}", at(&self.ports())),
            Self::Sentinel(it) => format!("redis-sentinel://{}/{}", at(&it.sentinel_ports()), it.service()),
        }
    }

    /// Where a gateway must come through: the servers, and the sentinels.
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.nodes().iter().map(Redis::port).collect();
        if let Self::Sentinel(sentinel) = self {
            ports.extend(sentinel.sentinel_ports());
        }
        ports
    }

    /// The primary that has a room. All of them must answer.
    pub fn primary_of(&self, room: &str) -> usize {
        match self {
            Self::Single(_) => 0,
            Self::Cluster(cluster) => cluster.primary_of(cluster.slot(&format!("chat:{room}"))),
            Self::Sentinel(sentinel) => sentinel.primary(),
        }
    }

    /// All primaries.
    pub fn primaries(&self) -> Vec<usize> {
        match self {
            Self::Single(_) => vec![0],
            Self::Cluster(cluster) => cluster.primaries(),
            Self::Sentinel(sentinel) => vec![sentinel.primary()],
        }
    }

    /// The replicas of a primary.
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        match self {
            Self::Single(_) => Vec::new(),
            Self::Cluster(cluster) => vec![cluster.replica_of(primary)],
            Self::Sentinel(sentinel) => (0..sentinel.nodes.len()).filter(|node| *node != primary).collect(),
        }
    }

    /// Waits until every server has the part that it is to have, and every replica is level.
    pub async fn whole(&self) {
        match self {
            Self::Single(_) => {}
            Self::Cluster(cluster) => cluster.until_paired().await,
            Self::Sentinel(sentinel) => sentinel.until_level(2).await,
        }
    }

    /// Waits until another one stands where `primary` stood, which may be frozen or gone.
    pub async fn replaced(&self, primary: usize, room: &str) {
        match self {
            Self::Single(_) => {}
            Self::Cluster(cluster) => cluster.until_moved(&format!("chat:{room}"), primary).await,
            Self::Sentinel(sentinel) => sentinel.until_primary_is_not(primary).await,
        }
    }
}
