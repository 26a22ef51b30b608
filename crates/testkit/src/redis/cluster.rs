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
    /// Further lines of every node's configuration.
    pub(super) lines: Vec<String>,
}

impl RedisCluster {
    /// Starts one and waits until every node says that it is complete.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with further lines of `redis.conf` for every node.
    pub async fn start_with(lines: &[&str]) -> Self {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let mut nodes = Vec::new();
        for _ in 0..2 * PRIMARIES {
            nodes.push(begin(&lines).await);
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
            nodes[0].0.command(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), &bus.to_string()]);
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect(), lines };
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

    /// Two more nodes, a primary without slots and its replica; gives the primary.
    pub async fn grow(&mut self) -> usize {
        let primary = self.nodes.len();
        for _ in 0..2 {
            let (node, bus) = begin(&self.lines).await;
            self.nodes[0].command(&[
                "CLUSTER",
                "MEET",
                "127.0.0.1",
                &node.port().to_string(),
                &bus.to_string(),
            ]);
            self.nodes.push(node);
        }
        self.until_info(&format!("cluster_known_nodes:{}", self.nodes.len())).await;
        let id = self.id(primary);
        self.nodes[primary + 1].command(&["CLUSTER", "REPLICATE", &id]);
        self.until_complete().await;
        primary
    }

    /// Takes away the two nodes that came last. They must have no slots any more.
    pub async fn shrink(&mut self) {
        let rest = self.nodes.len() - 2;
        let gone = [self.id(rest), self.id(rest + 1)];
        for node in &self.nodes[..rest] {
            // What one of them still says of the other is not listened to for a minute.
            gone.iter().for_each(|id| {
                node.command(&["CLUSTER", "FORGET", id]);
            });
        }
        for mut node in self.nodes.split_off(rest) {
            // One that gave away its last slot is a replica by now, and writes a new file before it would stop.
            node.kill().await;
        }
    }

    /// The primaries that have slots.
    pub fn primaries(&self) -> Vec<usize> {
        let has_slots = |node: &Redis| node.is_running() && !Self::ranges(node).is_empty();
        (0..self.nodes.len()).filter(|index| has_slots(&self.nodes[*index])).collect()
    }

    /// Waits until all others say that a key is not served by this node any more.
    pub async fn until_moved(&self, key: &str, from: usize) {
        let others =
            || self.nodes.iter().enumerate().filter(|(index, node)| *index != from && node.is_running());
        let (_, first) = others().next().expect("another node");
        let slot = u16::try_from(first.number(&["CLUSTER", "KEYSLOT", key])).expect("a slot");
        until(PATIENCE, "another primary", async || {
            match others().find(|(_, node)| Self::serves(node, slot)) {
                Some(_) => Ok(()),
                None => Err(format!("nobody but node {from} serves slot {slot}")),
            }
        })
        .await;
    }

    /// Waits until every slot is served by one node alone, and every primary has a replica that is level.
    pub async fn until_paired(&self) {
        until(PATIENCE, "primaries with a replica each", async || {
            let primaries = self.primaries();
            let slots: u32 = primaries
                .iter()
                .flat_map(|index| Self::ranges(&self.nodes[*index]))
                .map(|(first, last)| u32::from(last - first) + 1)
                .sum();
            let level = primaries.iter().filter(|index| {
                let info = self.nodes[**index].command(&["INFO", "replication"]);
                text(&info).contains("state=online")
            });
            match (slots, primaries.len(), level.count()) {
                (16_384, primaries, level) if primaries == level && 2 * level == self.nodes.len() => Ok(()),
                seen => Err(format!("slots served, primaries, primaries with a level replica: {seen:?}")),
            }
        })
        .await;
        self.until_complete().await;
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
    /// whenever a key has been moved: while some are there and some here, and when all are there and the slot is not.
    pub async fn move_slot(&self, slot: u16, to: usize, between: impl AsyncFnMut()) {
        self.move_slot_by(slot, to, |_| 0, between).await;
    }

    /// The same, with those keys first whose rank is lowest.
    pub async fn move_slot_by(
        &self,
        slot: u16,
        to: usize,
        rank: impl Fn(&str) -> u8,
        mut between: impl AsyncFnMut(),
    ) {
        let from = self.primary_of(slot);
        let (from_id, to_id, slot) = (self.id(from), self.id(to), slot.to_string());
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        loop {
            let keys: Vec<String> =
                redis::from_redis_value(source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]))
                    .expect("names of keys");
            let Some(key) = keys.iter().min_by_key(|key| rank(key)) else { break };
            let port = target.port().to_string();
            // One at a time, for that is where TRYAGAIN comes from. It may have gone since; and when a busy machine
            // takes too long, it is tried again.
            until(PATIENCE, "a key to be moved", async || {
                let moved = source.try_command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000", "REPLACE"]);
                moved.map_err(|error| error.to_string())
            })
            .await;
            between().await;
        }
        target.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        // One that gave away its last slot may have become a replica by now, and knows already.
        if let Err(error) = source.try_command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]) {
            assert!(error.to_string().contains("only with masters"), "SETSLOT: {error}");
        }
    }

    fn serves(node: &Redis, slot: u16) -> bool {
        Self::ranges(node).iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }

    /// The slots that a node serves, as it says itself; none of a replica.
    fn ranges(node: &Redis) -> Vec<(u16, u16)> {
        let nodes = text(&node.command(&["CLUSTER", "NODES"]));
        let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
        if !own.contains("master") {
            return Vec::new();
        }
        let range = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            // Slots that move stand in brackets.
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        own.split(' ').skip(8).filter_map(range).collect()
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

/// Starts a node; gives it and the port of its bus.
async fn begin(lines: &[String]) -> (Redis, u16) {
    // By default it is the port and 10,000 more, where the kernel takes source ports from.
    let port = free_port();
    let bus = format!("cluster-port {port}");
    let lines: Vec<&str> =
        LINES.iter().copied().chain(lines.iter().map(String::as_str)).chain([bus.as_str()]).collect();
    let mut node = Redis::prepare(&lines);
    node.restart().await;
    (node, port)
}

/// What Redis says in words.
pub(super) fn text(value: &Value) -> String {
    redis::from_redis_value_ref(value).expect("a text")
}
