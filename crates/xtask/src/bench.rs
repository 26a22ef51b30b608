//! The same workloads on Chorus and on its peers.

use std::path::Path;
use std::process::Command;

use crate::step::{Outcome, cargo, run};
use crate::{clients, root, target};

/// Builds everything that is measured, measures, and writes `docs/PERFORMANCE.md`, or with `--quick` a page of its own
/// in `artifacts/bench`.
///
/// # Errors
/// When something cannot be built or does not come up.
pub(crate) fn measure(arguments: &[String]) -> Outcome {
    run(
        "build Chorus and the load generator",
        cargo().args(["build", "--release", "-p", "gateway", "-p", "swarm", "--bins"]),
    )?;
    run("build what appends", cargo().args(["build", "--release", "-p", "bus", "--example", "appends"]))?;
    if !arguments.iter().any(|argument| argument == "--page") {
        peers(&root().join("loadtest/peers"))?;
    }
    let mut bench = Command::new(target().join("release/bench"));
    bench.arg("--target").arg(target()).arg("--root").arg(root()).args(arguments);
    run("bench", &mut bench)
}

/// Their pinned versions, each by its own package manager.
fn peers(sources: &Path) -> Outcome {
    let built = target().join("peers");
    let mut rust = cargo();
    rust.args(["build", "--release", "--locked", "--manifest-path"]).arg(sources.join("rust/Cargo.toml"));
    run("build the floor and socketioxide", rust.arg("--target-dir").arg(&built))?;
    let mut sockudo = cargo();
    sockudo.args(["install", "sockudo", "--version", "=5.2.0", "--locked", "--no-default-features"]);
    sockudo.args(["--features", "local,v2", "--root"]).arg(&built);
    sockudo.arg("--target-dir").arg(built.join("sockudo"));
    run("build sockudo (needs protoc, Debian's protobuf-compiler)", &mut sockudo)?;
    clients::node(&sources.join("node"))?;
    let mut go = Command::new("go");
    go.current_dir(sources.join("centrifuge")).args(["build", "-o"]).arg(built.join("centrifuge")).arg(".");
    run("build centrifuge (needs Go 1.26, from go.dev)", &mut go)
}
