//! The servers that are measured, each with one command, all on the first core.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use swarm::dialect::Name;
use swarm::run::Server;

/// Where servers run.
pub(crate) const SERVERS_CORE: usize = 0;

/// The load generator's core.
pub(crate) const LOAD_CORE: usize = 1;

/// Signs the load generator's tokens.
pub(crate) const SECRET: &str = "the key of a benchmark, 32 bytes or more";

/// A server that is not up by then will not be.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that carries a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare loop of `send`.
    Floor,
    /// This project.
    Chorus,
    /// Node `ws`.
    Ws,
    /// Socket.IO.
    SocketIo,
    /// Socket.IO with its sharded Redis adapter.
    SocketIoSharded,
    /// socketioxide.
    Socketioxide,
    /// Sockudo.
    Sockudo,
    /// The core of Centrifugo.
    Centrifuge,
    /// The same without history.
    CentrifugeForgetful,
}

impl Kind {
    /// What it is called in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Chorus => "chorus",
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::SocketIoSharded => "socket.io, sharded adapter",
            Self::Socketioxide => "socketioxide",
            Self::Sockudo => "sockudo",
            Self::Centrifuge => "centrifuge",
            Self::CentrifugeForgetful => "centrifuge, no history",
        }
    }

    /// What it speaks.
    pub(crate) fn dialect(self) -> Name {
        match self {
            Self::Chorus => Name::Chorus,
            Self::Floor | Self::Ws => Name::Ws,
            Self::SocketIo | Self::SocketIoSharded | Self::Socketioxide => Name::Socketio,
            Self::Centrifuge | Self::CentrifugeForgetful => Name::Centrifugo,
            Self::Sockudo => Name::Pusher,
        }
    }
}

/// Where the programs are.
pub(crate) struct Programs {
    target: PathBuf,
    root: PathBuf,
}

impl Programs {
    /// In the directory that everything was built into, and in the project's own.
    pub(crate) fn new(target: &Path, root: &Path) -> Self {
        Self { target: target.to_owned(), root: root.to_owned() }
    }

    /// Appends through the bus, without a gateway.
    pub(crate) fn appends(&self) -> PathBuf {
        self.target.join("release/examples/appends")
    }

    /// Chorus itself.
    pub(crate) fn chorus(&self) -> PathBuf {
        self.target.join("release/chorus")
    }

    /// The load generator.
    pub(crate) fn swarm(&self) -> PathBuf {
        self.target.join("release/swarm")
    }

    fn command(&self, kind: Kind, core: usize) -> Command {
        let built = |path: &str| pinned(core, self.target.join(path));
        let node = |script: &str| {
            let mut command = pinned(core, "node");
            command.arg(self.root.join("loadtest/peers/node").join(script));
            command
        };
        match kind {
            Kind::Chorus => built("release/chorus"),
            Kind::Floor => built("peers/release/floor"),
            Kind::Socketioxide => built("peers/release/socketioxide"),
            Kind::Sockudo => built("peers/bin/sockudo"),
            Kind::Centrifuge | Kind::CentrifugeForgetful => built("peers/centrifuge"),
            Kind::Ws => node("ws.mjs"),
            Kind::SocketIo | Kind::SocketIoSharded => node("socketio.mjs"),
        }
    }
}

/// A program that stays on one core.
pub(crate) fn pinned(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// What is behind the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing: there is one server.
    Nothing,
    /// A Redis, on the servers' core.
    Redis,
    /// A Redis that has the servers' core for itself, and the servers are on the load generator's.
    RedisApart,
}

/// One server or several, and a Redis behind them; they end with it.
pub(crate) struct Fleet {
    children: Vec<Child>,
    dir: PathBuf,
    /// Where the servers listen.
    pub targets: Vec<SocketAddr>,
    /// All processes, for what they cost.
    pub processes: Vec<Server>,
    /// Where Redis listens, if there is one.
    pub redis: Option<u16>,
}

impl Fleet {
    /// Starts so many servers, with a Redis if there is to be one, and waits until they listen.
    ///
    /// # Errors
    /// When one does not come up: it was not built, as a rule.
    pub(crate) fn start(
        programs: &Programs,
        kind: Kind,
        nodes: usize,
        behind: Behind,
        lines: &str,
    ) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("chorus-bench-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut fleet =
            Self { children: Vec::new(), dir, targets: Vec::new(), processes: Vec::new(), redis: None };
        if behind != Behind::Nothing {
            fleet.start_redis()?;
        }
        let core = if behind == Behind::RedisApart { LOAD_CORE } else { SERVERS_CORE };
        for node in 0..nodes {
            fleet.start_server(programs, kind, core, node, lines)?;
        }
        Ok(fleet)
    }

    fn start_redis(&mut self) -> Result<(), String> {
        let port = free_port()?;
        let mut command = pinned(SERVERS_CORE, "redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
        ]);
        command.args(["--stream-node-max-bytes", "1024", "--port"]).arg(port.to_string());
        command.arg("--dir").arg(&self.dir).stdout(Stdio::null());
        self.add("redis", command, port)?;
        self.redis = Some(port);
        Ok(())
    }

    fn start_server(
        &mut self,
        programs: &Programs,
        kind: Kind,
        core: usize,
        node: usize,
        lines: &str,
    ) -> Result<(), String> {
        let port = free_port()?;
        let mut command = programs.command(kind, core);
        command.env("PORT", port.to_string()).env("SECRET", SECRET);
        if kind == Kind::Chorus {
            let config = self.dir.join("chorus.toml");
            fs::write(&config, configuration(lines)).map_err(|error| error.to_string())?;
            command.env("CHORUS_CONFIG", config).env("CHORUS_JWT_SECRET", SECRET).env("CHORUS_LOG", "error");
            command
                .env("CHORUS_LISTEN", format!("127.0.0.1:{port}"))
                .env("CHORUS_NODE", format!("node-{node}"));
        }
        if let Some(redis) = self.redis {
            command.env("CHORUS_REDIS_URL", format!("redis://127.0.0.1:{redis}"));
            command.env("REDIS_URL", format!("redis://127.0.0.1:{redis}"));
            command.env("REDIS_ADDRESS", format!("127.0.0.1:{redis}"));
            command.env("ADAPTER", if kind == Kind::SocketIoSharded { "sharded" } else { "redis" });
        }
        if kind == Kind::Sockudo {
            command.env("HOST", "127.0.0.1").env("METRICS_HOST", "127.0.0.1");
            command.env("SOCKUDO_DEFAULT_APP_ID", "swarm");
            command.env("SOCKUDO_DEFAULT_APP_KEY", "swarm").env("SOCKUDO_DEFAULT_APP_SECRET", SECRET);
            command.env("SOCKUDO_DEFAULT_APP_ENABLE_CLIENT_MESSAGES", "true");
            // No limit, as everybody's are raised.
            command.env("SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS", "100000").env("RATE_LIMITER_ENABLED", "false");
            command.env("SOCKUDO_DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SECOND", "0").stderr(Stdio::null());
        }
        if kind == Kind::CentrifugeForgetful {
            command.env("HISTORY", "off");
        }
        command.stdout(Stdio::null());
        self.add(&format!("{} {node}", kind.name()), command, port)?;
        self.targets.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Ok(())
    }

    fn add(&mut self, name: &str, mut command: Command, port: u16) -> Result<(), String> {
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        self.processes.push(Server { name: name.to_owned(), pid: child.id() });
        self.children.push(child);
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if began.elapsed() > PATIENCE {
                return Err(format!("{name} does not listen; `cargo xtask bench` builds what is needed"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// How often Redis ran each command, as `INFO commandstats` has it.
    pub(crate) fn redis_calls(&self) -> Result<Vec<(String, u64)>, String> {
        let Some(port) = self.redis else { return Ok(Vec::new()) };
        let mut socket =
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())?;
        std::io::Write::write_all(&mut socket, b"INFO commandstats\r\nQUIT\r\n")
            .map_err(|error| error.to_string())?;
        let calls = BufReader::new(socket).lines().map_while(Result::ok).filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        Ok(calls.collect())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Chorus as it comes, but for limits that keep one machine from being a crowd.
fn configuration(lines: &str) -> String {
    format!(
        "{lines}\n[limits]\nconnections_per_address = 100000\naccepts_per_second = 100000\n\
         frames_per_second = 1000000\nframe_burst = 1000000\n"
    )
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|addr| addr.port()).map_err(|error| error.to_string())
}
