//! Primaries that are lost, or replaced while they live.

use super::{Nemesis, restore};
use crate::Redis;
use crate::chaos::arena::{Arena, Store};
use crate::chaos::crowd::{ROOMS, room};
use crate::chaos::fault::Fault;
use crate::chaos::health::Expectation;
use crate::chaos::history::Loss;
use crate::{PATIENCE, until};

/// A primary that was replaced while it lived still says ok to whoever asks it; the gateways notice within this time
/// after it can be heard again, in milliseconds. What was acknowledged then is lost.
const NOTICED_MS: u64 = 2000;

impl Nemesis {
    pub(super) async fn failover(&mut self, fault: Fault, arena: &mut Arena) -> Expectation {
        let room = room(self.random.below(ROOMS));
        let victim = arena.store.primary_of(&room);
        let from = self.safe(arena).await;
        match fault {
            Fault::PrimaryKilled => {
                arena.store.node(victim).kill().await;
                arena.store.replaced(victim, &room).await;
                self.last(0, 3000).await;
                arena.store.node(victim).restart().await;
            }
            Fault::PrimaryLost => {
                let replicas = arena.store.replicas_of(victim);
                // A password that is not wanted is refused, and the replicas copy no more.
                for replica in &replicas {
                    arena.store.nodes()[*replica].command(&["CONFIG", "SET", "masterauth", "unwanted"]);
                }
                arena.store.nodes()[victim].command(&["CLIENT", "KILL", "TYPE", "replica"]);
                self.last(200, 1500).await;
                arena.store.node(victim).kill().await;
                arena.store.replaced(victim, &room).await;
                for replica in &replicas {
                    restore(&arena.store.nodes()[*replica], "masterauth", "");
                }
                self.last(0, 2000).await;
                arena.store.node(victim).restart().await;
            }
            Fault::PrimaryFrozen => {
                arena.store.nodes()[victim].freeze();
                // Back before it is missed, or not.
                if self.random.below(2) == 0 {
                    self.last(300, 1500).await;
                } else {
                    self.last(3000, 8000).await;
                }
                arena.store.nodes()[victim].thaw();
            }
            Fault::PrimaryCutOff => {
                let Store::Sentinel(sentinel) = &arena.store else { unreachable!("only behind sentinels") };
                sentinel.cut_off(victim, true);
                sentinel.until_primary_is_not(victim).await;
                self.last(500, 4000).await;
                sentinel.cut_off(victim, false);
            }
            _ => return self.asked(arena, victim, &room, from).await,
        }
        self.may_have_lost(arena, from);
        Expectation::default()
    }

    /// A failover that an administrator asks for.
    async fn asked(&mut self, arena: &Arena, victim: usize, room: &str, from: u64) -> Expectation {
        match &arena.store {
            Store::Sentinel(sentinel) => {
                sentinel.failover().await;
                sentinel.until_primary_is_not(victim).await;
                // They only turn around a living one: what it took in the meantime is lost.
                self.may_have_lost(arena, from);
            }
            store => {
                // The replica waits until it has everything, so nothing is lost.
                let replica = store.replicas_of(victim)[0];
                store.nodes()[replica].command(&["CLUSTER", "FAILOVER"]);
                store.replaced(victim, room).await;
            }
        }
        Expectation::default()
    }

    pub(super) async fn replica(&mut self, arena: &mut Arena) -> Expectation {
        let primary = self.primary(arena);
        let replicas = arena.store.replicas_of(primary);
        let victim = replicas[self.random.below(replicas.len())];
        arena.store.node(victim).kill().await;
        self.last(500, 5000).await;
        arena.store.node(victim).restart().await;
        // Nothing may be answered ok meanwhile, but what paths there are work.
        Expectation { up: super::nodes(arena, |_| true), ..Expectation::default() }
    }

    pub(super) async fn sentinel(&mut self, arena: &mut Arena) -> Expectation {
        let number = self.random.below(3);
        let Store::Sentinel(sentinel) = &mut arena.store else { unreachable!("only behind sentinels") };
        sentinel.kill_sentinel(number).await;
        self.last(500, 5000).await;
        sentinel.start_sentinel(number);
        Expectation { up: super::nodes(arena, |_| true), ..Expectation::default() }
    }

    /// The time before which everything that was acknowledged is safe: on all replicas, and in the logs that are kept.
    pub(super) async fn safe(&mut self, arena: &Arena) -> u64 {
        let from = self.clock.now();
        if arena.shape.is_local() {
            self.logs.extend(arena.room_logs());
            for primary in arena.store.primaries() {
                let reached = offset(&arena.store.nodes()[primary], "master_repl_offset:");
                for replica in arena.store.replicas_of(primary) {
                    until(PATIENCE, "a replica to be level", async || {
                        let level = offset(&arena.store.nodes()[replica], "slave_repl_offset:");
                        if level >= reached { Ok(()) } else { Err(format!("{level} of {reached}")) }
                    })
                    .await;
                }
            }
        }
        from
    }

    /// A failover since that time may have lost what the replicas did not have: with `ok`s of the primary alone also
    /// what was acknowledged, otherwise only what was seen without an `ok`.
    pub(super) fn may_have_lost(&mut self, arena: &Arena, from: u64) {
        let until = self.clock.now() + NOTICED_MS;
        self.losses.push(Loss { from, until, acknowledged: arena.shape.is_local() });
    }
}

/// How far the stream of a primary's commands has come.
fn offset(redis: &Redis, name: &str) -> i64 {
    let info: String =
        redis::from_redis_value(redis.command(&["INFO", "replication"])).expect("what is told is text");
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|offset| offset.trim().parse().ok()).unwrap_or(-1)
}
