//! `docs/PERFORMANCE.md` and `docs/SCALING.md`: their words are written by hand, their tables and plots are put between
//! marks, `<!-- table: NAME -->` and `<!-- end -->`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::matrix::{CARRIED_P99, is_carried};
use super::plot::Plot;
use super::results::{Record, Results, Spread, same};

/// Where there are tables.
const PAGES: [&str; 2] = ["PERFORMANCE.md", "SCALING.md"];

/// Writes the plots beside the results, and the tables into the pages, or beside them if that is a quick run's place.
///
/// # Errors
/// When a file cannot be read or written, or a mark is wrong.
pub(crate) fn write(root: &Path, docs: &Path, results: &Results) -> Result<(), String> {
    for name in PAGES {
        let source = root.join("docs").join(name);
        let page = fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        let page = fill(&page, |name| table(name, results))?;
        let target = if docs.starts_with(root.join("docs")) { source } else { docs.join(name) };
        put(&target, &page)?;
        eprintln!("written: {}", target.display());
    }
    for (file, plot) in plots(results).into_iter().filter(|(_, plot)| !plot.lines.is_empty()) {
        put(&docs.join(file), &plot.svg())?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Replaces what stands between the marks.
fn fill(page: &str, table: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once("<!-- table: ") {
        let (name, after) = after.split_once(" -->").ok_or("a mark is not closed")?;
        let (_, after) = after.split_once("<!-- end -->").ok_or_else(|| format!("no end of table {name}"))?;
        let made = table(name).ok_or_else(|| format!("there is no table {name}"))?;
        let _ = write!(out, "{before}<!-- table: {name} -->\n{made}<!-- end -->");
        rest = after;
    }
    Ok(out + rest)
}

/// A table by its name.
fn table(name: &str, results: &Results) -> Option<String> {
    if name != "machine" && results.of(name).next().is_none() {
        return Some("Not measured yet.\n".to_owned());
    }
    Some(match name {
        "machine" => machine(),
        "one-room" | "two-nodes" | "three-nodes" | "history" => costs(results, name),
        "one-room-rising" | "one-room-2k" | "thousand-rooms" | "twenty-rooms" => carried(results, name),
        "ten-thousand" => rates(results, name, "messages/s"),
        "members" => rates(results, name, "members"),
        "rooms" | "ten-rooms-each" => rates(results, name, "rooms of ten"),
        "idle" => named(
            results,
            name,
            &[
                "handshakes per second",
                "and joins per second",
                "cpu us of both",
                "resident bytes each",
                "resident bytes afterwards",
                "socket buffer bytes each",
            ],
        ),
        "pair" => named(results, name, &["median us"]),
        "storm" => named(results, name, &["back after s", "log reads", "missing"]),
        "million" => named(
            results,
            name,
            &[
                "connections",
                "gateways",
                "opened s",
                "joins put off",
                "last delivery ms",
                "missing",
                "gateways resident MB",
                "gateways cpu s",
                "redis cpu s",
                "load generator cpu s",
                "socket buffers MB",
                "memory in use MB",
            ],
        ),
        "stalled" | "slow" => held_up(results, name),
        "beside" => rates(results, name, "members of the large room"),
        "redis" => redis(results),
        "heartbeat" => named(results, name, &["cpu us each"]),
        "model" => model(results),
        "appends" => named(results, name, &["appends per second", "redis cpu us"]),
        _ => return None,
    })
}

fn cpu(record: &Record) -> Option<f64> {
    record.outcome.as_ref().map(|outcome| outcome.cpu_us)
}

fn p50(record: &Record) -> Option<f64> {
    record.outcome.as_ref().map(|outcome| outcome.latency.p50 as f64 / 1000.0)
}

fn p99(record: &Record) -> Option<f64> {
    record.outcome.as_ref().map(|outcome| outcome.latency.p99 as f64 / 1000.0)
}

fn per_second(record: &Record) -> Option<f64> {
    record.outcome.as_ref().map(|outcome| outcome.per_second)
}

fn arrived(record: &Record) -> Option<f64> {
    let counts = &record.outcome.as_ref()?.counts;
    Some(counts.delivered as f64 * 100.0 / counts.expected.max(1) as f64)
}

/// A median, and from where to where the rounds go.
fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |it| {
            if it.least.to_bits() == it.most.to_bits() {
                format!("{:.digits$}", it.median)
            } else {
                format!("{:.digits$} ({:.digits$}–{:.digits$})", it.median, it.least, it.most)
            }
        },
    )
}

/// Cost and latency of each server at one rate, beside the floor's or our own.
fn costs(results: &Results, workload: &str) -> String {
    let servers = results.servers(workload);
    let base = if servers.iter().any(|name| name == "floor") { "floor" } else { &servers[0] };
    let mut out = format!(
        "| server | CPU µs per delivery | × {base} | p50, ms | p99, ms | arrived, % |\n| --- | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for server in &servers {
        let Some(&at) = results.points(workload, server).first() else { continue };
        let of = |figure: fn(&Record) -> Option<f64>| results.spread(workload, server, at, figure);
        let ratio =
            of(cpu).zip(results.spread(workload, base, at, cpu)).map(|(one, base)| one.median / base.median);
        let _ = writeln!(
            out,
            "| {server} | {} | {} | {} | {} | {} |",
            shown(of(cpu), 2),
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            shown(of(p50), 2),
            shown(of(p99), 1),
            shown(of(arrived), 1),
        );
    }
    out
}

/// Whether a server carried a rate in more rounds than not.
fn carries(results: &Results, workload: &str, server: &str, at: f64) -> bool {
    let rounds = results.of(workload).filter(|record| record.server == server && same(record.at, at));
    let good = rounds.clone().filter(|record| record.outcome.as_ref().is_some_and(is_carried)).count();
    2 * good > rounds.count()
}

/// The highest rate that each server carries, and its cost there.
fn carried(results: &Results, workload: &str) -> String {
    let mut out = format!(
        "| server | highest rate carried, deliveries/s | CPU µs per delivery there | p50, ms | p99, ms (≤ {}) | the next rate |\n| --- | ---: | ---: | ---: | ---: | --- |\n",
        CARRIED_P99 / 1000
    );
    for server in &results.servers(workload) {
        let points = results.points(workload, server);
        let (good, bad): (Vec<f64>, Vec<f64>) =
            points.iter().partition(|at| carries(results, workload, server, **at));
        let of = |at, figure: fn(&Record) -> Option<f64>| results.spread(workload, server, at, figure);
        let next = bad.first().map_or_else(
            || "all that was offered was carried".to_owned(),
            |at| {
                format!(
                    "{:.0} messages/s: p99 {} ms, {} % arrived",
                    at,
                    shown(of(*at, p99), 0),
                    shown(of(*at, arrived), 1)
                )
            },
        );
        let best = good.last().copied();
        let at_best =
            |figure, digits| best.map_or_else(|| "–".to_owned(), |at| shown(of(at, figure), digits));
        let _ = writeln!(
            out,
            "| {server} | {} | {} | {} | {} | {next} |",
            at_best(per_second, 0),
            at_best(cpu, 3),
            at_best(p50, 1),
            at_best(p99, 1),
        );
    }
    out
}

/// Each point of one server.
fn rates(results: &Results, workload: &str, at: &str) -> String {
    let mut out = format!(
        "| {at} | deliveries/s | CPU µs per delivery | p50, ms | p99, ms | arrived, % |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for server in &results.servers(workload) {
        for at in results.points(workload, server) {
            let of = |figure: fn(&Record) -> Option<f64>| results.spread(workload, server, at, figure);
            let _ = writeln!(
                out,
                "| {at} | {} | {} | {} | {} | {} |",
                shown(of(per_second), 0),
                shown(of(cpu), 2),
                shown(of(p50), 2),
                shown(of(p99), 1),
                shown(of(arrived), 1),
            );
        }
    }
    out
}

/// Figures by their names.
fn named(results: &Results, workload: &str, names: &[&str]) -> String {
    let mut out = format!("| server | {} |\n| --- |{}\n", names.join(" | "), " ---: |".repeat(names.len()));
    for server in &results.servers(workload) {
        for at in results.points(workload, server) {
            let cell = |name: &&str| {
                let spread = results.spread(workload, server, at, figure(name));
                let digits = if spread.is_some_and(|it| it.median < 100.0) { 2 } else { 0 };
                shown(spread, digits)
            };
            let cells: Vec<String> = names.iter().map(cell).collect();
            let _ = writeln!(out, "| {server} | {} |", cells.join(" | "));
        }
    }
    out
}

/// The others' latency with and without those who do not keep up.
fn held_up(results: &Results, workload: &str) -> String {
    let mut out = String::from(
        "| server | p99 without them, ms | p99 with them, ms | ratio | memory for each of them, KiB |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    for server in &results.servers(workload) {
        let [none, some] = results.points(workload, server)[..] else { continue };
        let latency = |at| results.spread(workload, server, at, p99);
        let memory = |at| results.spread(workload, server, at, figure("memory bytes"));
        let (without, with) = (latency(none), latency(some));
        let ratio = with.zip(without).map(|(with, without)| with.median / without.median);
        let each =
            memory(some).zip(memory(none)).map(|(with, without)| (with.median - without.median) / some);
        let _ = writeln!(
            out,
            "| {server} | {} | {} | {} | {} |",
            shown(without, 1),
            shown(with, 1),
            ratio.map_or_else(|| "–".to_owned(), |it| format!("{it:.2}")),
            each.map_or_else(|| "–".to_owned(), |it| format!("{:.0}", it / 1024.0)),
        );
    }
    out
}

/// A figure by its name.
fn figure(name: &str) -> impl Fn(&Record) -> Option<f64> {
    move |record| record.figures.get(name).copied()
}

/// What a message costs Redis: a row for each number of nodes, a column for each rate.
fn redis(results: &Results) -> String {
    let servers = results.servers("redis");
    let rates = servers.first().map(|server| results.points("redis", server)).unwrap_or_default();
    let heads: Vec<String> = rates.iter().map(|rate| format!("{rate} messages/s")).collect();
    let mut out = format!("| heard by | {} |\n| --- |{}\n", heads.join(" | "), " ---: |".repeat(rates.len()));
    for server in &servers {
        let cell = |rate: &f64| shown(results.spread("redis", server, *rate, figure("redis cpu us")), 1);
        let cells: Vec<String> = rates.iter().map(cell).collect();
        let _ = writeln!(out, "| {server} | {} |", cells.join(" | "));
    }
    out
}

/// What was measured, and what the model says.
fn model(results: &Results) -> String {
    let mut out = String::from(
        "| µs a message | messages/s | measured | model | |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    for server in &results.servers("model") {
        for at in results.points("model", server) {
            let of = |name| results.spread("model", server, at, figure(name));
            let (measured, planned) = (of("measured us"), of("planned us"));
            let apart =
                planned.zip(measured).map(|(planned, measured)| planned.median / measured.median - 1.0);
            let apart = apart.map_or_else(|| "–".to_owned(), |apart| format!("{:+.0} %", 100.0 * apart));
            let _ = writeln!(
                out,
                "| {server} | {at} | {} | {} | {apart} |",
                shown(measured, 1),
                shown(planned, 1)
            );
        }
    }
    out
}

/// What everything ran on.
fn machine() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        let text = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = file("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let meminfo = file("/proc/meminfo");
    let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default().trim();
    let lines = [
        ("processor", model.map_or_else(String::new, |(_, name)| name.to_owned())),
        ("cores", cpuinfo.lines().filter(|line| line.starts_with("processor")).count().to_string()),
        ("memory", memory.to_owned()),
        ("kernel", said("uname", &["-sr"])),
        ("Rust", said("rustc", &["--version"])),
        ("Node", said("node", &["--version"])),
        ("Go", said("go", &["version"])),
        ("Redis", said("redis-server", &["--version"])),
    ];
    let mut out = String::from("| | |\n| --- | --- |\n");
    for (name, value) in lines {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    out
}

/// The plots, by their file names.
fn plots(results: &Results) -> Vec<(&'static str, Plot<'static>)> {
    let line =
        |workload: &str, server: &str, x: fn(&Record) -> Option<f64>, y: fn(&Record) -> Option<f64>| {
            let points = results.points(workload, server).into_iter().filter_map(|at| {
                let x = results.spread(workload, server, at, x)?.median;
                Some((x, results.spread(workload, server, at, y)?.median))
                    .filter(|(x, y)| *x > 0.0 && *y > 0.0)
            });
            (server.to_owned(), points.collect())
        };
    let offered = |record: &Record| {
        let outcome = record.outcome.as_ref()?;
        Some(outcome.counts.expected as f64 / outcome.seconds)
    };
    let lines = |workload: &str, x, y| {
        results.servers(workload).iter().map(|server| line(workload, server, x, y)).collect()
    };
    let level = Some((CARRIED_P99 as f64 / 1000.0, "what is called carried"));
    vec![
        (
            "one-room.svg",
            Plot {
                title: "One room of a thousand: the slowest in a hundred",
                x: "deliveries per second that were offered",
                y: "p99, ms",
                level,
                lines: lines("one-room-rising", offered, p99),
            },
        ),
        (
            "thousand-rooms.svg",
            Plot {
                title: "A thousand rooms of ten, everyone sends",
                x: "deliveries per second that were offered",
                y: "p99, ms",
                level,
                lines: lines("thousand-rooms", offered, p99),
            },
        ),
        (
            "cost.svg",
            Plot {
                title: "What a delivery costs as the rate rises",
                x: "deliveries per second that arrived",
                y: "server CPU µs per delivery",
                level: None,
                lines: lines("one-room-rising", per_second, cpu),
            },
        ),
        (
            "growth.svg",
            Plot {
                title: "What a delivery costs as the room grows, at 20,000 a second",
                x: "members of the room",
                y: "server CPU µs per delivery",
                level: None,
                lines: lines("members", |record| Some(record.at), cpu),
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_put_between_their_marks_and_words_stay() {
        let page = "a\n<!-- table: x -->\nold\n<!-- end -->\nb\n";
        let made = fill(page, |name| (name == "x").then(|| "new\n".to_owned()));
        assert_eq!(made.as_deref(), Ok("a\n<!-- table: x -->\nnew\n<!-- end -->\nb\n"));
        assert!(fill(page, |_| None).is_err());
        assert!(fill("<!-- table: x -->", |_| Some(String::new())).is_err());
    }
}
