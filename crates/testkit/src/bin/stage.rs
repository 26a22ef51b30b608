//! A cluster for tests that are not written in Rust: three gateways on a Redis, nginx with the shipped configuration
//! before them, and before that a network that can be cut. `clients/tests/stage.ts` holds the other end.
//!
//! `stage PATH-OF-CHORUS [ORIGIN]…` prints one line of JSON when everything runs, and then reads commands, a line of JSON each,
//! and answers each by a line: `{"ok": …}` or `{"error": …}`. It ends, and everything with it, at the end of its input.
//! `CHORUS_STAGE_CONFIG` holds further tables of the gateways' TOML, `CHORUS_STAGE_NGINX` a line of `nginx.conf` to be
//! uncommented.
#![allow(clippy::expect_used, clippy::panic, reason = "a test's cluster that can't be had is a failed test")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::{
    Fate, Gateway, GatewayOptions, Nginx, NginxOptions, PATIENCE, Proxy, Redis, expiring, free_port, sign,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Of the server API, and of the cluster page.
const API_KEY: &str = "an API key that only tests know";

/// What every gateway here is told; a test may add tables to it.
const CONFIG: &str = "trusted_proxies = [\"127.0.0.1\"]\n[diagnostics]\necho = true\n";

struct Stage {
    options: GatewayOptions,
    addrs: [SocketAddr; 3],
    nodes: [Option<Gateway>; 3],
    redis: Redis,
    network: Proxy,
    // Ends before the gateways do, or it would log their absence.
    nginx: Nginx,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().map(PathBuf::from).expect("the path of chorus, first");
    let origins: Vec<_> = arguments.collect();
    let config = CONFIG.to_owned() + &std::env::var("CHORUS_STAGE_CONFIG").unwrap_or_default();
    let mut stage = Stage::start(&binary, &origins.join(","), &config).await;
    say(&stage.description()).await;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match serde_json::from_str(&line) {
            Ok(command) => stage.obey(&command).await,
            Err(error) => Err(format!("{line}: {error}")),
        };
        say(&answer.map_or_else(|error| json!({ "error": error }), |ok| json!({ "ok": ok }))).await;
    }
}

async fn say(line: &Value) {
    let mut stdout = tokio::io::stdout();
    stdout.write_all(format!("{line}\n").as_bytes()).await.expect("somebody listens");
    stdout.flush().await.expect("somebody listens");
}

impl Stage {
    /// `origins`: of pages that come from elsewhere, as the gateways' list has them. With none, its own pages may connect.
    async fn start(binary: &Path, origins: &str, config: &str) -> Self {
        // What was acknowledged is on its disk, so that a crash is no excuse for a lost message.
        let redis = Redis::start_with(&["appendfsync always"]).await;
        let options = GatewayOptions::new(binary)
            .redis(&redis)
            .env("CHORUS_API_KEYS", API_KEY)
            .env("CHORUS_ALLOWED_ORIGINS", origins)
            .env("CHORUS_DRAIN_SECONDS", "3")
            .config(config);
        let addrs = std::array::from_fn(|_| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let shipped = NginxOptions::shipped();
        let choices = match std::env::var("CHORUS_STAGE_NGINX") {
            Ok(line) if !line.is_empty() => shipped.with(&line),
            _ => shipped,
        };
        let nginx = choices.start(addrs).await;
        let network = Proxy::from_everywhere(nginx.addr()).await;
        let mut stage = Self { options, addrs, nodes: [None, None, None], redis, network, nginx };
        for index in 0..3 {
            stage.start_node(index).await.expect("it does not run yet");
        }
        stage
    }

    fn description(&self) -> Value {
        json!({ "front": self.network.addr(), "nginx": self.nginx.addr(), "nodes": self.addrs, "apiKey": API_KEY })
    }

    async fn obey(&mut self, command: &Value) -> Result<Value, String> {
        let word = command["do"].as_str().unwrap_or_default();
        let number = command["node"].as_u64().and_then(|number| usize::try_from(number).ok());
        let node = || number.filter(|index| *index < 3).ok_or_else(|| format!("{command}: no such node"));
        match word {
            "start" => self.start_node(node()?).await?,
            "kill" => self.running(node()?)?.kill().await,
            "drain" => {
                // Its clients are told to go; the answer comes when it has ended.
                let status = self.running(node()?)?.stop().await;
                return Ok(json!({ "status": status.code() }));
            }
            "stop redis" if self.redis.is_running() => self.redis.stop().await,
            "kill redis" if self.redis.is_running() => self.redis.kill().await,
            "start redis" if !self.redis.is_running() => self.redis.restart().await,
            "cut" => self.network.cut(),
            "refuse" => self.network.refuse(command["on"] == true),
            "stall" => {
                let fate = if command["on"] == true { Fate::Stall } else { Fate::Pass };
                self.network.treat(Fate::Pass, fate);
            }
            "token" => {
                let mut claims = command["claims"].clone();
                claims["exp"] = expiring(command["seconds"].as_i64().unwrap_or(3600)).into();
                return Ok(json!({ "token": sign(&claims) }));
            }
            _ => return Err(format!("{command}: not now, or not known")),
        }
        Ok(Value::Null)
    }

    async fn start_node(&mut self, index: usize) -> Result<(), String> {
        if self.nodes[index].is_some() {
            return Err(format!("node {index} is running"));
        }
        let options =
            self.options.clone().node(&format!("node-{index}")).listen(&self.addrs[index].to_string());
        let node = options.start().await;
        if self.redis.is_running() {
            tokio::time::timeout(PATIENCE, node.ready())
                .await
                .map_err(|_| "it does not become ready".to_owned())?;
        }
        self.nodes[index] = Some(node);
        Ok(())
    }

    fn running(&mut self, index: usize) -> Result<Gateway, String> {
        self.nodes[index].take().ok_or_else(|| format!("node {index} is not running"))
    }
}
