//! The developer's commands: `cargo xtask <command>`.
//!
//! They use nothing but the standard library, so that the first of them runs seconds after a clone: it is the one
//! that installs what all others need.

mod bench;
mod chaos;
mod clients;
mod compat;
mod conformance;
mod deploy;
mod dist;
mod figures;
mod instructions;
#[cfg(test)]
mod named;
mod pages;
mod step;
mod system;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use step::{Outcome, cargo, run};

const HELP: &str = "\
cargo xtask test [-- ARGS]   install what is missing, lint, build, run every test, count instructions;
                             with ARGS, which go to `cargo test`, nothing is counted
cargo xtask install          install what the tests need: Debian packages (as root) and client tools (in target/)
cargo xtask pages            build the pages (clients/pages) into crates/gateway/pages, which is committed
cargo xtask lint             rustfmt, clippy and the types of the clients, warnings are errors
cargo xtask deploy           the Helm chart and the systemd unit: rendered, judged by Kubernetes' schemas and by systemd
cargo xtask figures          size, start time, memory per idle connection, what 10,000 resumes cost Redis, lines of code
cargo xtask chaos [--faults N] [--seed S] [--seeds HOW-MANY] [--only PART-OF-A-NAME]
                  [--shape single|cluster|cluster-local|sentinel|sentinel-local]
                             faults against a cluster of its own, one after the other, and whether anything was lost
cargo xtask compat [COMMIT]  a cluster of an earlier version (else: of the newest release) becomes one of this, under load
cargo xtask soak [--minutes M] [--seed S]
                             an hour, else M minutes, of load with faults: nothing lost, memory flat
cargo xtask bench [--quick] [--only NAME,NAME] [--rounds N] [--page]
                             the same workloads on Chorus and on its peers; writes docs/PERFORMANCE.md
cargo xtask instructions [--accept]
                             instructions per decode, append, encode and delivery, counted by callgrind, beside those in
                             loadtest/instructions/figures.txt; 5 % more is an error; --accept keeps the new ones
cargo xtask conformance      Autobahn's WebSocket test suite against /echo; what it saw goes to artifacts/conformance
cargo xtask dist [--no-image] [--tag vX.Y.Z]
                             a release in target/dist, built and tried; with the tag that it is to bear, which must be that
                             of Cargo.toml's version, and of a day in CHANGELOG.md
cargo xtask help             this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        arguments.split_first().map_or(("help", &[][..]), |(first, rest)| (first.as_str(), rest));
    let outcome = match (command, rest) {
        ("test", _) => test(rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest)),
        ("install", []) => install(),
        ("lint", []) => lint(),
        ("pages", []) => pages::build(),
        ("deploy", []) => deploy::judge(),
        ("figures", []) => figures::print(),
        ("conformance", []) => conformance::judge(),
        ("instructions", []) => instructions::judge(false),
        ("instructions", [accept]) if accept == "--accept" => instructions::judge(true),
        ("compat", []) => compat::judge(None),
        ("compat", [revision]) => compat::judge(Some(revision)),
        ("dist", _) => dist::make(rest),
        ("chaos", _) => chaos::judge(rest),
        ("soak", _) => chaos::soak(rest),
        ("bench", _) => bench::measure(rest),
        ("help" | "--help" | "-h", _) => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no such command: {}\n\n{HELP}", arguments.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn test(arguments: &[String]) -> Outcome {
    install()?;
    lint()?;
    // Built apart from the run, so that each says how long it takes.
    run("build the tests", cargo().args(["test", "--workspace", "--no-run"]))?;
    run(
        "test",
        cargo().args(["test", "--workspace"]).args(arguments).env(clients::TOOLS_VARIABLE, clients::tools()),
    )?;
    // Who asks for one test does not wait for what is not in it.
    if !arguments.is_empty() {
        return Ok(());
    }
    over_tls()?;
    pages::compare()?;
    deploy::test()?;
    run("clients: unit tests", clients::npm().args(["run", "test", "--workspaces", "--if-present"]))?;
    for suite in ["faults", "e2e"] {
        let mut npm = clients::npm();
        npm.args(["run", suite, "--workspace", "tests"]).env("CHORUS_TARGET", target().join("debug"));
        run(&format!("clients: {suite}"), npm.env(clients::TOOLS_VARIABLE, clients::tools()))?;
    }
    instructions::judge(false)
}

/// The subjects in which a socket shows, with gateways and clients that speak TLS: talk, slow readers, ends, streams.
fn over_tls() -> Outcome {
    let subjects = ["close::", "drain::", "events::", "frames::", "resume::", "slow::", "talk::"];
    // What stands between in these, or asks, speaks in the clear.
    let skipped = [
        "through_the_shipped_nginx",
        "an_old_proxy",
        "the_example_in_the_documentation",
        "rooms_that_end_with_their_node",
    ];
    let skipped = skipped.iter().flat_map(|name| ["--skip", name]);
    let mut test = cargo();
    test.args(["test", "--workspace", "--test", "cluster", "--"]).args(subjects).args(skipped);
    run("test over TLS", test.env("CHORUS_TEST_TLS", "1"))
}

fn install() -> Outcome {
    system::install()?;
    clients::install()?;
    deploy::install()
}

fn lint() -> Outcome {
    run("rustfmt", cargo().args(["fmt", "--all", "--check"]))?;
    run("clippy", cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // By itself, it may be the first command in a clone.
    clients::workspace()?;
    run("clients: types", clients::npm().args(["run", "check"]))
}

/// The directory of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or_else(|| here.to_owned(), Path::to_owned)
}

/// The directory that everything built goes to.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}
