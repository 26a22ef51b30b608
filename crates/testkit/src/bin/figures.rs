//! Measures a `chorus` binary: how fast it starts, what an idle connection costs, and what it costs Redis when everybody
//! comes back at once. Run by `cargo xtask figures`.
#![allow(clippy::expect_used, clippy::panic, reason = "a measurement that fails has nothing else to do")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use testkit::{Client, Dial, Gateway, GatewayOptions, storm, token};

/// Idle connections, each authenticated and in a room of ten.
const CONNECTIONS: usize = 10_000;
const MEMBERS: usize = 10;
/// Connections from one source address; the gateway allows 1,000 by default.
const PER_ADDRESS: usize = 500;
/// Connections that are being opened at the same time.
const AT_ONCE: usize = 50;
/// Starts, of which the median is told.
const STARTS: usize = 9;

#[tokio::main]
async fn main() {
    let binary = std::env::args().nth(1).expect("usage: figures <path of chorus>");
    raise_file_limit();
    start_time(binary.as_ref()).await;
    memory(binary.as_ref()).await;
    resumes(binary.as_ref()).await;
}

/// What a node that was just started asks of Redis when 10,000 clients resume on it in the same moment.
async fn resumes(binary: &Path) {
    let limits = "[limits]\naccepts_per_second = 1000000\nframes_per_second = 100000\nframe_burst = 100000";
    for rooms in [1, 20, 100] {
        let storm = storm(GatewayOptions::new(binary).config(limits), CONNECTIONS, rooms).await;
        println!(
            "{CONNECTIONS} resumes in {rooms} rooms: {} reads of a log ({} requests repeated); all answered in {:.2} s, all that was missed there in {:.2} s; all had heard of everybody after {:.2} s, in {} frames each; Redis ran {:?}",
            storm.reads,
            storm.repeated,
            storm.answered.as_secs_f64(),
            storm.recovered.as_secs_f64(),
            storm.settled.as_secs_f64(),
            storm.presence_frames,
            storm.calls,
        );
    }
}

async fn start_time(binary: &Path) {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let gateway = GatewayOptions::new(binary).start().await;
        times.push(began.elapsed());
        gateway.kill().await;
    }
    times.sort();
    // The log is looked at every few milliseconds, so this is an upper bound.
    println!("start to listening: {:.0} ms (median of {STARTS})", times[STARTS / 2].as_secs_f64() * 1e3);
}

async fn memory(binary: &Path) {
    // Opened faster than a node takes connections by default.
    let gateway = GatewayOptions::new(binary).config("[limits]\naccepts_per_second = 1000000").start().await;
    let before = gateway.rss();
    let began = Instant::now();
    let mut clients = Vec::with_capacity(CONNECTIONS);
    while clients.len() < CONNECTIONS {
        let opening = (0..AT_ONCE).map(|offset| tokio::spawn(idle(gateway.addr(), clients.len() + offset)));
        for client in opening.collect::<Vec<_>>() {
            clients.push(client.await.expect("a connection"));
        }
    }
    let after = gateway.rss();
    check(&gateway).await;
    println!(
        "resident memory: {:.1} MB empty, {:.1} MB with {CONNECTIONS} idle connections ({:.2} KB each; opened in {:.1} s)",
        before as f64 / 1e6,
        after as f64 / 1e6,
        (after - before) as f64 / CONNECTIONS as f64 / 1e3,
        began.elapsed().as_secs_f64(),
    );
}

/// Connects, authenticates, and joins a room.
async fn idle(gateway: std::net::SocketAddr, number: usize) -> Client {
    let address = u8::try_from(number / PER_ADDRESS).expect("few addresses");
    let dial = Dial::to(gateway).from(IpAddr::V4(Ipv4Addr::new(127, 0, 1, address)));
    let mut client = dial.bearer(&token(&format!("user-{number}"))).welcomed().await;
    client.ok(json!({ "type": "join", "room": format!("room-{}", number / MEMBERS) })).await;
    client
}

async fn check(gateway: &Gateway) {
    let metrics = gateway.metrics().await;
    for metric in ["chorus_connections", "chorus_members"] {
        assert!((metrics.sum(metric) - CONNECTIONS as f64).abs() < 0.5, "{metric}: {}", metrics.sum(metric));
    }
}

/// Both this process and the gateway, which inherits the limit, hold a file per connection.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may be raised to the hard one");
}
