//! What an append costs Redis, and how much of that rate comes through the bus.

use std::process::{Command, Stdio};

use swarm::sample;

use super::matrix::Scale;
use super::results::{Record, Results};
use super::servers::{Behind, Fleet, Kind, LOAD_CORE, Programs, pinned};
use super::special::{figures, record};

/// What any server does that numbers, keeps and publishes messages and knows them again: the least that it could cost.
const BARE: &str = "redis.call('SET', KEYS[3] .. ARGV[9], '1', 'NX', 'PX', ARGV[7])
local seq = redis.call('HINCRBY', KEYS[1], 's', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], seq .. '-0', 'e', ARGV[10])
redis.call('PUBLISH', ARGV[2], ARGV[10])
return seq";

/// Calls under way on each of the benchmark's four connections.
const PIPELINE: &str = "64";

/// The function that appends and the bare script under redis-benchmark, then appends through the bus.
pub(crate) fn measure(programs: &Programs, scale: Scale, results: &mut Results) -> Result<(), String> {
    let calls = if scale.brief { 50_000 } else { 200_000 };
    let library = said(Command::new(programs.appends()).arg("library"))?;
    let function = said(Command::new(programs.appends()).arg("function"))?;
    let own = ("function", library, "FCALL");
    for (name, (kind, text, call)) in
        [("the function", own), ("bare", ("script", BARE.to_owned(), "EVALSHA"))]
    {
        let fleet = Fleet::start(programs, Kind::Chorus, 0, Behind::Redis, "")?;
        let port = fleet.redis.unwrap_or_default().to_string();
        let pid = fleet.processes[0].pid;
        let loaded = said(Command::new("redis-cli").args(["-p", &port, kind, "load", &text]))?;
        let called = if kind == "function" { function.trim() } else { loaded.trim() };
        let before = sample::process(pid).cpu_s;
        let calls_text = calls.to_string();
        let rate = said(
            pinned(LOAD_CORE, "redis-benchmark")
                .args(["-p", &port, "-n", &calls_text])
                .args(["-c", "4", "-P", PIPELINE, "-r", "100000000", "--csv", call, called, "3"])
                .args(["{chat:r}:head", "{chat:r}:log", "{chat:r}:ids", "PUBLISH", "chat:r", "base"])
                // Length of the log, its life, the head's and the ids', no traces; then a key and an entry.
                .args(["1000", "604800000", "2592000000", "300000", "", "u:__rand_int__", &"x".repeat(180)]),
        )?;
        let cpu = (sample::process(pid).cpu_s - before) * 1e6 / f64::from(calls);
        // The last line: the command, then calls a second, all in quotes.
        let per_second =
            rate.lines().last().and_then(|line| line.rsplit("\",\"").nth(6)?.parse::<f64>().ok());
        let per_second = per_second.ok_or_else(|| format!("redis-benchmark said {rate}"))?;
        eprintln!("  {name}: {per_second:.0}/s, {cpu:.1} µs");
        results.add(Record {
            figures: figures(&[("appends per second", per_second), ("redis cpu us", cpu)]),
            ..record("appends", name, 1.0)
        })?;
    }
    through_the_bus(programs, results)
}

/// One node with 256 appends under way, to one room and to a hundred.
fn through_the_bus(programs: &Programs, results: &mut Results) -> Result<(), String> {
    let fleet = Fleet::start(programs, Kind::Chorus, 0, Behind::Redis, "")?;
    let (port, pid) = (fleet.redis.unwrap_or_default(), fleet.processes[0].pid);
    for rooms in [1, 100] {
        let before = sample::process(pid).cpu_s;
        let (url, text) = (format!("redis://127.0.0.1:{port}"), rooms.to_string());
        let lines = said(pinned(LOAD_CORE, programs.appends()).args([&url, &text]))?;
        let last = lines.lines().last().and_then(|line| line.split_once(' '));
        let Some((Ok(appended), Ok(per_second))) =
            last.map(|(one, two)| (one.parse::<f64>(), two.parse::<f64>()))
        else {
            return Err(format!("appends said {lines}"));
        };
        let cpu = (sample::process(pid).cpu_s - before) * 1e6 / appended;
        eprintln!("  through the bus, {rooms} rooms: {per_second:.0}/s, {cpu:.1} µs");
        results.add(Record {
            figures: figures(&[("appends per second", per_second), ("redis cpu us", cpu)]),
            ..record("appends", &format!("through the bus, rooms: {rooms}"), f64::from(rooms))
        })?;
    }
    Ok(())
}

/// What a program printed.
pub(crate) fn said(program: &mut Command) -> Result<String, String> {
    let output = program.stdin(Stdio::null()).output().map_err(|error| format!("{program:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
