//! What `chorus plan` reckons with where nothing else here measures it, and how well it then predicts a cluster.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use swarm::plan::Plan;
use swarm::run::{Outcome, Step};
use swarm::sample;

use super::appends::said;
use super::matrix::{Scale, open, plan, warmed};
use super::results::{Record, Results};
use super::servers::{Behind, Fleet, Kind, LOAD_CORE, Programs, pinned};
use super::special::{figures, record};

/// What an append costs a Redis that has a core for itself, by how many come in a second and how many nodes hear of each.
pub(crate) fn redis(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    for nodes in [1.0, 2.0, 4.0] {
        for rate in [200.0, 1000.0, 4000.0, 10_000.0] {
            let fleet = Fleet::start(programs, Kind::Chorus, 0, Behind::RedisApart, "")?;
            let (port, pid) = (fleet.redis.unwrap_or_default(), fleet.processes[0].pid);
            let mut program = pinned(LOAD_CORE, programs.appends());
            program.arg(format!("redis://127.0.0.1:{port}"));
            program.args([100.0, rate, nodes, scale.seconds].map(|number| number.to_string()));
            let cpu = between(&mut program, || sample::process(pid).cpu_s)?;
            eprintln!("  {nodes} nodes, {rate} messages/s: {cpu:.1} µs");
            results.add(Record {
                figures: figures(&[("redis cpu us", cpu)]),
                ..record("redis", &format!("{nodes} nodes"), rate)
            })?;
        }
    }
    Ok(())
}

/// How much of something was used for each of the things that a program did between the lines `begin` and `end HOW MANY`,
/// in millionths.
fn between(program: &mut Command, used: impl Fn() -> f64) -> Result<f64, String> {
    let child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("{program:?}: {error}"))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut each = Err("it did not come to its end".to_owned());
    let mut before = 0.0;
    while let Some(Ok(line)) = lines.next() {
        match line.split_once(' ') {
            None if line == "begin" => before = used(),
            Some(("end", count)) => {
                let spent = used() - before;
                each =
                    count.parse::<f64>().map(|count| spent * 1e6 / count).map_err(|error| error.to_string());
                // It waits for that, so that its leaving is not counted.
                drop(child.stdin.take());
            }
            _ => eprintln!("  {line}"),
        }
    }
    child.wait().map_err(|error| error.to_string())?;
    each
}

/// What a ping and its pong cost a node: ten thousand silent connections that get one every second, and hardly ever one.
pub(crate) fn heartbeat(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let connections = if scale.brief { 2000 } else { 10_000 };
    let step = Step { rate: 0.0, seconds: 4.0 * scale.seconds, drain: 0.0, storm: false };
    let spent = |interval_ms: u32| -> Result<f64, String> {
        let lines = format!("[heartbeat]\ninterval_ms = {interval_ms}");
        let fleet = Fleet::start(programs, Kind::Chorus, 1, Behind::Nothing, &lines)?;
        let mut run = open(programs, &fleet, Kind::Chorus, plan(connections, 1000, 1))?;
        // Until everybody has heard who is there.
        run.play(Step { seconds: 3.0, ..step })?;
        Ok(run.play(step)?.servers.iter().map(|server| server.cpu_s).sum())
    };
    let (beating, silent) = (spent(1000)?, spent(600_000)?);
    let each = (beating - silent) * 1e6 / (f64::from(connections) * step.seconds);
    eprintln!("  {each:.1} µs each");
    results.add(Record {
        figures: figures(&[("cpu us each", each)]),
        ..record("heartbeat", Kind::Chorus.name(), f64::from(connections))
    })
}

/// Two crowds on three nodes, beside what `chorus plan` says of them: a hundred rooms of 25, and of 10.
///
/// The nodes share a core with Redis in one run, as in all other tables; in the other Redis has one for itself, as it
/// should have where it is near its end.
pub(crate) fn model(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    const NODES: u32 = 3;
    const ROOMS: u32 = 100;
    for (behind, beside) in [(Behind::Redis, "beside Redis"), (Behind::RedisApart, "Redis apart")] {
        for (members, rates) in [(25, [500.0, 1000.0]), (10, [1000.0, 2000.0])] {
            let crowd = plan(members * ROOMS, ROOMS, 1);
            let fleet = Fleet::start(programs, Kind::Chorus, NODES as usize, behind, "")?;
            let mut run = open(programs, &fleet, Kind::Chorus, crowd.clone())?;
            let step = Step { rate: 0.0, seconds: 4.0 * scale.seconds, drain: 10.0, storm: false };
            // Handshakes, and who is there, are no part of it.
            run.play(step)?;
            for rate in rates {
                let outcome = warmed(&mut run, Step { rate, ..step })?;
                let planned = planned(programs, &crowd, NODES, rate)?;
                let measured = measured(&outcome);
                for (part, measured, planned) in [
                    ("nodes", measured.0, number(&planned["node"]["cores"])? * f64::from(NODES)),
                    ("Redis", measured.1, number(&planned["redis_cores"])?),
                ] {
                    let planned = planned * 1e6 / rate;
                    eprintln!(
                        "  {members}, {beside}, {rate} messages/s, {part}: {measured:.0} µs, planned {planned:.0}"
                    );
                    results.add(Record {
                        figures: figures(&[("measured us", measured), ("planned us", planned)]),
                        ..record("model", &format!("{part}, rooms of {members}, {beside}"), rate)
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// What the nodes and what Redis paid for a message, in microseconds.
fn measured(outcome: &Outcome) -> (f64, f64) {
    let each = 1e6 / (outcome.rate * outcome.seconds);
    let (redis, nodes) = outcome.servers.split_at(1);
    (nodes.iter().map(|node| node.cpu_s).sum::<f64>() * each, redis[0].cpu_s * each)
}

/// What `chorus plan` says.
fn planned(programs: &Programs, crowd: &Plan, nodes: u32, rate: f64) -> Result<Value, String> {
    let mut program = Command::new(programs.chorus());
    program.arg("plan").arg("--json").args(["--turnover", "0"]);
    for (flag, value) in [
        ("--users", f64::from(crowd.connections)),
        ("--rooms", f64::from(crowd.rooms)),
        ("--bytes", f64::from(crowd.size)),
        ("--nodes", f64::from(nodes)),
        ("--rate", rate),
    ] {
        program.args([flag, &value.to_string()]);
    }
    serde_json::from_str(&said(&mut program)?).map_err(|error| error.to_string())
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{value}: no number"))
}
