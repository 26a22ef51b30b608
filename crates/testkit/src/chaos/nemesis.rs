//! Does the harm, and undoes it.

mod clients;
mod cluster;
mod commands;
mod failover;
mod gateways;
mod network;
mod overlap;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::arena::Arena;
use super::checker::Violation;
use super::crowd::{Clock, Crowd, ROOMS, room};
use super::fault::Fault;
use super::health::Expectation;
use super::history::{Log, Loss};
use super::random::Random;
use crate::Redis;

/// Whoever does the harm.
#[derive(Debug)]
pub struct Nemesis {
    /// Of its choices.
    pub random: Random,
    /// The run's clock.
    pub clock: Clock,
    /// When it made Redis lose something.
    pub losses: Vec<Loss>,
    /// The logs as they were before.
    pub logs: Vec<Log>,
    /// What it found wrong itself.
    pub found: Vec<Violation>,
}

impl Nemesis {
    /// Does a fault from its beginning to its end, and says what health must have said meanwhile.
    pub async fn inject(&mut self, fault: Fault, arena: &mut Arena, crowd: &Crowd) -> Expectation {
        match fault {
            Fault::GatewayKilled
            | Fault::GatewayDrained
            | Fault::GatewayFrozen
            | Fault::RollingRestart
            | Fault::GatewayReconfigured
            | Fault::GatewayJoins => self.gateways(fault, arena, crowd).await,
            Fault::RedisRestarted
            | Fault::RedisKilled
            | Fault::RedisGone
            | Fault::RedisFrozen
            | Fault::RedisPaused => self.redis(fault, arena).await,
            Fault::RedisCrashed | Fault::RedisRestored | Fault::RedisFlushed => self.lose(fault, arena).await,
            Fault::PrimaryKilled
            | Fault::PrimaryLost
            | Fault::PrimaryFrozen
            | Fault::PrimaryCutOff
            | Fault::FailoverAsked => self.failover(fault, arena).await,
            Fault::ReplicaKilled => self.replica(arena).await,
            Fault::SentinelKilled => self.sentinel(arena).await,
            Fault::SlotsMoved => self.slots(arena).await,
            Fault::ClusterGrows => self.grow(arena).await,
            Fault::SubscribersCut
            | Fault::PublishersCut
            | Fault::ScriptsFlushed
            | Fault::OutputBufferShrunk
            | Fault::OutOfMemory => self.commands(fault, arena, crowd).await,
            Fault::NetworkCut
            | Fault::NetworkDeafUp
            | Fault::NetworkDeafDown
            | Fault::NetworkDelayed
            | Fault::NetworkThrottled
            | Fault::RepliesLost => self.network(fault, arena).await,
            Fault::ClientsCut | Fault::EveryoneReconnects | Fault::SlowReaders | Fault::SilentReaders => {
                self.clients(fault, arena, crowd).await
            }
            Fault::HerdReconnects => self.herd(arena).await,
            Fault::TwoAtOnce => self.two(arena, crowd).await,
        }
    }

    /// Waits as long as a fault is to last.
    async fn last(&mut self, from_ms: u64, to_ms: u64) {
        sleep(Duration::from_millis(self.random.within(from_ms..=to_ms))).await;
    }

    /// A primary that has a room.
    fn primary(&mut self, arena: &Arena) -> usize {
        arena.store.primary_of(&room(self.random.below(ROOMS)))
    }
}

/// Sets something back, also in the file: sentinels have what is set written down whenever they replace a primary.
fn restore(redis: &Redis, name: &str, value: &str) {
    redis.command(&["CONFIG", "SET", name, value]);
    redis.command(&["CONFIG", "REWRITE"]);
}

fn nodes(arena: &Arena, which: impl Fn(usize) -> bool) -> Vec<Arc<str>> {
    let names = arena.seats.iter().enumerate().filter(|(index, _)| which(*index));
    names.map(|(_, seat)| Arc::clone(&seat.name)).collect()
}
