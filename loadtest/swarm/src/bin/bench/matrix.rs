//! The workloads, and who carries each.

use std::collections::BTreeMap;

use swarm::plan::Plan;
use swarm::run::{Layout, Outcome, Run, Step};
use swarm::table;

use super::results::{Record, Results};
use super::servers::{Behind, Fleet, Kind, LOAD_CORE, Programs, SECRET};
use super::special;

/// A rate is carried when nothing is missing and the slowest in a hundred deliveries took no longer, in microseconds.
pub(crate) const CARRIED_P99: u64 = 100_000;

/// How thorough a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Rounds of each workload.
    pub rounds: u32,
    /// Seconds of each rate.
    pub seconds: f64,
    /// Whether the longest parts are left out.
    pub brief: bool,
}

impl Scale {
    /// Minutes.
    pub(crate) fn quick() -> Self {
        Self { rounds: 1, seconds: 2.0, brief: true }
    }

    /// As the tables are made.
    pub(crate) fn full() -> Self {
        Self { rounds: 5, seconds: 3.0, brief: false }
    }
}

/// A crowd, at rising rates, against some servers in turn.
struct Workload {
    name: &'static str,
    plan: fn() -> Plan,
    /// Messages a second.
    rates: &'static [f64],
    servers: &'static [Kind],
    /// Servers.
    nodes: usize,
    behind: Behind,
    /// Whether the first rate that is not carried is the last one that is tried.
    until_full: bool,
}

const ALL: &[Kind] = &[
    Kind::Floor,
    Kind::Chorus,
    Kind::Socketioxide,
    Kind::Sockudo,
    Kind::Centrifuge,
    Kind::Ws,
    Kind::SocketIo,
];

/// Without those who only set a scale.
const CHATS: &[Kind] =
    &[Kind::Chorus, Kind::Socketioxide, Kind::Sockudo, Kind::Centrifuge, Kind::Ws, Kind::SocketIo];

const CLUSTERED: &[Kind] = &[Kind::Chorus, Kind::Centrifuge, Kind::SocketIo, Kind::SocketIoSharded];

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "one-room",
        plan: || plan(1000, 1, 1),
        rates: &[20.0],
        servers: ALL,
        nodes: 1,
        behind: Behind::Nothing,
        until_full: false,
    },
    Workload {
        name: "one-room-rising",
        plan: || plan(1000, 1, 1),
        rates: &[20.0, 40.0, 60.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0],
        servers: CHATS,
        nodes: 1,
        behind: Behind::Nothing,
        until_full: true,
    },
    Workload {
        name: "one-room-2k",
        plan: || Plan { size: 2048, ..plan(1000, 1, 1) },
        rates: &[20.0, 100.0, 200.0],
        servers: CHATS,
        nodes: 1,
        behind: Behind::Nothing,
        until_full: true,
    },
    Workload {
        name: "ten-thousand",
        plan: || plan(10_000, 1, 1),
        rates: &[2.0, 10.0, 100.0, 200.0],
        servers: &[Kind::Chorus],
        nodes: 1,
        behind: Behind::Nothing,
        until_full: true,
    },
    Workload {
        name: "thousand-rooms",
        plan: || Plan { senders: 10, ..plan(10_000, 1000, 1) },
        rates: &[500.0, 1000.0, 2000.0, 3500.0, 5000.0, 10_000.0],
        servers: ALL,
        nodes: 1,
        behind: Behind::Nothing,
        until_full: true,
    },
    Workload {
        name: "twenty-rooms",
        plan: || plan(2000, 100, 20),
        rates: &[50.0, 250.0, 1000.0],
        servers: CHATS,
        nodes: 1,
        behind: Behind::Nothing,
        until_full: true,
    },
    Workload {
        name: "two-nodes",
        plan: || plan(1000, 100, 1),
        rates: &[1000.0],
        servers: CLUSTERED,
        nodes: 2,
        behind: Behind::Redis,
        until_full: false,
    },
    Workload {
        name: "three-nodes",
        plan: || plan(1000, 100, 1),
        rates: &[1000.0],
        servers: CLUSTERED,
        nodes: 3,
        behind: Behind::Redis,
        until_full: false,
    },
];

/// So many connections, evenly over rooms, one sender in each.
pub(crate) fn plan(connections: u32, rooms: u32, rooms_each: u32) -> Plan {
    Plan {
        // Both are the fleet's to say, and this the run's.
        dialect: Kind::Chorus.dialect(),
        targets: Vec::new(),
        first_port: 0,
        ca: None,
        secret: SECRET.to_owned(),
        connections,
        rooms,
        prefix: "r".to_owned(),
        rooms_each,
        senders: 1,
        size: 128,
        slow: 0,
        silent: 0,
        in_flight: 128,
        resume: false,
        closed_loop: false,
    }
}

/// Measures those of the workloads that are asked for, or all of them.
///
/// # Errors
/// When there is no such workload. What fails in one is told, and the others go on.
pub(crate) fn measure(
    programs: &Programs,
    scale: Scale,
    only: &[String],
    results: &mut Results,
) -> Result<(), String> {
    let names: Vec<&str> = WORKLOADS.iter().map(|it| it.name).chain(special::names()).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("--only {unknown}: expected some of {}", names.join(",")));
    }
    let asked = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    for workload in WORKLOADS.iter().filter(|it| asked(it.name)) {
        results.forget(workload.name);
        for round in 1..=scale.rounds {
            for &kind in workload.servers {
                eprintln!("{}, {}, round {round} of {}", workload.name, kind.name(), scale.rounds);
                if let Err(reason) = play(programs, workload, kind, scale, results) {
                    // The others go on: a server that does not come up, or lets somebody wait, is a result too.
                    eprintln!("  left out: {reason}");
                }
            }
        }
    }
    special::measure(programs, scale, asked, results);
    Ok(())
}

/// One server, all rates.
fn play(
    programs: &Programs,
    workload: &Workload,
    kind: Kind,
    scale: Scale,
    results: &mut Results,
) -> Result<(), String> {
    let fleet = Fleet::start(programs, kind, workload.nodes, workload.behind, "")?;
    let mut run = open(programs, &fleet, kind, (workload.plan)())?;
    for &rate in workload.rates {
        let outcome = warmed(&mut run, Step { rate, seconds: scale.seconds, drain: 10.0, storm: false })?;
        eprintln!("{}", table::line(&outcome));
        let full = !is_carried(&outcome);
        results.add(Record {
            workload: workload.name.to_owned(),
            server: kind.name().to_owned(),
            at: rate,
            outcome: Some(outcome),
            figures: BTreeMap::new(),
        })?;
        if full && workload.until_full {
            break;
        }
    }
    Ok(())
}

/// Plays a step, and a second of it before: the server's caches, the allocator's pools and a compiler's first guesses are
/// not what is asked.
pub(crate) fn warmed(run: &mut Run, step: Step) -> Result<Outcome, String> {
    run.play(Step { seconds: 1.0, ..step })?;
    run.play(step)
}

/// Connects a crowd to a fleet.
///
/// # Errors
/// When it cannot be connected.
pub(crate) fn open(programs: &Programs, fleet: &Fleet, kind: Kind, plan: Plan) -> Result<Run, String> {
    let plan = Plan { dialect: kind.dialect(), targets: fleet.targets.clone(), ..plan };
    let layout = Layout { workers: 1, core: Some(LOAD_CORE) };
    Run::open(&programs.swarm(), &plan, &layout, &fleet.processes)
}

/// Whether a server was up to what it was offered.
pub(crate) fn is_carried(outcome: &Outcome) -> bool {
    let counts = &outcome.counts;
    counts.delivered >= counts.expected
        && counts.wrong() == 0
        && counts.closed == 0
        && outcome.latency.p99 <= CARRIED_P99
}
