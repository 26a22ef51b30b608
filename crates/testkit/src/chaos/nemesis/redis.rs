//! What is done to one server, or to all of them, so that nobody takes anybody's place.

use std::time::Duration;

use tokio::time::sleep;

use super::{Nemesis, nodes};
use crate::chaos::arena::{Arena, Store};
use crate::chaos::fault::Fault;
use crate::chaos::health::Expectation;
use crate::chaos::history::Loss;

impl Nemesis {
    pub(super) async fn redis(&mut self, fault: Fault, arena: &mut Arena) -> Expectation {
        let victim = self.primary(arena);
        match fault {
            Fault::RedisRestarted => {
                arena.store.node(victim).stop().await;
                arena.store.node(victim).restart().await;
                if !matches!(arena.store, Store::Single(_)) {
                    // It is back before it is missed, or it is not: who is asked says nothing of all rooms then.
                    return Expectation::default();
                }
            }
            Fault::RedisKilled => {
                arena.store.node(victim).kill().await;
                self.last(0, 2500).await;
                arena.store.node(victim).restart().await;
            }
            Fault::RedisGone => {
                // The primaries first: each waits until its replicas have everything.
                let mut order = arena.store.primaries();
                order.extend(
                    (0..arena.store.nodes().len()).filter(|node| !order.contains(node)).collect::<Vec<_>>(),
                );
                for node in &order {
                    arena.store.node(*node).stop().await;
                }
                // The longest is not for every second time.
                let seconds = [3, 3, 12, 12, 45][self.random.below(5)];
                sleep(Duration::from_secs(seconds)).await;
                for node in &order {
                    arena.store.node(*node).restart().await;
                }
                arena.store.whole().await;
            }
            Fault::RedisFrozen => {
                arena.store.nodes()[victim].freeze();
                // Half a minute is not for every time.
                let longest = [10_000, 10_000, 30_000][self.random.below(3)];
                self.last(1000, longest).await;
                arena.store.nodes()[victim].thaw();
            }
            _ => {
                let from = self.safe(arena).await;
                let time = self.random.within(1000..=6000);
                arena.store.nodes()[victim].command(&["CLIENT", "PAUSE", &time.to_string(), "ALL"]);
                sleep(Duration::from_millis(time)).await;
                if matches!(arena.store, Store::Sentinel(_)) {
                    // Who does not answer the sentinels is replaced.
                    self.may_have_lost(arena, from);
                    return Expectation::default();
                }
            }
        }
        Expectation { down: nodes(arena, |_| true), ..Expectation::default() }
    }

    /// Makes Redis lose what it has acknowledged.
    pub(super) async fn lose(&mut self, fault: Fault, arena: &mut Arena) -> Expectation {
        // Before the logs are read: what is acknowledged in the same millisecond may be in neither.
        let from = self.clock.now();
        self.logs.extend(arena.room_logs());
        match fault {
            Fault::RedisFlushed => {
                for primary in arena.store.primaries() {
                    arena.store.nodes()[primary].command(&["FLUSHALL"]);
                }
            }
            Fault::RedisRestored => {
                let redis = arena.store.node(0);
                let snapshot = redis.snapshot();
                self.last(500, 2500).await;
                redis.kill().await;
                redis.restore(&snapshot);
                redis.restart().await;
            }
            _ => {
                let redis = arena.store.node(0);
                let synced = redis.synced();
                redis.command(&["CONFIG", "SET", "appendfsync", "everysec"]);
                self.last(200, 1000).await;
                redis.kill().await;
                redis.lose_since(&synced);
                redis.restart().await;
            }
        }
        self.losses.push(Loss { from, until: self.clock.now(), acknowledged: true });
        Expectation::default()
    }
}
