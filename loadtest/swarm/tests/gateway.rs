//! The load generator's programs against a real gateway: what it counts is what happened.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as it may")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use swarm::run::Outcome;
use testkit::{Gateway, GatewayOptions, Redis, SECRET, until};

/// `cargo test --workspace` builds it beside the load generator.
async fn gateway() -> Gateway {
    gateway_with(|options| options).await
}

async fn gateway_with(more: impl FnOnce(GatewayOptions) -> GatewayOptions) -> Gateway {
    let chorus = Path::new(env!("CARGO_BIN_EXE_swarm")).with_file_name("chorus");
    assert!(chorus.is_file(), "{} is not there: cargo build -p gateway", chorus.display());
    more(GatewayOptions::new(chorus)).start().await
}

/// One line for each rate.
fn swarm(gateway: &Gateway, arguments: &[&str]) -> Vec<Outcome> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm"));
    command.arg("run").arg(gateway.addr().to_string()).args(["--secret", SECRET, "--json"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_counts_what_the_gateway_counts() {
    let gateway = gateway().await;
    let outcomes =
        swarm(&gateway, &["--connections", "60", "--rooms", "6", "--rates", "60,120", "--seconds", "1"]);
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        let counts = &outcome.counts;
        assert!(counts.expected > 0, "{counts:?}");
        assert_eq!((counts.delivered, counts.wrong(), counts.closed), (counts.expected, 0, 0), "{counts:?}");
    }
    let delivered: f64 = outcomes.iter().map(|outcome| outcome.counts.delivered as f64).sum();
    let counted = gateway.metrics().await.sum("chorus_deliveries_total");
    assert!((counted - delivered).abs() < 0.5, "{counted} by the gateway, {delivered} by the load generator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_comes_back_and_misses_nothing() {
    let gateway = gateway().await;
    let storm = ["--connections", "40", "--rooms", "4", "--rates", "100", "--seconds", "1", "--storm"];
    for outcome in swarm(&gateway, &storm) {
        let counts = &outcome.counts;
        assert_eq!((counts.delivered, counts.wrong()), (counts.expected, 0), "{counts:?}");
        assert!(counts.back_s > 0.0, "nobody was cut: {counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_is_put_off_is_tried_again() {
    let redis = Redis::start().await;
    let gateway = gateway_with(|options| options.redis(&redis)).await;
    redis.freeze();
    let gateway = Arc::new(gateway);
    let load = tokio::task::spawn_blocking({
        let gateway = gateway.clone();
        let plan = ["--connections", "20", "--rooms", "2", "--rates", "40", "--seconds", "1"];
        move || swarm(&gateway, &plan)
    });
    until(Duration::from_secs(30), "a join to be put off", async || {
        let put_off = gateway.metrics().await.with("chorus_errors_total", "code", "unavailable");
        if put_off > 0.0 { Ok(()) } else { Err("none was".to_owned()) }
    })
    .await;
    redis.thaw();
    for outcome in load.await.unwrap() {
        assert_eq!(outcome.live, 20, "{outcome:?}");
        assert!(outcome.put_off > 0, "{outcome:?}");
        assert_eq!(
            (outcome.counts.delivered, outcome.counts.wrong()),
            (outcome.counts.expected, 0),
            "{outcome:?}"
        );
    }
}
