//! A real Prometheus with the shipped configuration and rules.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::{PATIENCE, Process, Request, find_program, free_port, until};

const MISSING: &str = "prometheus is not installed: run \"cargo xtask test\" (installs it by apt when root) or \"apt-get install prometheus\"";

/// How the shipped configuration finds gateways.
const DISCOVERY: &str = "    dns_sd_configs:
      - names: [gateway]
        type: A
        # CHORUS_METRICS_LISTEN: a drain closes the main listener, and is to be seen.
        port: 9090
        refresh_interval: 5s
";

/// A running Prometheus that scrapes three gateways; killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    addr: SocketAddr,
    // Holds what was scraped: removed after the process has ended.
    _dir: TempDir,
}

impl Prometheus {
    /// Starts it with the project's `deploy/prometheus/prometheus.yml`. The gateways are listed where no DNS knows them, the
    /// path of the rules is changed, and it looks every second, for a test has no minutes to wait.
    pub async fn start(gateways: [SocketAddr; 3]) -> Self {
        let Some(program) = find_program("prometheus") else { panic!("{MISSING}") };
        let dir =
            tempfile::Builder::new().prefix("chorus-prometheus-").tempdir().expect("a temporary directory");
        let conf = dir.path().join("prometheus.yml");
        fs::write(&conf, hasten(gateways)).expect("a configuration");
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", conf.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=warn");
        let mut process = Process::spawn("prometheus", &mut command, dir.path());
        until(PATIENCE, "prometheus to be ready", async || {
            if let Some(status) = process.status() {
                panic!("prometheus ended with {status}:\n{}", process.last_lines());
            }
            let answer = Request::get("/-/ready").try_send(addr).await.map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        Self { _process: process, addr, _dir: dir }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What an expression is now: of each series its labels (`metric`) and its `value`.
    ///
    /// # Panics
    /// When it is not an expression that Prometheus can compute.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", escape(expression));
        let answer = Request::get(path).send(self.addr).await;
        assert_eq!(answer.status, 200, "{expression}: {}", answer.body);
        match answer.json()["data"]["result"].take() {
            Value::Array(series) => series,
            other => panic!("{expression}: {other}"),
        }
    }
}

/// The directory of what is shipped for Prometheus.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

/// The shipped configuration for a test's gateways, each place of which must occur exactly once.
fn hasten(gateways: [SocketAddr; 3]) -> String {
    let file = shipped().join("prometheus.yml");
    let mut conf = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut replace = |from: &str, to: String| {
        assert_eq!(conf.matches(from).count(), 1, "prometheus.yml no longer has one {from:?}");
        conf = conf.replace(from, &to);
    };
    replace("scrape_interval: 5s", "scrape_interval: 1s".to_owned());
    replace("scrape_timeout: 4s", "scrape_timeout: 1s".to_owned());
    replace("evaluation_interval: 5s", "evaluation_interval: 1s".to_owned());
    replace("- rules/*.yml", format!("- {}/*.yml", shipped().join("rules").display()));
    let targets = gateways.map(|gateway| format!("\"{gateway}\"")).join(", ");
    replace(DISCOVERY, format!("    static_configs:\n      - targets: [{targets}]\n"));
    conf
}

/// For a URL: whatever is not a letter or a digit, byte by byte.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
