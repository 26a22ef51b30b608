//! Faults against a cluster, and a checker of what was lost.

use crate::step::{Outcome, cargo, run};
use crate::{root, target};

/// What can stand behind the gateways; `-local` says ok before the replicas have it.
const SHAPES: [&str; 5] = ["single", "cluster", "cluster-local", "sentinel", "sentinel-local"];

/// What `cargo xtask chaos` was asked for.
struct Asked {
    faults: u32,
    seed: u64,
    seeds: u64,
    shape: String,
    only: String,
}

/// Runs so many faults in the order that a seed gives, for one seed after the other; an error says that something was violated.
pub(crate) fn judge(arguments: &[String]) -> Outcome {
    let asked = parse(arguments)?;
    run("build the gateway", cargo().args(["build", "-p", "gateway", "--bin", "chorus"]))?;
    let mut chaos = cargo();
    chaos.args(["run", "--quiet", "-p", "testkit", "--bin", "chaos", "--"]);
    chaos.arg(target().join("debug/chorus")).arg(root().join("artifacts/chaos"));
    chaos.args([
        asked.shape,
        asked.faults.to_string(),
        asked.seed.to_string(),
        asked.seeds.to_string(),
        asked.only,
    ]);
    run("chaos", &mut chaos)
}

/// Faults and load for so many minutes on the gateway as it is released; an error says that something was lost, or that it
/// grows.
pub(crate) fn soak(arguments: &[String]) -> Outcome {
    let (mut minutes, mut seed) = (60_u32, 1_u64);
    for (name, value) in options(arguments)? {
        let number = |_| format!("{name} {value}: expected a number");
        match name {
            "--minutes" => minutes = value.parse().map_err(number)?,
            "--seed" => seed = value.parse().map_err(number)?,
            _ => return Err(format!("no such option of soak: {name}")),
        }
    }
    run("build the gateway", cargo().args(["build", "--release", "-p", "gateway", "--bin", "chorus"]))?;
    let mut soak = cargo();
    soak.args(["run", "--quiet", "-p", "testkit", "--bin", "soak", "--"]);
    soak.arg(target().join("release/chorus")).arg(root().join("artifacts/soak"));
    run("soak", soak.args([minutes.to_string(), seed.to_string()]))
}

fn parse(arguments: &[String]) -> Result<Asked, String> {
    let mut asked = Asked { faults: 32, seed: 1, seeds: 1, shape: "single".to_owned(), only: String::new() };
    for (name, value) in options(arguments)? {
        let number = |_| format!("{name} {value}: expected a number");
        match name {
            "--faults" => asked.faults = value.parse().map_err(number)?,
            "--seed" => asked.seed = value.parse().map_err(number)?,
            "--seeds" => asked.seeds = value.parse().map_err(number)?,
            "--shape" if SHAPES.contains(&value) => value.clone_into(&mut asked.shape),
            "--shape" => return Err(format!("--shape {value}: expected one of {}", SHAPES.join(", "))),
            "--only" => value.clone_into(&mut asked.only),
            _ => return Err(format!("no such option of chaos: {name}")),
        }
    }
    Ok(asked)
}

/// Names, and the values behind them.
fn options(arguments: &[String]) -> Result<Vec<(&str, &str)>, String> {
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [name, value] => Ok((&**name, &**value)),
        _ => Err(format!("{} needs a value", pair[0])),
    });
    pairs.collect()
}
