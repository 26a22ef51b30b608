//! The scripts for k6, through nginx, over three gateways.

use std::time::Duration;

use testkit::{Cluster, Nginx, Redis, SECRET};

use crate::fixture::options;
use crate::tools;

async fn front() -> (Cluster, Nginx) {
    let trusting = options().config("trusted_proxies = [\"127.0.0.1\"]\n");
    let cluster = Cluster::start_with(Redis::start().await, 3, trusting).await;
    let nginx = Nginx::start([0, 1, 2].map(|node| cluster.addr(node))).await;
    (cluster, nginx)
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
