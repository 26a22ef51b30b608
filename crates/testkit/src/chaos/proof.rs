//! Whether a fault really happened. One that did no harm shows nothing, however well it was survived.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::arena::Arena;
use super::checker::{Kind, Violation};
use super::fault::Fault;
use super::history::{History, What};
use super::report::Done;
use crate::{Redis, redis::info_line};

/// Redis answers nobody for longer than this while it is stopped or paused, in milliseconds.
const STANDSTILL_MS: u64 = 600;

/// The connections of each kind.
const KINDS: [&str; 2] = ["pubsub", "normal"];

/// What can be seen from outside, before a fault and after it.
#[derive(Debug)]
pub struct Measure {
    /// What the proxies did to what went through them.
    harm: u64,
    /// Of each server.
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    info: String,
    /// Connections that it has cut because they did not take what it had for them.
    output_cuts: usize,
    /// The ids of its connections, of each kind.
    connections: [HashSet<String>; 2],
}

impl Measure {
    /// As it is now. All servers must answer.
    pub fn take(arena: &Arena) -> Self {
        Self {
            harm: arena.seats.iter().map(|seat| seat.network.harm()).sum(),
            servers: arena.store.nodes().iter().map(Server::look).collect(),
        }
    }

    /// What speaks against it that this fault happened since `before`.
    pub fn doubt(&self, fault: Fault, before: &Self) -> Option<&'static str> {
        let any = |is: &dyn Fn(&Server, &Server) -> bool| {
            self.servers.iter().zip(&before.servers).any(|(now, then)| is(now, then))
        };
        let grew = |field: &str| any(&|now, then| now.number(field) > then.number(field));
        let gone = |kind: usize| {
            any(&|now, then| {
                let (now, then) = (&now.connections[kind], &then.connections[kind]);
                !then.is_empty() && then.is_disjoint(now)
            })
        };
        let (happened, doubt) = match fault {
            Fault::RedisRestarted
            | Fault::RedisKilled
            | Fault::RedisGone
            | Fault::RedisCrashed
            | Fault::RedisRestored
            | Fault::PrimaryKilled
            | Fault::PrimaryLost
            | Fault::ReplicaKilled => {
                (any(&|now, then| now.field("run_id") != then.field("run_id")), "the same process answers")
            }
            Fault::PrimaryCutOff | Fault::FailoverAsked => {
                (any(&|now, then| now.field("role") != then.field("role")), "nobody took anybody's place")
            }
            Fault::SlotsMoved | Fault::ClusterGrows => {
                (grew("errorstat_MOVED") || grew("errorstat_ASK"), "nobody was sent to another node")
            }
            Fault::RedisFlushed => (grew("cmdstat_flushall"), "nothing was flushed"),
            Fault::RedisPaused => (grew("cmdstat_client|pause"), "nothing was paused"),
            Fault::SubscribersCut => (gone(0), "a subscriber was not cut"),
            Fault::PublishersCut => (gone(1), "a connection was not cut"),
            Fault::ScriptsFlushed => (grew("cmdstat_function|load"), "nobody missed a function"),
            Fault::OutputBufferShrunk => (
                any(&|now, then| now.output_cuts > then.output_cuts),
                "no output buffer grew beyond its limit",
            ),
            Fault::OutOfMemory => (grew("errorstat_OOM"), "nothing was refused for want of memory"),
            Fault::NetworkCut
            | Fault::NetworkDeafUp
            | Fault::NetworkDeafDown
            | Fault::NetworkDelayed
            | Fault::NetworkThrottled
            | Fault::RepliesLost => {
                (self.harm > before.harm, "no byte and no connection met the bad network")
            }
            // Signals are certain, and what clients do is in their histories.
            _ => (true, ""),
        };
        (!happened).then_some(doubt)
    }
}

impl Server {
    fn look(redis: &Redis) -> Self {
        let text = |args: &[&str]| -> String {
            redis::from_redis_value(redis.command(args)).expect("what Redis says of itself is text")
        };
        let connections = KINDS.map(|kind| {
            let list = text(&["CLIENT", "LIST", "TYPE", kind]);
            list.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
        });
        Self { info: text(&["INFO", "everything"]), output_cuts: redis.output_cuts(), connections }
    }

    /// A line of INFO.
    fn field(&self, name: &str) -> Option<&str> {
        info_line(&self.info, name)
    }

    /// The first number of a line of INFO, such as `cmdstat_flushall:calls=1,usec=…`; 0 if it is not there yet.
    fn number(&self, name: &str) -> u64 {
        let value = self.field(name).unwrap_or_default();
        let digits = value.trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|it| it.parse().ok()).unwrap_or(0)
    }
}

/// Faults that left no trace with the clients. `gateways` are there while none joins.
pub fn missing(done: &[Done], histories: &[History], gateways: usize) -> Vec<Violation> {
    let joiner = format!("node-{gateways}");
    let doubt = |it: &Done| {
        let within = |until: u64, is: &dyn Fn(&What) -> bool| {
            let saw = |history: &&History| {
                history.entries.iter().any(|entry| (it.from..=until).contains(&entry.at) && is(&entry.what))
            };
            histories.iter().filter(saw).count()
        };
        let cut = |what: &What| matches!(what, What::Disconnected { .. });
        let (happened, doubt) = match it.fault {
            Fault::GatewayKilled
            | Fault::GatewayDrained
            | Fault::GatewayReconfigured
            | Fault::RollingRestart
            | Fault::ClientsCut => (within(it.recovered, &cut) > 0, "nobody lost a connection"),
            Fault::EveryoneReconnects => {
                (within(it.recovered, &cut) == histories.len(), "somebody kept the connection")
            }
            Fault::GatewayJoins => (
                within(it.recovered, &|what| matches!(what, What::Connected { node } if **node == *joiner))
                    > 0,
                "nobody came to the gateway that joined",
            ),
            Fault::SlowReaders | Fault::SilentReaders => (
                within(it.until, &|what| matches!(what, What::Pace { prompt: false })) > 0,
                "everybody read at once",
            ),
            Fault::RedisFrozen | Fault::RedisPaused | Fault::PrimaryKilled | Fault::PrimaryLost => {
                (standstill(it, histories) > STANDSTILL_MS, "there was an ok all the time")
            }
            _ => (true, ""),
        };
        (!happened).then(|| unproven(it.fault, it.from, doubt))
    };
    done.iter().filter_map(doubt).collect()
}

/// The longest time during a fault in which nobody was told ok in a room. With several primaries the rooms of the
/// others go on.
fn standstill(fault: &Done, histories: &[History]) -> u64 {
    let mut rooms: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for entry in histories.iter().flat_map(|history| &history.entries) {
        let What::Acked { room, .. } = &entry.what else { continue };
        let times = rooms.entry(room).or_insert_with(|| vec![fault.from, fault.until]);
        times.extend(Some(entry.at).filter(|at| (fault.from..fault.until).contains(at)));
    }
    let longest = |times: &mut Vec<u64>| {
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max()
    };
    rooms.values_mut().filter_map(longest).max().unwrap_or(0)
}

/// A fault of which there is no proof, as a violation.
pub fn unproven(fault: Fault, at: u64, doubt: &str) -> Violation {
    let who: Arc<str> = "the harness".into();
    Violation { kind: Kind::NoFault, at, who, what: format!("{}: {doubt}", fault.name()) }
}
