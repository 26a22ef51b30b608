//! Does the harm, and undoes it.

mod overlap;

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::arena::{Arena, Variant};
use super::checker::Violation;
use super::crowd::{Clock, Crowd, Pace, Whom};
use super::fault::Fault;
use super::health::Expectation;
use super::herd;
use super::history::{Log, Loss};
use super::random::Random;
use crate::{Fate, Metrics, Request};

/// Pub/sub buffers are cut beyond this; messages are padded to fill them.
const SMALL_BUFFER: &str = "pubsub 64kb 32kb 1";
const PADDING: usize = 4000;
const LARGE_PADDING: usize = 14_000;
/// By then it has cut somebody, or will not.
const BUFFER_FILLS_MS: u64 = 5000;
/// Two large messages in one turn of Redis' loop are too much for this.
const TINY_BUFFER: &str = "pubsub 1kb 1kb 1";
/// As Redis has it by default.
const USUAL_BUFFER: &str = "pubsub 32mb 8mb 60";

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
            Fault::RedisCrashed | Fault::RedisRestored | Fault::RedisFlushed => {
                // Before the logs are read: what is acknowledged in the same millisecond may be in neither.
                let from = self.clock.now();
                self.logs.extend(arena.room_logs());
                self.lose(fault, arena).await;
                self.losses.push(Loss { from, until: self.clock.now() });
                Expectation::default()
            }
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

    async fn gateways(&mut self, fault: Fault, arena: &mut Arena, crowd: &Crowd) -> Expectation {
        let index = self.occupied(arena).await;
        let others = nodes(arena, |other| other != index || fault == Fault::GatewayJoins);
        match fault {
            Fault::GatewayKilled => {
                arena.close(index, Signal::KILL).await;
                self.last(0, 2000).await;
                arena.open(index, Variant::Usual).await;
            }
            Fault::GatewayFrozen => {
                arena.freeze(index);
                self.last(2500, 8000).await;
                arena.thaw(index).await;
            }
            Fault::RollingRestart => {
                for index in 0..arena.seats.len() {
                    arena.close(index, Signal::TERM).await;
                    arena.open(index, Variant::Usual).await;
                }
                return Expectation::default();
            }
            Fault::GatewayJoins => {
                arena.add().await;
                // Some of those who come back find the new one.
                for quarter in 0..4 {
                    crowd.cut(Whom::Quarter(quarter));
                    self.last(300, 900).await;
                }
                arena.remove().await;
            }
            _ => {
                arena.close(index, Signal::TERM).await;
                let lean = fault == Fault::GatewayReconfigured;
                arena.open(index, if lean { Variant::Lean } else { Variant::Usual }).await;
            }
        }
        Expectation { up: others, ..Expectation::default() }
    }

    /// A gateway with clients: those of one that was gone are elsewhere until they are cut.
    async fn occupied(&mut self, arena: &Arena) -> usize {
        let (first, count) = (self.random.below(arena.seats.len()), arena.seats.len());
        for index in (first..first + count).map(|index| index % count) {
            let metrics = Request::get("/metrics").send(arena.seats[index].addr).await;
            if Metrics::parse(&metrics.body).sum("chorus_connections") > 0.0 {
                return index;
            }
        }
        first
    }

    async fn redis(&mut self, fault: Fault, arena: &mut Arena) -> Expectation {
        match fault {
            Fault::RedisRestarted => {
                arena.redis.stop().await;
                arena.redis.restart().await;
            }
            Fault::RedisKilled => {
                arena.redis.kill().await;
                self.last(0, 2500).await;
                arena.redis.restart().await;
            }
            Fault::RedisGone => {
                arena.redis.stop().await;
                // The longest is not for every second time.
                let seconds = [3, 3, 12, 12, 45][self.random.below(5)];
                sleep(Duration::from_secs(seconds)).await;
                arena.redis.restart().await;
            }
            Fault::RedisFrozen => {
                arena.redis.freeze();
                self.last(1000, 10_000).await;
                arena.redis.thaw();
            }
            _ => {
                let time = self.random.within(1000..=6000);
                arena.redis.command(&["CLIENT", "PAUSE", &time.to_string(), "ALL"]);
                sleep(Duration::from_millis(time)).await;
            }
        }
        Expectation { down: nodes(arena, |_| true), ..Expectation::default() }
    }

    /// Makes Redis lose what it has acknowledged.
    async fn lose(&mut self, fault: Fault, arena: &mut Arena) {
        match fault {
            Fault::RedisFlushed => {
                arena.redis.command(&["FLUSHALL"]);
            }
            Fault::RedisRestored => {
                let snapshot = arena.redis.snapshot();
                self.last(500, 2500).await;
                arena.redis.kill().await;
                arena.redis.restore(&snapshot);
                arena.redis.restart().await;
            }
            _ => {
                let synced = arena.redis.synced();
                arena.redis.command(&["CONFIG", "SET", "appendfsync", "everysec"]);
                self.last(200, 1000).await;
                arena.redis.kill().await;
                arena.redis.lose_since(&synced);
                arena.redis.restart().await;
            }
        }
    }

    async fn commands(&mut self, fault: Fault, arena: &Arena, crowd: &Crowd) -> Expectation {
        let redis = &arena.redis;
        match fault {
            Fault::SubscribersCut | Fault::PublishersCut => {
                let kind = if fault == Fault::SubscribersCut { "pubsub" } else { "normal" };
                for _ in 0..self.random.within(1..=4) {
                    redis.command(&["CLIENT", "KILL", "TYPE", kind]);
                    self.last(50, 600).await;
                }
                Expectation::default()
            }
            Fault::ScriptsFlushed => {
                for _ in 0..self.random.within(3..=8) {
                    redis.command(&["SCRIPT", "FLUSH"]);
                    self.last(20, 200).await;
                }
                Expectation { up: nodes(arena, |_| true), ..Expectation::default() }
            }
            Fault::OutOfMemory => {
                redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
                self.last(1000, 5000).await;
                redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
                Expectation { up: nodes(arena, |_| true), ..Expectation::default() }
            }
            _ => {
                redis.command(&["CONFIG", "SET", "client-output-buffer-limit", SMALL_BUFFER]);
                arena.seats.iter().for_each(|seat| seat.proxy.treat(Fate::Pass, Fate::Throttle(40_000)));
                crowd.pad(LARGE_PADDING);
                let before = redis.output_cuts();
                for _ in 0..BUFFER_FILLS_MS / 100 {
                    self.last(100, 100).await;
                    if redis.output_cuts() != before {
                        break;
                    }
                }
                if redis.output_cuts() == before {
                    // The nodes had noticed the slow network, and said no to what would have filled the buffer.
                    arena.seats.iter().for_each(|seat| seat.proxy.treat(Fate::Pass, Fate::Pass));
                    redis.command(&["CONFIG", "SET", "client-output-buffer-limit", TINY_BUFFER]);
                    for _ in 0..BUFFER_FILLS_MS / 100 {
                        self.last(100, 100).await;
                        if redis.output_cuts() != before {
                            break;
                        }
                    }
                }
                self.last(500, 3000).await;
                crowd.pad(0);
                arena.seats.iter().for_each(|seat| seat.proxy.treat(Fate::Pass, Fate::Pass));
                redis.command(&["CONFIG", "SET", "client-output-buffer-limit", USUAL_BUFFER]);
                Expectation::default()
            }
        }
    }

    async fn network(&mut self, fault: Fault, arena: &Arena) -> Expectation {
        // One gateway, or all.
        let one = self.random.below(arena.seats.len());
        let all = self.random.below(3) == 0;
        let hit = |index: usize| all || index == one;
        let proxies =
            || arena.seats.iter().enumerate().filter(|(index, _)| hit(*index)).map(|(_, seat)| &seat.proxy);
        let (up, down, shortest, longest) = match fault {
            Fault::NetworkDeafUp => (Fate::Stall, Fate::Pass, 500, 8000),
            Fault::NetworkDeafDown => (Fate::Pass, Fate::Stall, 500, 8000),
            Fault::NetworkDelayed => {
                let delay = Fate::Delay(Duration::from_millis(self.random.within(20..=200)));
                (delay, delay, 2000, 4000)
            }
            Fault::NetworkThrottled => (Fate::Throttle(20_000), Fate::Throttle(20_000), 2000, 5000),
            Fault::NetworkCut => {
                proxies().for_each(|proxy| proxy.refuse(true));
                self.last(100, 8000).await;
                proxies().for_each(|proxy| proxy.refuse(false));
                return Expectation { down: nodes(arena, hit), ..Expectation::default() };
            }
            _ => {
                for _ in 0..self.random.within(2..=5) {
                    proxies().for_each(|proxy| proxy.treat(Fate::Pass, Fate::Swallow));
                    self.last(50, 300).await;
                    // First cut, or what comes after the gap would pass for the replies.
                    proxies().for_each(|proxy| {
                        proxy.cut();
                        proxy.treat(Fate::Pass, Fate::Pass);
                    });
                    self.last(100, 500).await;
                }
                return Expectation::default();
            }
        };
        proxies().for_each(|proxy| proxy.treat(up, down));
        self.last(shortest, longest).await;
        proxies().for_each(|proxy| proxy.treat(Fate::Pass, Fate::Pass));
        match fault {
            Fault::NetworkDelayed => Expectation { up: nodes(arena, |_| true), ..Expectation::default() },
            Fault::NetworkThrottled => Expectation::default(),
            _ => Expectation { down: nodes(arena, hit), ..Expectation::default() },
        }
    }

    async fn clients(&mut self, fault: Fault, arena: &Arena, crowd: &Crowd) -> Expectation {
        let quarter = Whom::Quarter(self.random.below(4));
        match fault {
            Fault::ClientsCut => {
                for _ in 0..self.random.within(1..=5) {
                    crowd.cut(Whom::Quarter(self.random.below(4)));
                    self.last(50, 500).await;
                }
            }
            Fault::EveryoneReconnects => crowd.cut(Whom::Everybody),
            _ => {
                let slow = fault == Fault::SlowReaders;
                let pace = if slow { Pace::Slow(Duration::from_millis(100)) } else { Pace::Silent };
                crowd.pad(PADDING);
                crowd.pace(quarter, pace);
                self.last(2000, 6000).await;
                crowd.pad(0);
                crowd.pace(Whom::Nobody, Pace::Prompt);
            }
        }
        Expectation { up: nodes(arena, |_| true), ..Expectation::default() }
    }
}

impl Nemesis {
    /// Ten thousand more clients, who come back at once.
    async fn herd(&mut self, arena: &Arena) -> Expectation {
        let doors: Vec<_> = arena.seats.iter().map(|seat| seat.addr).collect();
        let came = herd::reconnect(&doors, self.clock).await;
        let (at, size, failed) = (self.clock.now(), herd::SIZE, came.failed);
        eprintln!(
            "{at:>8} ms  {size} clients were back and level after {:?}, {failed} dials failed",
            came.took
        );
        self.found.extend(came.found);
        // Whether two cores can do that and let every probe pass in time is not what is asked.
        Expectation::default()
    }
}

fn nodes(arena: &Arena, which: impl Fn(usize) -> bool) -> Vec<std::sync::Arc<str>> {
    let names = arena.seats.iter().enumerate().filter(|(index, _)| which(*index));
    names.map(|(_, seat)| std::sync::Arc::clone(&seat.name)).collect()
}
