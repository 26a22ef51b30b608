//! Clients that we did not write, through nginx, over three gateways.

use std::time::Duration;

use serde_json::Value;
use testkit::{Client, Cluster, Nginx, Redis, SECRET, token};
use tokio::process::Command;

use crate::fixture::{agreed, options, say_until_ok};
use crate::tools;

/// Messages that each of them sends.
const EACH: usize = 40;

async fn front() -> (Cluster, Nginx) {
    let trusting = options().config("trusted_proxies = [\"127.0.0.1\"]\n");
    let cluster = Cluster::start_with(Redis::start().await, 3, trusting).await;
    let nginx = Nginx::start([0, 1, 2].map(|node| cluster.addr(node))).await;
    (cluster, nginx)
}

#[tokio::test]
async fn python_and_node_talk_with_each_other_and_with_ours() {
    let (cluster, nginx) = front().await;
    let url = format!("ws://{}/ws", nginx.addr());
    let mut ours = Vec::new();
    for node in 0..3 {
        let mut client = Client::connect(cluster.addr(node), &format!("ours-{node}")).await;
        client.join("lobby").await;
        ours.push(client);
    }
    // Two of each, and one of ours that speaks.
    let everything = EACH * 5;
    let foreign = [("py-1", true), ("py-2", true), ("js-1", false), ("js-2", false)].map(|(name, python)| {
        let (mut command, script) = if python {
            (tools::python_tool("python3"), "ws_client.py")
        } else {
            (tools::node(), "ws_client.mjs")
        };
        command.arg(tools::scripts().join(script)).args(["--url", &url, "--room", "lobby", "--name", name]);
        command.args(["--count", &EACH.to_string(), "--expect", &everything.to_string(), "--rate", "30"]);
        command.env("CHORUS_TOKEN", token(name));
        tokio::spawn(async move { (name, run(name, command).await) })
    });
    for number in 0..EACH {
        say_until_ok(&mut ours[0], "lobby", &format!("ours-0-{number}")).await;
    }

    for client in &mut ours {
        client.until_events("lobby", everything).await;
    }
    let truth: Vec<(u64, String)> =
        agreed(&ours, "lobby").into_iter().map(|event| (event.seq, event.from)).collect();
    assert_eq!(truth.len(), everything);
    for task in foreign {
        let (name, report) = task.await.unwrap();
        let seen = report["seen"].as_array().unwrap().iter();
        let seen: Vec<(u64, String)> =
            seen.map(|event| (event[1].as_u64().unwrap(), event[2].as_str().unwrap().to_owned())).collect();
        assert_eq!(seen, truth, "{name} saw something else than we did");
    }
}

/// Runs a client and returns its report.
async fn run(name: &str, mut command: Command) -> Value {
    let output = tools::output(Duration::from_mins(1), name, &mut command).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}: {stdout} {stderr}", output.status);
    serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("{name}: {error}: {stdout}"))
}

#[tokio::test]
async fn the_k6_scripts_pass_through_nginx() {
    let (cluster, nginx) = front().await;
    let pace = [("CHORUS_USERS", "12"), ("CHORUS_RAMP_MS", "1000"), ("CHORUS_INTERVAL_MS", "250")];
    k6("smoke", &nginx, &[("CHORUS_CHAT_MS", "1000")]).await;
    let report = k6("chat", &nginx, &[&pace[..], &[("CHORUS_CHAT_MS", "4000")]].concat()).await;
    assert!(cluster.sum("chorus_appends_total").await > 50.0, "{report}");
    for node in &cluster.nodes {
        assert!(node.metrics().await.sum("chorus_deliveries_total") > 0.0, "a node was left out: {report}");
    }

    let storm = [("CHORUS_CHAT_MS", "5000"), ("CHORUS_STORMS", "2")];
    let report = k6("storm", &nginx, &[&pace[..], &storm].concat()).await;
    let mut lost = 0.0;
    for node in &cluster.nodes {
        lost += node.metrics().await.with("chorus_closes_total", "reason", "lost");
    }
    assert!(lost >= 12.0, "only {lost} connections were cut: {report}");
}

/// Runs one of the scripts, which judges by its thresholds, and returns its report.
async fn k6(script: &str, nginx: &Nginx, settings: &[(&str, &str)]) -> String {
    let mut k6 = tools::python_tool("k6");
    k6.args(["run", "--quiet", "--no-usage-report", "--address", "127.0.0.1:0"]);
    // `ip_hash` looks at three octets: from these the users reach every node.
    k6.args(["--local-ips", "127.0.1.1,127.0.2.1,127.0.3.1,127.0.4.1,127.0.5.1,127.0.6.1"]);
    k6.arg(tools::project().join("loadtest/k6").join(script).with_extension("js"));
    k6.env("CHORUS_URL", format!("ws://{}/ws", nginx.addr())).env("CHORUS_JWT_SECRET", SECRET);
    k6.envs(settings.iter().copied());
    let output = tools::output(Duration::from_mins(1), script, &mut k6).await;
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{script}: {stdout} {}", String::from_utf8_lossy(&output.stderr));
    stdout.into_owned()
}
