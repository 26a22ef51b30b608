//! A real `chorus` process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Certificates, Metrics, PATIENCE, Process, Redis, Request, SECRET, secure, until};

/// The configuration file, in the directory of its gateway.
const CONFIG: &str = "chorus.toml";

/// How a gateway is to be started.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    binary: PathBuf,
    node: String,
    listen: String,
    environment: Vec<(String, String)>,
    config: String,
    arguments: Vec<String>,
    certificates: Option<Arc<Certificates>>,
}

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    addr: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    // Holds the configuration and the logs: removed after the process has ended.
    dir: TempDir,
}

impl GatewayOptions {
    /// A gateway with the tests' key ([`SECRET`]), the memory bus, and a port of the kernel's choice.
    pub fn new(binary: impl AsRef<Path>) -> Self {
        Self::bare(binary).env("CHORUS_JWT_SECRET", SECRET)
    }

    /// A gateway without any configuration: development mode.
    pub fn bare(binary: impl AsRef<Path>) -> Self {
        Self {
            // It is started in a directory of its own.
            binary: fs::canonicalize(&binary).unwrap_or_else(|_| binary.as_ref().to_owned()),
            node: "node".to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            config: String::new(),
            arguments: Vec::new(),
            certificates: None,
        }
        .secure_if(std::env::var_os("CHORUS_TEST_TLS").is_some())
    }

    fn secure_if(self, secure: bool) -> Self {
        if secure { self.secure() } else { self }
    }

    /// Has it speak TLS, with a certificate of its own. This process' clients do so, too, then. With `CHORUS_TEST_TLS` in
    /// the tests' environment all do.
    #[must_use]
    pub fn secure(mut self) -> Self {
        self.certificates = Some(Arc::new(Certificates::new()));
        self
    }

    /// Connects it to a Redis.
    #[must_use]
    pub fn redis(self, redis: &Redis) -> Self {
        self.env("CHORUS_REDIS_URL", redis.url())
    }

    /// Names the node.
    #[must_use]
    pub fn node(mut self, name: &str) -> Self {
        name.clone_into(&mut self.node);
        self
    }

    /// Sets the listening address, `host:port`.
    #[must_use]
    pub fn listen(mut self, addr: &str) -> Self {
        addr.clone_into(&mut self.listen);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Adds lines to its configuration file (TOML); top-level keys before the first table.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Adds command-line arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead, with its log.
    pub async fn start(self) -> Gateway {
        let dir =
            tempfile::Builder::new().prefix("chorus-gateway-").tempdir().expect("a temporary directory");
        let mut process = Process::spawn(&self.node, &mut self.command(dir.path()), dir.path());
        let addr = until(PATIENCE, "the gateway to log \"listening\"", async || {
            if let Some(status) = process.status() {
                panic!("{} ended with {status}:\n{}", self.node, process.last_lines());
            }
            listening_address(&process.stderr()).ok_or_else(|| process.last_lines())
        })
        .await;
        secure::set(addr, self.certificates.as_ref().map(|own| own.file("ca.pem")).as_deref());
        Gateway { process, addr, certificates: self.certificates, dir }
    }

    /// Runs it to its end: for the commands that do not serve, and for configurations that are refused.
    ///
    /// # Panics
    /// When it has not ended in time.
    pub async fn run(self) -> Output {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut process = Process::spawn(&self.node, &mut self.command(dir.path()), dir.path());
        let status = process.exited(PATIENCE).await;
        Output { status, stdout: process.stdout().into_bytes(), stderr: process.stderr().into_bytes() }
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        // What a developer has exported must not change what is tested.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHORUS_") {
                command.env_remove(name);
            }
        }
        if !self.config.is_empty() {
            let file = dir.join(CONFIG);
            fs::write(&file, &self.config).expect("the configuration can be written");
            command.env("CHORUS_CONFIG", file);
        }
        command
            .current_dir(dir)
            .env("NO_COLOR", "1")
            .env("CHORUS_LISTEN", &self.listen)
            .env("CHORUS_NODE", &self.node)
            .envs(self.certificates.iter().flat_map(|own| {
                [
                    ("CHORUS_TLS_CERTIFICATE", own.file("server.pem")),
                    ("CHORUS_TLS_KEY", own.file("server.key")),
                ]
            }))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(&self.arguments);
        command
    }
}

impl Gateway {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it shows to clients, and who has signed that.
    ///
    /// # Panics
    /// When it does not speak TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_deref().expect("a gateway that was started to speak TLS")
    }

    /// Writes its configuration file anew, for it to be read again. It has one only if it was started with one.
    ///
    /// # Panics
    /// When the file can't be written.
    pub fn configure(&self, toml: &str) {
        let (file, new) = (self.dir.path().join(CONFIG), self.dir.path().join("chorus.toml.new"));
        fs::write(&new, toml).expect("the configuration can be written");
        // Never half of it.
        fs::rename(new, file).expect("the configuration can be replaced");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it has not by then.
    pub async fn exited(&mut self, deadline: Duration) -> ExitStatus {
        self.process.exited(deadline).await
    }

    /// Ends it with SIGTERM and waits.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exited(PATIENCE).await
    }

    /// Ends it with SIGKILL, as a crash would.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.exited(PATIENCE).await;
    }

    /// Reads `/metrics`.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&Request::get("/metrics").send(self.addr).await.body)
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&self) {
        until(PATIENCE, "/readyz to answer 200", async || {
            let response =
                Request::get("/readyz").try_send(self.addr).await.map_err(|error| error.to_string())?;
            if response.status == 200 { Ok(()) } else { Err(format!("{response:?}")) }
        })
        .await;
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        self.process.rss()
    }

    /// The processor's time that it has used.
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// What it has printed.
    pub fn stdout(&self) -> String {
        self.process.stdout()
    }
}

/// Finds `addr` in the line that says that it listens, in either log format.
fn listening_address(log: &str) -> Option<SocketAddr> {
    // The listener of the metrics, if there is one, says "listening for metrics".
    let line = log.lines().find(|line| line.contains("listening") && !line.contains("listening for"))?;
    let after = line.split_once("addr")?.1.trim_start_matches(['"', ':', '=']);
    let end = after.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(after.len());
    after[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::listening_address;

    #[test]
    fn the_address_is_read_from_both_log_formats() {
        let text = "INFO chorus: listening for metrics addr=127.0.0.1:9\nINFO chorus: listening addr=127.0.0.1:4711 node=a\n";
        let json = r#"{"level":"INFO","fields":{"message":"listening","addr":"127.0.0.1:4711"}}"#;
        for log in [text, json] {
            assert_eq!(listening_address(log), Some("127.0.0.1:4711".parse().unwrap()));
        }
        assert_eq!(listening_address("starting\n"), None);
    }
}
