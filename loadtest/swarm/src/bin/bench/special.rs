//! What is not a rate: idle connections, storms, readers that stall, pairs, how cost grows.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Pid, setpriority_process};
use swarm::plan::Plan;
use swarm::run::{Cost, Layout, Run, Step};
use swarm::sample;

use super::matrix::{Scale, open, plan, warmed};
use super::results::{Record, Results};
use super::servers::{Behind, Fleet, Kind, LOAD_CORE, Programs};
use super::{appends, prices};

/// A workload of its own kind, and how one round of it goes.
type Special = (&'static str, fn(&Programs, Scale, &mut Results) -> Result<(), String>);

const SPECIALS: &[Special] = &[
    ("idle", idle),
    ("storm", storm),
    ("stalled", stalled),
    ("slow", slow),
    ("history", history),
    ("pair", pair),
    ("members", members),
    ("rooms", rooms),
    ("ten-rooms-each", ten_rooms_each),
    ("beside", beside),
    ("appends", appends::measure),
    ("redis", prices::redis),
    ("heartbeat", prices::heartbeat),
    ("model", prices::model),
    ("million", million),
];

/// As many connections as one process may hold here, with some files left for itself.
const PER_PROCESS: u32 = 19_500;

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SPECIALS.iter().map(|(name, _)| *name)
}

/// Measures those that are asked for.
pub(crate) fn measure(
    programs: &Programs,
    scale: Scale,
    asked: impl Fn(&str) -> bool,
    results: &mut Results,
) {
    for (name, round) in SPECIALS.iter().filter(|(name, _)| asked(name)) {
        results.forget(name);
        // A million takes too long to be done again and again.
        let rounds = if *name == "million" { 1 } else { scale.rounds };
        for number in 1..=rounds {
            eprintln!("{name}, round {number} of {rounds}");
            if let Err(reason) = round(programs, scale, results) {
                eprintln!("  left out: {reason}");
            }
        }
    }
}

pub(crate) fn figures(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

pub(crate) fn record(workload: &str, server: &str, at: f64) -> Record {
    Record {
        workload: workload.to_owned(),
        server: server.to_owned(),
        at,
        outcome: None,
        figures: BTreeMap::new(),
    }
}

/// How long after all have gone it is seen what a server still holds.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// Connections that are in one room each and say nothing: how fast they come, what they hold, and what stays of it.
fn idle(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let connections = if scale.brief { 2000 } else { PER_PROCESS };
    for kind in [Kind::Floor, Kind::Chorus, Kind::Socketioxide, Kind::Centrifuge, Kind::Ws, Kind::SocketIo] {
        let fleet = Fleet::start(programs, kind, 1, Behind::Nothing, "")?;
        let crowd = Plan { rooms_each: 0, senders: 0, ..plan(connections, 1950, 1) };
        let Some(run) = unless_it_fails(kind, open(programs, &fleet, kind, crowd)) else { continue };
        let (alone, alone_s) = run.opened();
        drop((run, fleet));
        let fleet = Fleet::start(programs, kind, 1, Behind::Nothing, "")?;
        let pid = fleet.processes[0].pid;
        let before = sample::process(pid);
        let sockets = sample::socket_memory();
        let crowd = plan(connections, 1950, 1);
        let Some(run) = unless_it_fails(kind, open(programs, &fleet, kind, crowd)) else { continue };
        let after = sample::process(pid);
        let (live, seconds) = run.opened();
        let per = |after: u64, before: u64| (after as f64 - before as f64) / live as f64;
        eprintln!(
            "  {}: {:.0} B each, {:.0}/s",
            kind.name(),
            per(after.rss, before.rss),
            live as f64 / seconds
        );
        let buffers = sample::socket_memory();
        drop(run);
        std::thread::sleep(AFTERWARDS);
        let left = sample::process(pid);
        results.add(Record {
            figures: figures(&[
                ("connections", live as f64),
                ("handshakes per second", alone as f64 / alone_s),
                ("and joins per second", live as f64 / seconds),
                ("cpu us of both", (after.cpu_s - before.cpu_s) * 1e6 / live as f64),
                ("resident bytes each", per(after.rss, before.rss)),
                ("resident bytes afterwards", per(left.rss, before.rss)),
                ("socket buffer bytes each", per(buffers, sockets)),
            ]),
            ..record("idle", kind.name(), f64::from(connections))
        })?;
    }
    Ok(())
}

/// A crowd, unless the server let some of it wait.
fn unless_it_fails(kind: Kind, opened: Result<Run, String>) -> Option<Run> {
    opened.inspect_err(|reason| eprintln!("  {} left out: {reason}", kind.name())).ok()
}

/// Everyone is cut at once and comes back from its position, while messages go on.
fn storm(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let connections = if scale.brief { 2000 } else { 10_000 };
    let fleet = Fleet::start(programs, Kind::Chorus, 1, Behind::Redis, "")?;
    let crowd = Plan { resume: true, in_flight: 512, ..plan(connections, 100, 1) };
    let mut run = open(programs, &fleet, Kind::Chorus, crowd)?;
    let quiet = Step { rate: 500.0, seconds: 2.0, drain: 10.0, storm: false };
    run.play(quiet)?;
    let before = fleet.redis_calls()?;
    let outcome = run.play(Step { storm: true, drain: 20.0, seconds: 3.0, ..quiet })?;
    let calls = |calls: &[(String, u64)], name: &str| {
        calls.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count)
    };
    let after = fleet.redis_calls()?;
    let ranges = calls(&after, "xrange") - calls(&before, "xrange");
    eprintln!("  back after {:.2} s, {ranges} reads of the log", outcome.counts.back_s);
    results.add(Record {
        figures: figures(&[
            ("back after s", outcome.counts.back_s),
            ("log reads", ranges as f64),
            ("missing", outcome.counts.expected as f64 - outcome.counts.delivered as f64),
        ]),
        outcome: Some(outcome),
        ..record("storm", Kind::Chorus.name(), f64::from(connections))
    })
}

/// Two hundred members, with and without twenty that never read.
fn stalled(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let crowd = |silent| Plan { size: 2048, silent, ..plan(180 + silent, 1, 1) };
    held_up(programs, scale, results, "stalled", 20, crowd)
}

/// Two hundred members, with and without two in their place that read a kilobyte a second.
fn slow(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let scale = Scale { seconds: 4.0 * scale.seconds, ..scale };
    held_up(programs, scale, results, "slow", 2, |slow| Plan { size: 2048, slow, ..plan(200, 1, 1) })
}

/// A room with and without so many of its members that do not keep up.
fn held_up(
    programs: &Programs,
    scale: Scale,
    results: &mut Results,
    workload: &str,
    behind: u32,
    crowd: impl Fn(u32) -> Plan,
) -> Result<(), String> {
    for kind in [Kind::Chorus, Kind::Centrifuge, Kind::Ws, Kind::SocketIo] {
        for behind in [0, behind] {
            let fleet = Fleet::start(programs, kind, 1, Behind::Nothing, "")?;
            let pid = fleet.processes[0].pid;
            let mut run = open(programs, &fleet, kind, crowd(behind))?;
            let (before, sockets) = (sample::process(pid), sample::socket_memory());
            let step = Step { rate: 100.0, seconds: scale.seconds, drain: 5.0, storm: false };
            let outcome = run.play(step)?;
            let memory =
                (sample::process(pid).rss + sample::socket_memory()) as f64 - (before.rss + sockets) as f64;
            eprintln!("  {}, {behind} behind: p99 {} µs", kind.name(), outcome.latency.p99);
            results.add(Record {
                figures: figures(&[("memory bytes", memory)]),
                outcome: Some(outcome),
                ..record(workload, kind.name(), f64::from(behind))
            })?;
        }
    }
    Ok(())
}

/// The two nodes of the table "two-nodes", with and without the history of rooms. Chorus' log can't be turned off: it then
/// keeps one event.
fn history(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    for (kind, lines, name) in [
        (Kind::Chorus, "", "chorus, 1,000 events"),
        (Kind::Chorus, "[history]\nlength = 1", "chorus, one event"),
        (Kind::Centrifuge, "", "centrifuge, 1,000 events"),
        (Kind::CentrifugeForgetful, "", Kind::CentrifugeForgetful.name()),
    ] {
        let fleet = Fleet::start(programs, kind, 2, Behind::Redis, lines)?;
        let mut run = open(programs, &fleet, kind, plan(1000, 100, 1))?;
        let step = Step { rate: 1000.0, seconds: scale.seconds, drain: 10.0, storm: false };
        let outcome = warmed(&mut run, step)?;
        eprintln!("  {name}: {:.2} µs", outcome.cpu_us);
        results.add(Record { outcome: Some(outcome), ..record("history", name, step.rate) })?;
    }
    Ok(())
}

/// One who sends and one who receives; beside it, two sockets that echo a byte string of the same length.
fn pair(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let echo = echo_median(if scale.brief { 2000 } else { 20_000 })?;
    results
        .add(Record { figures: figures(&[("median us", echo)]), ..record("pair", "a bare TCP echo", 1.0) })?;
    for kind in [Kind::Floor, Kind::Chorus, Kind::Socketioxide, Kind::Centrifuge, Kind::Ws, Kind::SocketIo] {
        let fleet = Fleet::start(programs, kind, 1, Behind::Nothing, "")?;
        let crowd = Plan { closed_loop: true, ..plan(1, 1, 1) };
        let mut run = open(programs, &fleet, kind, crowd)?;
        let step = Step { rate: 0.0, seconds: scale.seconds, drain: 5.0, storm: false };
        run.play(Step { seconds: 0.5, ..step })?;
        let outcome = run.play(step)?;
        eprintln!("  {}: median {} µs; a bare echo {echo:.0} µs", kind.name(), outcome.latency.p50);
        results.add(Record {
            figures: figures(&[("median us", outcome.latency.p50 as f64)]),
            outcome: Some(outcome),
            ..record("pair", kind.name(), 1.0)
        })?;
    }
    Ok(())
}

/// The median of so many echoes over TCP between two threads on the two cores, in microseconds.
fn echo_median(count: usize) -> Result<f64, String> {
    let text = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
    let addr = listener.local_addr().map_err(text)?;
    let server = std::thread::spawn(move || -> Result<(), String> {
        sample::stay_on(0)?;
        let (mut socket, _) = listener.accept().map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        let mut bytes = [0; 128];
        while socket.read_exact(&mut bytes).is_ok() {
            socket.write_all(&bytes).map_err(text)?;
        }
        Ok(())
    });
    let client = std::thread::spawn(move || -> Result<Vec<f64>, String> {
        sample::stay_on(LOAD_CORE)?;
        let mut socket = TcpStream::connect(addr).map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        let mut bytes = [7; 128];
        let mut echoes = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            socket.write_all(&bytes).map_err(text)?;
            socket.read_exact(&mut bytes).map_err(text)?;
            echoes.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok(echoes)
    });
    let ended = |_| "a thread of the echo ended".to_owned();
    let mut echoes = client.join().map_err(ended)??;
    server.join().map_err(ended)??;
    echoes.sort_by(f64::total_cmp);
    Ok(echoes[echoes.len() / 2])
}

/// The same twenty thousand deliveries a second to rooms of more and more members.
fn members(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    for members in [10, 100, 1000, 10_000, 19_000] {
        grown(programs, scale, results, "members", plan(members, 1, 1), members)?;
    }
    Ok(())
}

/// The same twenty thousand deliveries a second to more and more rooms of ten.
fn rooms(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    for rooms in [1, 10, 100, 1000, 1900] {
        grown(programs, scale, results, "rooms", plan(rooms * 10, rooms, 1), rooms)?;
    }
    Ok(())
}

/// The same to rooms of ten whose members are in ten of them: ten thousand rooms want no more sockets than that.
fn ten_rooms_each(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    for rooms in [10, 100, 1000, 10_000] {
        grown(programs, scale, results, "ten-rooms-each", plan(rooms, rooms, 10), rooms)?;
    }
    Ok(())
}

fn grown(
    programs: &Programs,
    scale: Scale,
    results: &mut Results,
    workload: &str,
    crowd: Plan,
    at: u32,
) -> Result<(), String> {
    let fleet = Fleet::start(programs, Kind::Chorus, 1, Behind::Nothing, "")?;
    let members = f64::from(crowd.connections * crowd.rooms_each / crowd.rooms);
    let mut run = open(programs, &fleet, Kind::Chorus, crowd)?;
    let step = Step { rate: 20_000.0 / members, seconds: scale.seconds, drain: 10.0, storm: false };
    let outcome = warmed(&mut run, step)?;
    eprintln!("  {workload} {at}: {:.2} µs", outcome.cpu_us);
    results.add(Record { outcome: Some(outcome), ..record(workload, Kind::Chorus.name(), f64::from(at)) })
}

/// A room of two by itself, and beside one of nineteen thousand that gets a message a second. All but one of those leave
/// it in their sockets: nineteen thousand who read would keep the two's load generator, on the same core, from its messages.
fn beside(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let large = if scale.brief { 2000 } else { 19_000 };
    for with in [false, true] {
        let fleet = Fleet::start(programs, Kind::Chorus, 1, Behind::Nothing, "")?;
        let crowd = Plan { prefix: "large".to_owned(), silent: large - 1, ..plan(large, 1, 1) };
        let mut crowd = open(programs, &fleet, Kind::Chorus, crowd)?;
        let mut two = open(programs, &fleet, Kind::Chorus, plan(2, 1, 1))?;
        let step = Step { rate: 200.0, seconds: scale.seconds, drain: 10.0, storm: false };
        let flushed = Step { rate: if with { 1.0 } else { 0.0 }, ..step };
        let outcome = std::thread::scope(|scope| {
            let crowd = scope.spawn(move || crowd.play(flushed));
            let outcome = two.play(step);
            crowd.join().map_err(|_| "the crowd's thread ended".to_owned())??;
            outcome
        })?;
        let members = if with { large } else { 0 };
        eprintln!("  beside {members}: p50 {} µs, p99 {} µs", outcome.latency.p50, outcome.latency.p99);
        results.add(Record {
            outcome: Some(outcome),
            ..record("beside", Kind::Chorus.name(), f64::from(members))
        })?;
    }
    Ok(())
}

/// A million members of one cluster: as many gateways and load generators as the limit of files asks for. A message
/// goes to all of them in one room, then messages to a hundred rooms.
fn million(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let connections: u32 = if scale.brief { 20_000 } else { 1_000_000 };
    // Half a minute between pings is for proxies, of which there are none. A hundred crowds that grow are each told their
    // number every three seconds, which is a third of a million frames a second at the end: two cores have no time for
    // that, and half a minute will do. One crowd of a million is told more rarely by itself.
    let heartbeat = "[heartbeat]\ninterval_ms = 300000";
    let calm = format!("{heartbeat}\n[presence]\ngather_ms = 3000");
    for (rooms, lines) in [(1, heartbeat), (100, &*calm)] {
        let gateways = connections.div_ceil(PER_PROCESS);
        let fleet = Fleet::start(programs, Kind::Chorus, gateways as usize, Behind::Redis, lines)?;
        // A hundred others want its core, and where a million are connected it has one of its own.
        let redis = Pid::from_raw(fleet.processes[0].pid.cast_signed());
        if let Err(error) = setpriority_process(redis, -15) {
            eprintln!(
                "  Redis has no more of its core than each of the others (root could give it more): {error}"
            );
        }
        let crowd = Plan {
            dialect: Kind::Chorus.dialect(),
            targets: fleet.targets.clone(),
            in_flight: 8,
            ..plan(connections, rooms, 1)
        };
        let layout = Layout { workers: gateways, core: None };
        let mut run = Run::open(&programs.swarm(), &crowd, &layout, &fleet.processes)?;
        let (live, opened) = run.opened();
        eprintln!("  {live} connections on {gateways} gateways in {opened:.0} s");
        let step = Step { rate: f64::from(rooms), seconds: 1.0, drain: 120.0, storm: false };
        let outcome = run.play(step)?;
        eprintln!("  {rooms} rooms: the last delivery after {} ms", outcome.latency.max / 1000);
        let all = |figure: fn(&Cost) -> f64| outcome.servers.iter().skip(1).map(figure).sum::<f64>();
        results.add(Record {
            figures: figures(&[
                ("connections", live as f64),
                ("gateways", f64::from(gateways)),
                ("opened s", opened),
                ("joins put off", outcome.put_off as f64),
                ("last delivery ms", outcome.latency.max as f64 / 1000.0),
                ("missing", outcome.counts.expected as f64 - outcome.counts.delivered as f64),
                ("gateways resident MB", all(|it| it.pss as f64) / 1e6),
                ("gateways cpu s", all(|it| it.cpu_s)),
                ("redis resident MB", outcome.servers[0].rss as f64 / 1e6),
                ("redis cpu s", outcome.servers[0].cpu_s),
                ("load generator cpu s", outcome.counts.cpu_s),
                ("socket buffers MB", outcome.socket_memory as f64 / 1e6),
                ("memory in use MB", sample::memory_in_use() as f64 / 1e6),
            ]),
            outcome: Some(outcome),
            ..record("million", &format!("{rooms} rooms"), f64::from(rooms))
        })?;
    }
    Ok(())
}
