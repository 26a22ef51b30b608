//! `cargo xtask bench`: the same workloads on this server and on its peers, in turn, several times; its results are
//! the tables and plots of `docs/PERFORMANCE.md`.

mod appends;
mod matrix;
mod page;
mod plot;
mod prices;
mod results;
mod servers;
mod special;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use matrix::Scale;
use results::Results;

/// Measures, and writes what came of it.
#[derive(Parser)]
#[command(name = "bench")]
struct Asked {
    /// The directory that everything was built into.
    #[arg(long)]
    target: PathBuf,
    /// The root of the project.
    #[arg(long)]
    root: PathBuf,
    /// Minutes instead of hours: one round, few seconds each.
    #[arg(long)]
    quick: bool,
    /// Only these workloads; the others' results stay as they are.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds of each workload; servers take turns in each.
    #[arg(long)]
    rounds: Option<u32>,
    /// Only writes the page again, from the results that are there.
    #[arg(long)]
    page: bool,
}

fn main() -> ExitCode {
    match bench(&Asked::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn bench(asked: &Asked) -> Result<(), String> {
    let scale = if asked.quick { Scale::quick() } else { Scale::full() };
    let scale = Scale { rounds: asked.rounds.unwrap_or(scale.rounds), ..scale };
    // A quick run proves that everything works; the page is made from full ones.
    let docs =
        if asked.quick { asked.root.join("artifacts/bench") } else { asked.root.join("docs/performance") };
    let mut results = Results::open(&docs)?;
    if !asked.page {
        let programs = servers::Programs::new(&asked.target, &asked.root);
        matrix::measure(&programs, scale, &asked.only, &mut results)?;
    }
    page::write(&asked.root, &docs, &results)
}
