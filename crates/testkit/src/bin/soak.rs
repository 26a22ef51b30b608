//! Load and faults for long, on gateways that are never replaced, and whether they lose anything or grow. Run by
//! `cargo xtask soak`.
#![allow(clippy::expect_used, clippy::panic, reason = "arguments come from xtask")]

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use testkit::chaos::{Fault, Options, Random, Shape, Slope, deck, run};

/// Quiet time between a recovery and the next fault.
const PAUSE: Duration = Duration::from_secs(5);
/// What may be a leak: more than this share of what is resident, in an hour.
const SHARE: f64 = 0.02;
/// The first part of so many does not count: the tails fill, the allocator settles.
const PARTS: u64 = 3;
/// What is left must last so long: each fault moves memory by a megabyte or two, and a few of them make any slope.
const ENOUGH: Duration = Duration::from_mins(30);

/// Whether a gateway lives through it as the same process, and with as many clients as before.
fn leaves_gateways_alone(fault: Fault) -> bool {
    let replaces = fault.name().starts_with("gateway") && fault != Fault::GatewayFrozen;
    !replaces && !matches!(fault, Fault::TwoAtOnce | Fault::HerdReconnects)
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("no {what}: see cargo xtask help"));
    let binary = PathBuf::from(next("binary"));
    let artifacts = PathBuf::from(next("directory for artifacts"));
    let minutes: u64 = next("minutes").parse().expect("a number of minutes");
    let seed: u64 = next("seed").parse().expect("a seed, which is a number");

    // More than there is time for.
    let mut faults = deck(Shape::Single, "", 60 * minutes as usize, &mut Random::new(seed));
    faults.retain(|fault| leaves_gateways_alone(*fault));
    let options = Options {
        binary,
        shape: Shape::Single,
        faults,
        seed,
        gateways: 3,
        members: 60,
        pause: PAUSE,
        lasting: Some(Duration::from_secs(60 * minutes)),
        artifacts,
    };
    let outcome = run(&options).await;
    let mut report =
        format!("{minutes} minutes, seed {seed}, {} clients\n\n{}\n", options.members, outcome.table);
    let mut memory = "ms,node,resident bytes\n".to_owned();
    let mut all = Vec::new();
    for node in &outcome.watched {
        for sample in &node.samples {
            writeln!(memory, "{},{},{}", sample.at, node.node, sample.resident).expect("a text takes all");
        }
        // The audit is other work: it reads every log at once, and takes four megabytes for it.
        let under_load = node.samples.iter().filter(|sample| sample.at <= outcome.silent);
        let points: Vec<_> = under_load.map(|sample| (sample.at, sample.resident as f64)).collect();
        writeln!(report, "{}: resident {}", node.node, told(settled(&points))).expect("a text takes all");
        all.extend(points);
    }
    // They do the same work at the same time: together they say more than each by itself.
    all.sort_by_key(|(at, _)| *at);
    let slope = settled(&all);
    writeln!(report, "a node, by the mean of all: resident {}", told(slope)).expect("a text takes all");
    let grows = slope.is_some_and(|slope| slope.grows_by(SHARE));
    println!("\n{report}");
    fs::create_dir_all(&options.artifacts).expect("the artifacts can be written");
    for (name, text) in [("soak.txt", &report), ("memory.csv", &memory)] {
        fs::write(options.artifacts.join(name), text).expect("the artifacts can be written");
    }
    for violation in &outcome.violations {
        println!("{violation}");
    }
    if grows {
        println!("the gateways grow by more than {} % an hour", 100.0 * SHARE);
    }
    if grows || !outcome.violations.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// How memory grew once it had settled; none when that is too short.
fn settled(points: &[(u64, f64)]) -> Option<Slope> {
    let last = points.last().map_or(0, |(at, _)| *at);
    let from = last / PARTS;
    let first = points.partition_point(|(at, _)| *at < from);
    Slope::of(&points[first..]).filter(|_| u128::from(last - from) >= ENOUGH.as_millis())
}

fn told(slope: Option<Slope>) -> String {
    slope.map_or_else(|| "it takes 45 minutes to say how it grows".to_owned(), |slope| slope.to_string())
}
