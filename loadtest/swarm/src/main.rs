//! `swarm`: a crowd against one server or several, and what it cost them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser};
use swarm::dialect::Name;
use swarm::plan::Plan;
use swarm::run::{Layout, Run, Server, Step};
use swarm::{table, worker};

/// A crowd of WebSocket clients, and what it costs the servers.
#[derive(Parser)]
#[command(name = "swarm", version)]
enum Command {
    /// Connect, send, count; a line for each rate.
    Run(Box<Asked>),
    /// One share of a run: orders come on standard input.
    #[command(hide = true)]
    Worker,
}

#[derive(Args)]
struct Asked {
    /// Servers; connections are spread over them.
    #[arg(required = true)]
    targets: Vec<SocketAddr>,
    /// What they speak.
    #[arg(long, value_enum, default_value = "chorus")]
    dialect: Name,
    /// The CA of the servers' certificates (PEM): they are spoken to over TLS then.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// The key that tokens are signed with (HS256).
    #[arg(long, default_value = "", env = "SWARM_SECRET")]
    secret: String,
    /// Servers' processes whose CPU time and memory are measured.
    #[arg(long = "pid")]
    pids: Vec<u32>,
    /// Connections.
    #[arg(long, default_value_t = 1000)]
    connections: u32,
    /// Rooms.
    #[arg(long, default_value_t = 1)]
    rooms: u32,
    /// Rooms that each connection is in.
    #[arg(long, default_value_t = 1)]
    rooms_each: u32,
    /// Members of each room that send.
    #[arg(long, default_value_t = 1)]
    senders: u32,
    /// Messages a second, of all senders; several are played one after the other.
    #[arg(long, value_delimiter = ',', default_value = "20")]
    rates: Vec<f64>,
    /// How long each rate is played, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How long it is waited for what did not come, in seconds.
    #[arg(long, default_value_t = 10.0)]
    drain: f64,
    /// Length of a message's data, in bytes.
    #[arg(long, default_value_t = 128)]
    size: u32,
    /// Connections that read 1 KiB a second.
    #[arg(long, default_value_t = 0)]
    slow: u32,
    /// Connections that never read.
    #[arg(long, default_value_t = 0)]
    silent: u32,
    /// Each sender sends when its last message came back, whatever the rate.
    #[arg(long)]
    closed_loop: bool,
    /// Cut all that do not send at the start of each rate, and have them resume.
    #[arg(long)]
    storm: bool,
    /// Processes of the load generator; each holds up to some 19,000 connections where 20,000 files are the limit.
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// The core that they stay on.
    #[arg(long)]
    core: Option<usize>,
    /// Handshakes under way at once in each.
    #[arg(long, default_value_t = 128)]
    in_flight: u32,
    /// JSON lines instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Worker => worker::run(),
        Command::Run(asked) => play(&asked),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("swarm: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn play(asked: &Asked) -> Result<(), String> {
    let plan = Plan {
        dialect: asked.dialect,
        targets: asked.targets.clone(),
        first_port: 0,
        ca: asked.ca.clone(),
        secret: asked.secret.clone(),
        connections: asked.connections,
        rooms: asked.rooms,
        prefix: "r".to_owned(),
        rooms_each: asked.rooms_each,
        senders: asked.senders,
        size: asked.size,
        slow: asked.slow,
        silent: asked.silent,
        in_flight: asked.in_flight,
        resume: asked.storm,
        closed_loop: asked.closed_loop,
    };
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let servers: Vec<Server> =
        asked.pids.iter().map(|pid| Server { name: pid.to_string(), pid: *pid }).collect();
    let layout = Layout { workers: asked.workers, core: asked.core };
    let mut run = Run::open(&program, &plan, &layout, &servers)?;
    let (live, seconds) = run.opened();
    eprintln!("{live} connections in {seconds:.2} s");
    if !asked.json {
        println!("{}", table::HEAD);
    }
    for rate in &asked.rates {
        let step = Step { rate: *rate, seconds: asked.seconds, drain: asked.drain, storm: asked.storm };
        let outcome = run.play(step)?;
        if asked.json {
            println!("{}", serde_json::to_string(&outcome).map_err(|error| error.to_string())?);
        } else {
            println!("{}", table::line(&outcome));
            if let Some(reason) = &outcome.counts.first_close {
                eprintln!("  closed: {reason}");
            }
            if asked.storm {
                eprintln!("  back after {:.2} s", outcome.counts.back_s);
            }
        }
    }
    Ok(())
}
