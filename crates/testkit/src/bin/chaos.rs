//! Faults against a cluster of its own, and whether anything was lost. Run by `cargo xtask chaos`.
#![allow(clippy::expect_used, clippy::panic, reason = "arguments come from xtask")]

use std::path::PathBuf;
use std::process::ExitCode;

use testkit::chaos::{Options, Random, Shape, deck, run};

/// Violations that are shown; all of them are in the artifacts.
const SHOWN: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("no {what}: see cargo xtask help"));
    let binary = PathBuf::from(next("binary"));
    let artifacts = PathBuf::from(next("directory for artifacts"));
    let shape = Shape::parse(&next("shape")).expect("a shape");
    let count: usize = next("number of faults").parse().expect("a number of faults");
    let seed = next("seed").parse().expect("a seed, which is a number");
    let only = next("part of a fault's name");
    let faults = deck(shape, &only, count, &mut Random::new(seed));
    assert!(!faults.is_empty(), "no fault is called {only:?}");
    let options = Options { binary, shape, faults, seed, gateways: 3, members: 18, artifacts };
    let outcome = run(&options).await;
    println!("\nseed {seed}, {count} faults\n\n{}", outcome.table);
    for violation in outcome.violations.iter().take(SHOWN) {
        println!("{violation}");
    }
    if outcome.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    let written = options.artifacts.join(seed.to_string());
    println!("{} violations; the histories are in {}", outcome.violations.len(), written.display());
    ExitCode::FAILURE
}
