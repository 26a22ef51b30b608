//! A real Redis Cluster of a test's own: three primaries with a replica each.

use redis::Value;

use super::Redis;
use crate::{PATIENCE, free_port, until};

/// Primaries; the replica of the n-th stands at `n + PRIMARIES` when the cluster is new.
const PRIMARIES: usize = 3;

/// How many slots every cluster has.
const SLOTS: u16 = 16_384;

/// A failover should take a second and not fifteen, and a replica be worth a promotion however new it is.
const LINES: [&str; 4] = [
    "cluster-enabled yes",
    "cluster-node-timeout 1000",
    "cluster-replica-validity-factor 0",
    "repl-diskless-sync-delay 0",
];

/// Six nodes on free loopback ports.
#[derive(Debug)]
pub struct RedisCluster {
    /// The nodes, in the order of their starting. Which of them are primaries changes with every failover.
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts one and waits until every node says that it is complete.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with further lines of `redis.conf` for every node.
    pub async fn start_with(lines: &[&str]) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..2 * PRIMARIES {
            // By default it is the port and 10,000 more, where the kernel takes source ports from.
            let bus = format!("cluster-port {}", free_port());
            let lines: Vec<&str> = LINES.iter().chain(lines).copied().chain([bus.as_str()]).collect();
            let mut node = Redis::prepare(&lines);
            node.restart().await;
            nodes.push((node, bus));
        }
        let width = usize::from(SLOTS).div_ceil(PRIMARIES);
        for (number, (node, _)) in nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            if number < PRIMARIES {
                let last = ((number + 1) * width).min(usize::from(SLOTS)) - 1;
                node.command(&["CLUSTER", "ADDSLOTSRANGE", &(number * width).to_string(), &last.to_string()]);
            }
        }
        for (node, bus) in &nodes[1..] {
            let bus = bus.rsplit(' ').next().unwrap_or_default();
            nodes[0].0.command(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]);
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        cluster.until_info("cluster_known_nodes:6").await;
        for number in 0..PRIMARIES {
            let id = cluster.id(number);
            cluster.nodes[number + PRIMARIES].command(&["CLUSTER", "REPLICATE", &id]);
        }
        cluster.until_complete().await;
        cluster
    }

    /// `redis-cluster://…`, naming every node.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// Waits until every running node says that all slots are served, and every running replica is level.
    pub async fn until_complete(&self) {
        self.until_info("cluster_state:ok").await;
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            until(PATIENCE, "a replica to be level", async || {
                let info = text(&node.try_command(&["INFO", "replication"]).map_err(|e| e.to_string())?);
                let level = info.contains("role:master") || info.contains("master_link_status:up");
                if level { Ok(()) } else { Err(info) }
            })
            .await;
        }
    }

    /// Which node serves a slot, as any running node says.
    ///
    /// # Panics
    /// When nobody serves it.
    pub fn primary_of(&self, slot: u16) -> usize {
        self.nodes
            .iter()
            .position(|node| node.is_running() && Self::serves(node, slot))
            .unwrap_or_else(|| panic!("nobody serves slot {slot}"))
    }

    /// The slot of a key or of a channel.
    pub fn slot(&self, key: &str) -> u16 {
        let node = self.nodes.iter().find(|node| node.is_running()).expect("a node is running");
        u16::try_from(node.number(&["CLUSTER", "KEYSLOT", key])).expect("a slot")
    }

    /// The running replica of a primary.
    ///
    /// # Panics
    /// When it has none.
    pub fn replica_of(&self, primary: usize) -> usize {
        let port = self.nodes[primary].port().to_string();
        let follows = |node: &Redis| {
            let info = text(&node.command(&["INFO", "replication"]));
            info.contains("role:slave") && info.contains(&format!("master_port:{port}\r"))
        };
        let found = self.nodes.iter().position(|node| node.is_running() && follows(node));
        found.unwrap_or_else(|| panic!("node {primary} has no replica"))
    }

    /// A primary that does not serve the slot.
    ///
    /// # Panics
    /// When there is none.
    pub fn other_primary(&self, slot: u16) -> usize {
        let other = |node: &Redis| {
            node.is_running()
                && text(&node.command(&["INFO", "replication"])).contains("role:master")
                && !Self::serves(node, slot)
        };
        self.nodes.iter().position(other).expect("another primary")
    }

    /// Moves a slot with its keys to another primary, as `redis-cli --cluster reshard` does. `between` is called
    /// while half of its keys are there and half here.
    pub async fn move_slot(&self, slot: u16, to: usize, between: impl AsyncFnOnce()) {
        let from = self.primary_of(slot);
        let (from_id, to_id, slot) = (self.id(from), self.id(to), slot.to_string());
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        let mut between = Some(between);
        loop {
            let keys: Vec<String> =
                redis::from_redis_value(source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]))
                    .expect("names of keys");
            let Some(key) = keys.first() else { break };
            let port = target.port().to_string();
            // One at a time, for that is where TRYAGAIN comes from. It may have gone since.
            source.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
            if let Some(between) = between.take() {
                between().await;
            }
        }
        for node in [target, source] {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
    }

    fn serves(node: &Redis, slot: u16) -> bool {
        let nodes = text(&node.command(&["CLUSTER", "NODES"]));
        let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
        own.contains("master")
            && own.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
            })
    }

    fn id(&self, node: usize) -> String {
        text(&self.nodes[node].command(&["CLUSTER", "MYID"]))
    }

    async fn until_info(&self, line: &str) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            until(PATIENCE, line, async || {
                let info = text(&node.try_command(&["CLUSTER", "INFO"]).map_err(|e| e.to_string())?);
                if info.lines().any(|seen| seen == line) { Ok(()) } else { Err(info) }
            })
            .await;
        }
    }
}

/// What Redis says in words.
pub(super) fn text(value: &Value) -> String {
    redis::from_redis_value_ref(value).expect("a text")
}
