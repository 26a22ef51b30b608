//! How many nodes, and how large a Redis, so many users need: `chorus plan`, and `docs/SCALING.md`, which explains it.
//!
//! What each thing costs was measured, on one core of the machine that `docs/PERFORMANCE.md` describes. A node that has more
//! to do at once pays less for each delivery (down to a thirtieth), so this is what a cluster needs at worst and not at best.

use std::fmt;

use clap::Args;
use serde::Serialize;

/// What is asked.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// Users connected at once, such as 1000000 or 1e6
    #[arg(long, value_name = "NUMBER")]
    pub users: f64,
    /// Rooms in all
    #[arg(long, value_name = "NUMBER")]
    pub rooms: f64,
    /// Messages a second, in all rooms together
    #[arg(long, value_name = "NUMBER")]
    pub rate: f64,
    /// In how many rooms each user is
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    pub rooms_each: f64,
    /// Bytes of a message's data
    #[arg(long, value_name = "BYTES", default_value_t = 128.0)]
    pub bytes: f64,
    /// How often a connection ends and comes again
    #[arg(long, value_name = "TIMES AN HOUR", default_value_t = 1.0)]
    pub turnover: f64,
    /// Seconds between heartbeats (`heartbeat.interval_ms`)
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub heartbeat: f64,
    /// Messages that a room keeps (`history.length`)
    #[arg(long, value_name = "NUMBER", default_value_t = 1000.0)]
    pub history: f64,
    /// For how long it keeps them (`history.age_seconds`)
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400.0)]
    pub age: f64,
}

/// What there is.
#[derive(Args, Clone, Debug)]
pub struct Machine {
    /// Cores of a node
    #[arg(long, value_name = "NUMBER", default_value_t = 4.0)]
    pub cores: f64,
    /// Memory of a node
    #[arg(long, value_name = "GB", default_value_t = 8.0)]
    pub memory: f64,
    /// How much of a node's cores and memory may be used, of 1
    #[arg(long, value_name = "PART", default_value_t = 0.5)]
    pub use_at_most: f64,
    /// Memory of a Redis
    #[arg(long, value_name = "GB", default_value_t = 16.0)]
    pub redis_memory: f64,
    /// So many nodes, instead of as many as it takes and one to spare
    #[arg(long, value_name = "NUMBER")]
    pub nodes: Option<f64>,
}

/// What a node pays, in microseconds of a core.
mod cost {
    /// A message: to read and judge its frame, to append it, to answer.
    pub(super) const MESSAGE: f64 = 150.0;
    /// A node that has members in the message's room: to take it from Redis.
    pub(super) const RECEIVE: f64 = 60.0;
    /// A delivery to one member: two thirds of it are the kernel's, for one `send`.
    pub(super) const DELIVERY: f64 = 9.5;
    /// A handshake with a token (HS256), and the join of a room; not that others are told of it.
    pub(super) const HANDSHAKE: f64 = 100.0;
    /// A ping, and the pong.
    pub(super) const HEARTBEAT: f64 = 28.0;
    /// Redis: to append a message, where a thousand come in a second.
    pub(super) const APPEND: f64 = 166.0;
    /// Redis: how that falls as more of them come: with this power of the rate. The more often it is woken, the less of it
    /// is cold; and what comes together is read and answered together.
    pub(super) const FALLS: f64 = 1.0 / 3.0;
    /// Redis: to write a message to a node.
    pub(super) const PUBLISH: f64 = 7.0;
}

/// What is held, in bytes.
mod size {
    /// A connection, authenticated and in one room.
    pub(super) const CONNECTION: f64 = 3_300.0;
    /// Its socket, in the kernel.
    pub(super) const SOCKET: f64 = 3_000.0;
    /// One more room that it is in.
    pub(super) const MEMBERSHIP: f64 = 200.0;
    /// A room on a node, with a short tail.
    pub(super) const ROOM: f64 = 2_000.0;
    /// What stands around a message's data in a frame.
    pub(super) const FRAME: f64 = 110.0;
    /// What stands around it in Redis: the frame and the stream's entry, and the id (`MEMORY USAGE`, 1,000 messages).
    pub(super) const ENTRY: f64 = 340.0;
    /// The most that the tails of a node's rooms hold (`tail.node_bytes`).
    pub(super) const TAILS: f64 = 268_435_456.0;
    /// A process that has nothing to do.
    pub(super) const PROCESS: f64 = 10_000_000.0;
}

/// Bytes of what a machine's memory is counted in.
const GB: f64 = 1e9;
/// For so long an event stays in a tail (`tail.age_seconds`).
const TAIL_SECONDS: f64 = 60.0;
/// A Redis runs its scripts on one core. How much of that, and of its memory, may be used.
const REDIS_AT_MOST: f64 = 0.5;
/// Connections of one node: what its limit is without a word (`limits.connections`).
const CONNECTIONS: f64 = 100_000.0;
/// Up to so many members are told who comes and goes, more of them only how many there are
/// (`presence.max_members`).
const LISTED: f64 = 100.0;
/// For so many seconds a node gathers who comes and goes (`presence.gather_ms`), and in larger rooms.
const GATHER: f64 = 0.3;
const GATHER_NUMBER: f64 = 3.0;
/// More nodes are not looked at.
const MOST: f64 = 100_000.0;
/// A cluster goes on when one of its nodes is lost.
const SPARE: f64 = 1.0;

/// What a cluster needs.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Members of a room, on average.
    pub members: f64,
    /// Deliveries a second.
    pub deliveries: f64,
    /// Nodes, with one to spare.
    pub nodes: f64,
    /// Why not fewer.
    pub because: Bound,
    /// Nodes that hear of a message, on average.
    pub receivers: f64,
    /// Of a node, with all of them there.
    pub node: Node,
    /// Redis, or shards of a cluster.
    pub shards: f64,
    /// Cores that all of Redis uses.
    pub redis_cores: f64,
    /// Bytes that all of Redis holds.
    pub redis_bytes: f64,
    /// Bits a second that Redis sends to the nodes.
    pub redis_bits: f64,
}

/// What one node has to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Node {
    /// Its connections.
    pub connections: f64,
    /// Cores that it uses.
    pub cores: f64,
    /// Memory that it uses, the kernel's for its sockets too, in bytes.
    pub bytes: f64,
    /// Bits a second that it sends to clients.
    pub bits: f64,
}

/// That others hear of who comes and goes, in each room.
struct Presence {
    /// How often a second nodes tell the bus.
    told: f64,
    /// How often a second the bus tells the nodes, and they the members.
    heard: f64,
}

/// What the number of nodes comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// One carries it all.
    Nothing,
    /// Who asks.
    Given,
    /// Their cores.
    Cores,
    /// Their memory.
    Memory,
    /// The connections that one may have.
    Connections,
    /// More would be needed than anybody runs.
    TooMany,
}

impl Load {
    /// Members of a room, on average.
    fn members(&self) -> f64 {
        self.users * self.rooms_each / self.rooms
    }

    /// Of so many nodes, those that have a member in an average room.
    fn receivers(&self, nodes: f64) -> f64 {
        nodes * (1.0 - (1.0 - 1.0 / nodes).powf(self.members()))
    }

    /// How often others hear of who comes and goes: each end of a connection and each return of it, as if nobody came back at
    /// once, but gathered by each of so many nodes.
    fn presence(&self, nodes: f64) -> Presence {
        let changes = 2.0 * self.turnover * self.members() / 3600.0;
        let is_crowd = self.members() > LISTED;
        let gather = if is_crowd { GATHER_NUMBER } else { GATHER } / self.receivers(nodes);
        let told = changes / (1.0 + changes * gather);
        // Of a number Redis tells once in that time, whoever has told it.
        Presence { told, heard: if is_crowd { told.min(1.0 / GATHER_NUMBER) } else { told } }
    }

    /// What each of so many nodes has to do.
    #[must_use]
    pub fn on(&self, nodes: f64) -> Node {
        let presence = self.presence(nodes);
        let heard = self.rate + presence.heard * self.rooms;
        let handshakes = self.users * self.turnover / 3600.0;
        let micros = self.rate * cost::MESSAGE
            + presence.told * self.rooms * cost::RECEIVE
            + heard * self.receivers(nodes) * cost::RECEIVE
            + heard * self.members() * cost::DELIVERY
            + handshakes * cost::HANDSHAKE
            + self.users / self.heartbeat * cost::HEARTBEAT;
        // A node has each room in which it has a member once, and what was said there for a while.
        let share = self.receivers(nodes) / nodes;
        let tails = self.rate * share * TAIL_SECONDS * (self.bytes + size::FRAME);
        let rooms = self.rooms * share * size::ROOM + tails.min(size::TAILS);
        let connection =
            size::CONNECTION + size::SOCKET + (self.rooms_each - 1.0).max(0.0) * size::MEMBERSHIP;
        Node {
            connections: self.users / nodes,
            cores: micros / 1e6 / nodes,
            bytes: size::PROCESS + self.users / nodes * connection + rooms,
            bits: self.rate * self.members() / nodes * (self.bytes + size::FRAME) * 8.0,
        }
    }

    /// How many nodes carry it, and why not fewer.
    fn needed(&self, machine: &Machine) -> (f64, Bound) {
        let (mut needed, mut because) = (1.0_f64, Bound::Nothing);
        while needed <= MOST {
            let node = self.on(needed);
            let room = machine.use_at_most;
            let bounds = [
                (Bound::Cores, node.cores / (machine.cores * room)),
                (Bound::Memory, node.bytes / (machine.memory * GB * room)),
                (Bound::Connections, node.connections / (CONNECTIONS * room)),
            ];
            let (bound, over) = bounds
                .into_iter()
                .fold((Bound::Nothing, 1.0), |most, next| if next.1 > most.1 { next } else { most });
            if bound == Bound::Nothing {
                return (needed, because);
            }
            (needed, because) = ((needed * over).ceil().max(needed + 1.0), bound);
        }
        (needed, Bound::TooMany)
    }

    /// What it needs, of such machines.
    #[must_use]
    pub fn plan(&self, machine: &Machine) -> Plan {
        let (nodes, because) = match machine.nodes {
            Some(nodes) => (nodes, Bound::Given),
            None => {
                let (needed, because) = self.needed(machine);
                (needed + SPARE, because)
            }
        };
        let receivers = self.receivers(nodes);
        let kept = self.history.min(self.rate / self.rooms * self.age);
        let redis_bytes = self.rooms * kept * (self.bytes + size::ENTRY);
        let by_memory = redis_bytes / (machine.redis_memory * GB * REDIS_AT_MOST);
        // To take in who came and went is as much to Redis as an append.
        let presence = self.presence(nodes);
        let calls = self.rate + presence.told * self.rooms;
        let copies = (self.rate + presence.heard * self.rooms) * receivers / calls.max(f64::MIN_POSITIVE);
        let shards = (calls / redis_rate(copies)).max(by_memory).ceil().max(1.0);
        Plan {
            members: self.members(),
            deliveries: self.rate * self.members(),
            nodes,
            because,
            receivers,
            node: self.on(nodes),
            shards,
            redis_cores: shards * redis_busy(calls / shards, copies),
            redis_bytes,
            redis_bits: self.rate * receivers * (self.bytes + size::FRAME) * 8.0,
        }
    }
}

/// How busy so many calls a second, of each of which so many nodes hear, keep a Redis, as a part of its core.
///
/// As measured from 200 to 10,000 a second. At more it is less busy than this says, for it and the nodes gather what waits:
/// see "appends" in `docs/PERFORMANCE.md`.
fn redis_busy(rate: f64, nodes: f64) -> f64 {
    rate * (cost::APPEND * (rate / 1e3).powf(-cost::FALLS) + cost::PUBLISH * nodes) / 1e6
}

/// The rate of messages that keeps a Redis as busy as it may be.
fn redis_rate(nodes: f64) -> f64 {
    let (mut less, mut more) = (0.0, 1e6);
    // Each step halves it: to less than a thousandth.
    for _ in 0..30 {
        let middle = f64::midpoint(less, more);
        *(if redis_busy(middle, nodes) > REDIS_AT_MOST { &mut more } else { &mut less }) = middle;
    }
    less
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = match self.because {
            Bound::Nothing => "one carries it; the other is to spare",
            Bound::Given => "as asked",
            Bound::Cores => "their cores decide, and one is to spare",
            Bound::Memory => "their memory decides, and one is to spare",
            Bound::Connections => "half of limits.connections decides, and one is to spare",
            Bound::TooMany => "and that is NOT ENOUGH: say less in rooms so large, or split them",
        };
        let Node { connections, cores, bytes, bits } = self.node;
        writeln!(f, "members of a room   {:.1} on average", self.members)?;
        writeln!(f, "deliveries          {} a second", count(self.deliveries))?;
        writeln!(f, "nodes               {} ({because})", count(self.nodes))?;
        writeln!(
            f,
            "each node           {} connections, {cores:.2} cores, {}, {} to clients",
            count(connections),
            memory(bytes),
            speed(bits)
        )?;
        writeln!(f, "nodes per message   {:.1}", self.receivers)?;
        write!(
            f,
            "Redis               {} ({:.2} cores, {}, {} to the nodes)",
            if self.shards > 1.0 {
                format!("a cluster of {} primaries", count(self.shards))
            } else {
                "one primary".to_owned()
            },
            self.redis_cores,
            memory(self.redis_bytes),
            speed(self.redis_bits)
        )
    }
}

/// A number that somebody reads: three digits of it count.
fn count(number: f64) -> String {
    match number {
        ..10_000.0 => format!("{number:.0}"),
        10_000.0..1e6 => format!("{:.0} thousand", number / 1e3),
        1e6..1e9 => format!("{:.1} million", number / 1e6),
        _ => format!("{:.1} billion", number / 1e9),
    }
}

fn memory(bytes: f64) -> String {
    match bytes {
        ..1e9 => format!("{:.0} MB", bytes / 1e6),
        1e9..1e12 => format!("{:.1} GB", bytes / 1e9),
        _ => format!("{:.1} TB", bytes / 1e12),
    }
}

fn speed(bits: f64) -> String {
    match bits {
        ..1e9 => format!("{:.0} Mbit/s", bits / 1e6),
        1e9..1e12 => format!("{:.1} Gbit/s", bits / 1e9),
        _ => format!("{:.1} Tbit/s", bits / 1e12),
    }
}

#[cfg(test)]
mod tests;
