//! Faults against clusters of their own, one cluster for each seed, and whether anything was lost. Run by
//! `cargo xtask chaos`.
#![allow(clippy::expect_used, clippy::panic, reason = "arguments come from xtask")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use testkit::chaos::{Options, PAUSE, Random, Shape, Table, deck, run};

/// Violations of a run that are shown; all of them are in the artifacts.
const SHOWN: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("no {what}: see cargo xtask help"));
    let binary = PathBuf::from(next("binary"));
    let artifacts = PathBuf::from(next("directory for artifacts"));
    let name = next("shape");
    let shape = Shape::parse(&name).expect("a shape");
    let count: usize = next("number of faults").parse().expect("a number of faults");
    let first: u64 = next("seed").parse().expect("a seed, which is a number");
    let seeds: u64 = next("number of seeds").parse().expect("a number of seeds");
    let only = next("part of a fault's name");

    let (mut table, mut violated) = (Table::default(), 0);
    for seed in first..first + seeds {
        let faults = deck(shape, &only, count, &mut Random::new(seed));
        assert!(!faults.is_empty(), "no fault is called {only:?}");
        eprintln!("seed {seed}: {} faults", faults.len());
        let (binary, histories) = (binary.clone(), artifacts.join(&name));
        let options = Options {
            binary,
            shape,
            faults,
            seed,
            gateways: 3,
            members: 18,
            pause: PAUSE,
            lasting: None,
            artifacts: histories,
        };
        let outcome = run(&options).await;
        for violation in outcome.violations.iter().take(SHOWN) {
            println!("seed {seed}: {violation}");
        }
        if !outcome.violations.is_empty() {
            violated += 1;
            let (number, directory) = (outcome.violations.len(), options.artifacts.join(seed.to_string()));
            println!("seed {seed}: {number} violations; the histories are in {}", directory.display());
        }
        table.merge(&outcome.table);
        // After each seed: what was measured stays if a later one is not waited for.
        write(&artifacts, &name, first..=seed, count, &table);
    }
    println!("\n{seeds} runs of {count} faults, seeds from {first} on, {violated} violated\n\n{table}");
    if violated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The table of all seeds until now, for people and for programs.
fn write(directory: &Path, shape: &str, seeds: std::ops::RangeInclusive<u64>, count: usize, table: &Table) {
    let (first, last) = (*seeds.start(), *seeds.end());
    fs::create_dir_all(directory).expect("the artifacts can be written");
    let head = format!("Shape `{shape}`, {count} faults for each of the seeds {first} to {last}:");
    fs::write(directory.join(format!("{shape}.md")), format!("{head}\n\n{table}"))
        .expect("the artifacts can be written");
    let json = serde_json::json!({
        "shape": shape, "faults": count, "seeds": [first, last], "rows": table.json(),
    });
    fs::write(directory.join(format!("{shape}.json")), format!("{json:#}\n"))
        .expect("the artifacts can be written");
}
