//! Autobahn's fuzzing client against a gateway's `/echo`. Run by `cargo xtask conformance`.
#![allow(clippy::expect_used, clippy::panic, reason = "a run that cannot be made has nothing else to do")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde_json::{Value, json};
use testkit::GatewayOptions;

/// 12 and 13 are compression, which is not offered. 9 sends up to 16 MiB in a message, many of them at once.
const CASES: [&str; 9] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"];

/// The limits that the largest cases need; the code that holds them is the same.
const LIMITS: &str = "[limits]\nframe_bytes = 16777216\noutbox_bytes = 67108864\nframes_per_second = 1000000\nframe_burst = 1000000\n[diagnostics]\necho = true\n";

/// What a case may come to. `NON-STRICT` is a right answer at another time than the strictest reading asks for, and
/// `INFORMATIONAL` a case that has no wrong one.
const GOOD: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("no {what}: see cargo xtask help"));
    let (binary, python, suite) = (next("binary"), next("Python 2"), next("directory of Autobahn's suite"));
    let artifacts = next("directory for artifacts");
    fs::create_dir_all(&artifacts).expect("the directory for artifacts can be made");

    let gateway = GatewayOptions::new(binary).config(LIMITS).start().await;
    let began = Instant::now();
    fuzz(&python, &suite, &artifacts, &format!("ws://{}/echo", gateway.addr()));
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(gateway.stop().await.code(), Some(0), "the gateway is sound afterwards");

    let results = read(&artifacts.join("index.json"));
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut bad = Vec::new();
    for (case, result) in results["chorus"].as_object().expect("a result for each case") {
        let [behavior, close] = ["behavior", "behaviorClose"].map(|key| result[key].as_str().unwrap_or("?"));
        *counts.entry(behavior).or_default() += 1;
        if !GOOD.contains(&behavior) || !GOOD.contains(&close) {
            bad.push(format!("{case}: {behavior}, its close {close}"));
        }
    }
    let cases: usize = counts.values().sum();
    println!(
        "{cases} cases in {seconds:.0} s: {counts:?}; what was sent and seen in each: {}",
        artifacts.display()
    );
    for line in &bad {
        println!("{line}");
    }
    if cases > 0 && bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the client to its end; what it prints about itself goes to a file.
fn fuzz(python: &Path, suite: &Path, artifacts: &Path, url: &str) {
    let spec = json!({
        "outdir": artifacts,
        "servers": [{ "agent": "chorus", "url": url }],
        "cases": CASES,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let file = artifacts.join("spec.json");
    fs::write(&file, spec.to_string()).expect("the specification can be written");
    let log = fs::File::create(artifacts.join("wstest.log")).expect("its log can be written");
    let status = Command::new(python)
        .args(["-m", "autobahntestsuite.wstest", "-m", "fuzzingclient", "-s"])
        .arg(&file)
        .env("PYTHONPATH", suite)
        .stdout(log.try_clone().expect("its log can be written"))
        .stderr(log)
        .status()
        .expect("Python 2 can be run");
    assert!(status.success(), "Autobahn's client: {status}; see {}", artifacts.join("wstest.log").display());
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("Autobahn's client has written its results");
    serde_json::from_str(&text).expect("its results are JSON")
}
