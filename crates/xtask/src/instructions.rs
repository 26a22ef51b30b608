//! The instructions that a message's way takes, beside those that were kept.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::step::{Outcome, cargo, run};
use crate::{root, system, target};

/// A step of `loadtest/instructions`.
struct Case {
    name: &'static str,
    /// How often it is done. What many times take more than few is theirs alone: start and set-up are in both.
    few: u64,
    many: u64,
    /// What is counted in one time.
    each: u64,
}

const CASES: [Case; 4] = [
    Case { name: "decode", few: 1_000, many: 11_000, each: 1 },
    // A log is full after a thousand.
    Case { name: "append", few: 2_000, many: 12_000, each: 1 },
    Case { name: "encode", few: 1_000, many: 11_000, each: 1 },
    // For each of the room's members.
    Case { name: "fan-out", few: 10, many: 60, each: 1_000 },
];

/// How often each is run.
const RUNS: usize = 3;

/// What a count may rise by, in percent.
const TOLERANCE: f64 = 5.0;

/// Whose instructions are kept.
const ARCHITECTURE: &str = "x86_64";

const FIGURES: &str = "loadtest/instructions/figures.txt";

const HEAD: &str = "# Instructions per decode, append, encode and delivery: `cargo xtask instructions --accept` writes this.\n";

/// Counts and compares; an error says what rose by more than is tolerated. With `accept` what was counted is kept.
pub(crate) fn judge(accept: bool) -> Outcome {
    if system::find("valgrind").is_none() {
        return Err("counting needs valgrind: cargo xtask install".to_owned());
    }
    run("build what is counted", cargo().args(["build", "--release", "-p", "instructions"]))?;
    let kept = if accept { String::new() } else { read(&root().join(FIGURES))? };
    let mut figures = HEAD.to_owned();
    let mut risen = Vec::new();
    println!("{:<10} {:>12} {:>12} {:>9}", "case", "instructions", "kept", "change");
    for case in &CASES {
        let counted = count(case)?;
        figures.extend([case.name, " ", &counted.to_string(), "\n"]);
        if accept {
            println!("{:<10} {counted:>12}", case.name);
            continue;
        }
        let before = figure(&kept, case.name).ok_or_else(|| format!("{FIGURES} has no {}", case.name))?;
        let change = (counted as f64 / before as f64 - 1.0) * 100.0;
        println!("{:<10} {counted:>12} {before:>12} {change:>+7.1} %", case.name);
        if change > TOLERANCE {
            risen.push(format!("{} by {change:.1} %", case.name));
        } else if change < -TOLERANCE {
            println!(
                "           fell: keep it with `cargo xtask instructions --accept`, or it may rise again unseen"
            );
        }
    }
    if accept {
        return keep(&figures);
    }
    if risen.is_empty() {
        return Ok(());
    }
    if std::env::consts::ARCH != ARCHITECTURE {
        println!("the figures that are kept are for {ARCHITECTURE}: this is no failure here");
        return Ok(());
    }
    Err(format!(
        "more instructions than were kept: {}. Where they are: callgrind_annotate {}. \
         If they are worth it: cargo xtask instructions --accept, and commit {FIGURES}",
        risen.join(", "),
        profile("CASE").display(),
    ))
}

/// The instructions of one time. The least of some runs counts: a flusher looks at the clock and, when something else
/// takes its time, yields more often.
fn count(case: &Case) -> Result<u64, String> {
    let least = |times| {
        let runs = (0..RUNS).map(|_| collect(case.name, times));
        runs.reduce(|least, run| Ok(least?.min(run?))).unwrap_or(Ok(0))
    };
    let few = least(case.few)?;
    let many = least(case.many)?;
    Ok(many.saturating_sub(few) / ((case.many - case.few) * case.each))
}

/// The instructions of a run under callgrind, whose profile stays where it can be looked at.
fn collect(case: &str, times: u64) -> Result<u64, String> {
    let profile = profile(case);
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(&profile);
    // Two sockets for each member are more than many a shell grants unasked, and under valgrind it is too late to ask.
    let mut valgrind = Command::new("sh");
    valgrind.args([
        "-c",
        "ulimit -S -n 4096 && exec \"$@\"",
        "sh",
        "valgrind",
        "--quiet",
        "--tool=callgrind",
    ]);
    valgrind.arg(out).arg(target().join("release/instructions"));
    let output = valgrind.args([case, &times.to_string()]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{case}: cannot run valgrind: {error}"))?;
    if !output.status.success() {
        return Err(format!("{case}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let summary = read(&profile)?.lines().find_map(|line| line.strip_prefix("summary: ")?.parse().ok());
    summary.ok_or_else(|| format!("{}: no summary in it", profile.display()))
}

fn profile(case: &str) -> PathBuf {
    target().join(format!("release/{case}.callgrind"))
}

fn figure(kept: &str, case: &str) -> Option<u64> {
    kept.lines().find_map(|line| line.strip_prefix(case)?.trim().parse().ok())
}

fn keep(figures: &str) -> Outcome {
    if std::env::consts::ARCH != ARCHITECTURE {
        return Err(format!("the figures that are kept are for {ARCHITECTURE}"));
    }
    let path = root().join(FIGURES);
    fs::write(&path, figures).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &PathBuf) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
