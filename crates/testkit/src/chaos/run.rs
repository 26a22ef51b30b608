//! One run: faults one after the other, and then the judgement.

use std::any::Any;
use std::fs;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{sleep, timeout};

use super::arena::{Arena, Shape};
use super::audit::Audit;
use super::checker::{self, Evidence, Kind, Violation};
use super::company::{self, ALIVE_MS, TOLD_MS};
use super::crowd::{Clock, Crowd};
use super::fault::Fault;
use super::health::{self, LIMIT_MS, Watched};
use super::history::{History, Loss};
use super::nemesis::Nemesis;
use super::outcasts::Outcasts;
use super::proof::{self, Measure};
use super::random::Random;
use super::report::{Done, Table};
use super::visitors::Visitors;

/// How long a cluster may take to deliver again after a fault is over.
pub(super) const RECOVERY: Duration = Duration::from_secs(30);
/// Between two looks at whether it does.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// Quiet time between a recovery and the next fault, where there is no reason for another.
pub const PAUSE: Duration = Duration::from_millis(500);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `chorus` to run.
    pub binary: PathBuf,
    /// What stands behind the gateways.
    pub shape: Shape,
    /// The faults, in their order.
    pub faults: Vec<Fault>,
    /// Of every choice that is made.
    pub seed: u64,
    /// Gateways.
    pub gateways: usize,
    /// Clients.
    pub members: usize,
    /// Quiet time between a recovery and the next fault.
    pub pause: Duration,
    /// After so long no more fault begins; none: all of them do.
    pub lasting: Option<Duration>,
    /// Where the histories of a failure go, in a directory named after the seed.
    pub artifacts: PathBuf,
}

impl Options {
    /// Whether half of the run is over, by its time or by its faults.
    fn is_half_over(&self, round: usize, now_ms: u64) -> bool {
        self.lasting.map_or(round >= self.faults.len() / 2, |time| u128::from(now_ms) > time.as_millis() / 2)
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Fault by fault.
    pub table: Table,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// What the nodes said of themselves.
    pub watched: Vec<Watched>,
    /// When the crowd fell silent, in milliseconds from the start: what follows is the audit, which reads every log.
    pub silent: u64,
}

/// Runs the faults against a cluster of its own and judges what came of it.
pub async fn run(options: &Options) -> Outcome {
    let clock = Clock::start();
    let mut arena = Arena::start(options.shape, &options.binary, options.gateways, clock).await;
    let crowd = Crowd::start(options.members, arena.doors(), clock, options.seed);
    let mut nemesis = Nemesis {
        random: Random::new(options.seed),
        clock,
        losses: Vec::new(),
        logs: Vec::new(),
        found: Vec::new(),
    };
    let (mut done, mut violations) = (Vec::new(), Vec::new());

    violations.extend(recovered(&crowd, clock, "the start").await.err());
    let mut whole = true;
    let mut outcasts = Outcasts::start(arena.doors(), clock);
    let (mut primaries, mut seen_at) = (arena.store.primaries(), clock.now());
    for (round, &fault) in options.faults.iter().enumerate() {
        let over = options.lasting.is_some_and(|time| u128::from(clock.now()) > time.as_millis());
        // What follows a violation would only say the same again.
        if over || !violations.is_empty() {
            break;
        }
        sleep(options.pause).await;
        let before = Measure::take(&arena);
        let doors: Vec<_> = arena.seats.iter().map(|seat| seat.addr).collect();
        let visitors = caught(clock, "visitors", Visitors::come(&doors, round)).await;
        let (from, losses) = (clock.now(), nemesis.losses.len());
        if options.is_half_over(round, clock.now()) && !outcasts.are_banished() {
            outcasts.banish();
        }
        let injected = caught(clock, fault.name(), nemesis.inject(fault, &mut arena, &crowd)).await;
        violations.extend(visitors.err());
        let until = clock.now();
        violations.append(&mut nemesis.found);
        let expected = match injected {
            Ok(expected) => expected,
            Err(violation) => {
                // What broke in the middle is not asked for anything any more.
                violations.push(violation);
                done.push(Done { fault, from, until, recovered: until });
                whole = false;
                break;
            }
        };
        violations.extend(recovered(&crowd, clock, fault.name()).await.err());
        let recovered = clock.now();
        violations.extend(ready(&arena, clock, fault.name()).await.err());
        let settled = caught(clock, fault.name(), async {
            arena.store.whole().await;
            (Measure::take(&arena), arena.store.primaries())
        });
        match settled.await {
            Ok((after, now)) => {
                // A machine that stands still for a second is enough to have a primary replaced that nobody harmed.
                if primaries != now {
                    nemesis.may_have_lost(&arena, seen_at);
                }
                (primaries, seen_at) = (now, clock.now());
                let doubt = after.doubt(fault, &before);
                violations.extend(doubt.map(|doubt| proof::unproven(fault, from, doubt)));
            }
            Err(violation) => violations.push(violation),
        }
        eprintln!(
            "{:>8} ms  {}: {} ms, recovered after {} ms",
            from,
            fault.name(),
            until - from,
            recovered - until
        );
        let lost = nemesis.losses.len() > losses;
        let held = outcasts.hold(from, lost, fault.keeps_news_away());
        violations.extend(caught(clock, "banishing", held).await.err());
        violations.extend(health::during(&expected, from, until, &arena.watch.seen()));
        done.push(Done { fault, from, until, recovered });
    }

    crowd.talk(false);
    let silent = clock.now();
    let mut audit = Audit::default();
    if whole {
        violations.extend(settled(&crowd, &arena, clock).await.err());
        let audited = caught(clock, "the audit", async {
            let logs = arena.room_logs();
            nemesis.logs.extend(logs.iter().cloned());
            Audit::make(&arena, &crowd, logs, clock).await
        });
        match audited.await {
            Ok(made) => audit = made,
            Err(violation) => violations.push(violation),
        }
    }
    let histories = crowd.end().await;
    violations.extend(outcasts.judge());
    violations.extend(audit.judge(&histories));
    violations.extend(judge(&histories, &arena, &nemesis, &done));
    violations.extend(proof::missing(&done, &histories, options.gateways));
    violations.sort_by_key(|violation| violation.at);
    if !violations.is_empty() {
        write(options, &arena, &histories, &done, &violations);
    }
    let watched = arena.watch.seen();
    Outcome { table: Table::of(&done, &histories, &watched, &violations), violations, watched, silent }
}

/// What is wrong with what everybody wrote down.
fn judge(histories: &[History], arena: &Arena, nemesis: &Nemesis, done: &[Done]) -> Vec<Violation> {
    let losses = &nemesis.losses;
    let mut violations = checker::check(&Evidence { histories, logs: &nemesis.logs, losses });
    violations.extend(company::check(histories, losses, &taken_for_dead(done, losses)));
    let primaries = arena.shape.primaries();
    let mut always = health::always(histories, &arena.watch.seen(), losses, primaries);
    // Slots move: the primary that is missed may have none of the crowd's rooms, which all go on.
    always.retain(|it| {
        let missed = |done: &Done| {
            done.fault.reaches_servers() && (done.from..done.recovered + LIMIT_MS).contains(&it.at)
        };
        it.kind != Kind::FalseAlarm || primaries == 1 || !done.iter().any(missed)
    });
    violations.extend(always);
    violations
}

/// When nodes that live may have been taken for dead, or what they had told was lost with Redis' data.
fn taken_for_dead(done: &[Done], losses: &[Loss]) -> Vec<Range<u64>> {
    let long = done.iter().filter(|it| it.fault.keeps_news_away() && it.recovered - it.from > ALIVE_MS / 2);
    let long = long.map(|it| it.from..it.recovered + TOLD_MS);
    long.chain(losses.iter().map(|loss| loss.from..loss.until + TOLD_MS)).collect()
}

/// Waits until everyone has got, in every room, something that was sent from now on.
async fn recovered(crowd: &Crowd, clock: Clock, what: &str) -> Result<(), Violation> {
    let since = clock.now();
    awaited(clock, &format!("live delivery after {what}"), || crowd.stale(since)).await
}

/// Waits until every gateway says that it is ready.
async fn ready(arena: &Arena, clock: Clock, what: &str) -> Result<(), Violation> {
    let began = clock.now();
    while let Some(node) = arena.unready().await {
        if clock.now() - began > RECOVERY.as_millis() as u64 {
            let what = format!("not ready, or no answer, {RECOVERY:?} after {what}");
            return Err(Violation { kind: Kind::NotRecovered, at: began, who: node, what });
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// The parts of the testkit panic about what they awaited in vain, such as a gateway or a Redis that does not come up:
/// here that is a finding like any other, and everything is written down.
async fn caught<T>(clock: Clock, what: &str, future: impl Future<Output = T>) -> Result<T, Violation> {
    let at = clock.now();
    let outcome = AssertUnwindSafe(future).catch_unwind().await;
    outcome.map_err(|panic| {
        let what = format!("{what}: {}", message(&*panic));
        Violation { kind: Kind::NotRecovered, at, who: "the cluster".into(), what }
    })
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

/// Waits until every message has its `ok`, and everyone stands where the logs end.
async fn settled(crowd: &Crowd, arena: &Arena, clock: Clock) -> Result<(), Violation> {
    awaited(clock, "the last ok", || crowd.unsettled()).await?;
    let logs = caught(clock, "the logs", async { arena.room_logs() }).await?;
    awaited(clock, "the end of the logs", || crowd.behind(&logs)).await
}

/// Looks until nothing is in the way any more.
async fn awaited(clock: Clock, what: &str, in_the_way: impl Fn() -> Option<String>) -> Result<(), Violation> {
    let began = clock.now();
    let look = async {
        while in_the_way().is_some() {
            sleep(LOOK).await;
        }
    };
    timeout(RECOVERY, look).await.map_err(|_| Violation {
        kind: Kind::NotRecovered,
        at: began,
        who: in_the_way().unwrap_or_default().into(),
        what: format!("{what} was not seen within {RECOVERY:?}"),
    })
}

/// Writes everything down that helps to see why.
fn write(options: &Options, arena: &Arena, histories: &[History], done: &[Done], violations: &[Violation]) {
    let directory = options.artifacts.join(options.seed.to_string());
    // What an earlier run with this seed left would be taken for this one's.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the artifacts can be written");
    let put = |name: &str, text: String| write_file(&directory, name, &text);
    for history in histories {
        put(&format!("{}.jsonl", history.user), history.lines());
    }
    for (index, (node, log)) in arena.gateway_logs().into_iter().enumerate() {
        put(&format!("{node}-{index}.log"), log);
    }
    let lines = |lines: Vec<String>| lines.join("\n");
    put("faults.txt", lines(done.iter().map(|it| format!("{it:?}")).collect()));
    put("violations.txt", lines(violations.iter().map(ToString::to_string).collect()));
}

fn write_file(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text).expect("the artifacts can be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_awaited_in_vain_is_a_finding_and_ends_nothing() {
        let never = async { panic!("waited for {}, in vain", "a gateway") };
        let found = caught::<()>(Clock::start(), "gateway: SIGKILL", never).await.unwrap_err();
        assert_eq!(found.kind, Kind::NotRecovered);
        assert_eq!(found.what, "gateway: SIGKILL: waited for a gateway, in vain");
        assert!(caught(Clock::start(), "nothing", async {}).await.is_ok());
    }
}
