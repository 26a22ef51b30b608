//! Two faults at once: the second begins while the first lasts, and not always the same of them is over first.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::Nemesis;
use super::clients::PADDING;
use crate::chaos::arena::{Arena, Variant};
use crate::chaos::crowd::{Crowd, Pace, Whom};
use crate::chaos::fault::Fault;
use crate::chaos::health::Expectation;
use crate::chaos::proof::{Measure, unproven};
use crate::chaos::random::Random;

/// What happens to Redis, or to the way there, while a gateway is away.
const BEHIND: [Fault; 5] = [
    Fault::RedisRestarted,
    Fault::RedisPaused,
    Fault::SubscribersCut,
    Fault::NetworkDeafDown,
    Fault::RepliesLost,
];

/// What lasts long enough for a second fault to begin meanwhile.
const FIRST: [Fault; 6] = [
    Fault::GatewayKilled,
    Fault::GatewayDrained,
    Fault::GatewayFrozen,
    Fault::RollingRestart,
    Fault::RedisRestarted,
    Fault::RedisPaused,
];

/// What needs nothing that the first fault holds.
const SECOND: [Fault; 4] =
    [Fault::NetworkCut, Fault::ClientsCut, Fault::EveryoneReconnects, Fault::SilentReaders];

impl Nemesis {
    /// A gateway that is away or stands still misses what happens to Redis; or any two of those that go together.
    pub(super) async fn two(&mut self, arena: &mut Arena, crowd: &Crowd) -> Expectation {
        let before = Measure::take(arena);
        let from = self.clock.now();
        let (first, second) = if self.random.below(2) == 0 {
            self.behind_a_gateway(arena, crowd).await
        } else {
            self.side_by_side(arena, crowd).await
        };
        eprintln!("{from:>8} ms  {} with {}", first.name(), second.name());
        let after = Measure::take(arena);
        let doubts = [first, second].map(|fault| Some((fault, after.doubt(fault, &before)?)));
        self.found.extend(doubts.into_iter().flatten().map(|(fault, doubt)| unproven(fault, from, doubt)));
        Expectation::default()
    }

    async fn behind_a_gateway(&mut self, arena: &mut Arena, crowd: &Crowd) -> (Fault, Fault) {
        let (index, killed) = (self.occupied(arena, crowd), self.random.below(2) == 0);
        let fault = BEHIND[self.random.below(BEHIND.len())];
        if killed {
            arena.close(index, Signal::KILL).await;
        } else {
            arena.freeze(index);
        }
        self.last(0, 2000).await;
        match fault {
            Fault::RedisRestarted | Fault::RedisPaused => self.redis(fault, arena).await,
            Fault::SubscribersCut => self.commands(fault, arena, crowd).await,
            _ => self.network(fault, arena).await,
        };
        self.last(0, 2000).await;
        if killed {
            arena.open(index, Variant::Usual).await;
            (Fault::GatewayKilled, fault)
        } else {
            arena.thaw(index).await;
            (Fault::GatewayFrozen, fault)
        }
    }

    async fn side_by_side(&mut self, arena: &mut Arena, crowd: &Crowd) -> (Fault, Fault) {
        let first = FIRST[self.random.below(FIRST.len())];
        let second = SECOND[self.random.below(SECOND.len())];
        let refuse = arena.seats[self.random.below(arena.seats.len())].network.refuser();
        let mut random = Random::new(self.random.number());
        let quarter = Whom::Quarter(random.below(4));
        let meanwhile = async {
            sleep(Duration::from_millis(random.within(0..=500))).await;
            let lasts = Duration::from_millis(random.within(300..=4000));
            match second {
                Fault::NetworkCut => {
                    refuse(true);
                    sleep(lasts).await;
                    refuse(false);
                }
                Fault::ClientsCut => crowd.cut(quarter),
                Fault::EveryoneReconnects => crowd.cut(Whom::Everybody),
                _ => {
                    crowd.pad(PADDING);
                    crowd.pace(quarter, Pace::Silent);
                    sleep(lasts).await;
                    crowd.pad(0);
                    crowd.pace(Whom::Nobody, Pace::Prompt);
                }
            }
        };
        let lasting = async {
            if matches!(first, Fault::RedisRestarted | Fault::RedisPaused) {
                self.redis(first, arena).await
            } else {
                self.gateways(first, arena, crowd).await
            }
        };
        tokio::join!(lasting, meanwhile);
        (first, second)
    }
}
