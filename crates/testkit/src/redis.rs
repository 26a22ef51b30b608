//! A real `redis-server` of a test's own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{PATIENCE, Process, find_program, free_port, until};

mod cluster;
mod sentinel;
mod shipped;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

const MISSING: &str = "redis-server is not installed: run \"cargo xtask test\" (installs it by apt when root) or \"apt-get install redis-server\"";

/// What every test's Redis is configured with; a test's own lines follow and win.
const BASE: &str = "bind 127.0.0.1\nappendonly yes\nsave \"\"\nmaxmemory-policy noeviction\ndaemonize no\nenable-debug-command local\n";

/// Between two requests to stop.
const AGAIN: Duration = Duration::from_secs(1);

/// The root of the project.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Where a test's own commands go: that way is open whatever the port speaks.
const SOCKET: &str = "redis.sock";

/// A `redis-server` on a free loopback port, append-only, in a directory that vanishes with it.
#[derive(Debug)]
pub struct Redis {
    // Before the directory: fields are dropped in order, and the process writes there.
    process: Option<Process>,
    port: u16,
    dir: TempDir,
    /// Its configuration and what stands behind that on the command line.
    arguments: Vec<OsString>,
}

/// A copy of a Redis' data files.
#[derive(Debug)]
pub struct Snapshot(TempDir);

/// How long each append-only file was at one time.
#[derive(Debug)]
pub struct Synced(Vec<(PathBuf, u64)>);

impl Redis {
    /// Starts one with the default configuration and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with further lines of `redis.conf`, in which `{port}` is its own.
    pub async fn start_with(lines: &[&str]) -> Self {
        let mut redis = Self::prepare(lines);
        redis.restart().await;
        redis
    }

    /// One that is configured and not started.
    fn prepare(lines: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("chorus-redis-").tempdir().expect("a temporary directory");
        let port = free_port();
        fs::create_dir(dir.path().join("data")).expect("a directory for the data");
        let data = dir.path().join("data");
        let lines = lines.join("\n").replace("{port}", &port.to_string());
        let conf = format!(
            "port {port}\nunixsocket \"{}\"\ndir \"{}\"\n{BASE}{lines}\n",
            dir.path().join(SOCKET).display(),
            data.display()
        );
        let file = dir.path().join("redis.conf");
        fs::write(&file, conf).expect("redis.conf can be written");
        Self { process: None, port, dir, arguments: vec![file.into()] }
    }

    /// Whether its process is there: it was neither stopped nor killed.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it on the same port and data as before, and waits until it has loaded them.
    ///
    /// # Panics
    /// When it is running already.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "this Redis is running already");
        let Some(program) = find_program("redis-server") else { panic!("{MISSING}") };
        let mut command = Command::new(program);
        command.args(&self.arguments).current_dir(self.dir.path());
        let mut process = Process::spawn("redis", &mut command, self.dir.path());
        until(PATIENCE, "redis-server to answer PING", async || {
            if let Some(status) = process.status() {
                panic!("redis-server ended with {status}:\n{}", process.last_lines());
            }
            self.try_command(&["PING"]).map_err(|error| error.to_string())
        })
        .await;
        self.process = Some(process);
    }

    /// Ends it with SIGTERM: it writes what it holds to its append-only file first.
    pub async fn stop(&mut self) {
        // A replica that writes the first file after a full copy refuses to stop.
        let mut process = self.process.take().expect("this Redis is running");
        until(PATIENCE, "redis-server to stop", async || {
            process.signal(Signal::TERM);
            tokio::time::timeout(AGAIN, process.exited(PATIENCE))
                .await
                .map_err(|_| "still running".to_owned())
        })
        .await;
    }

    /// Ends it with SIGKILL.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("this Redis is running");
        process.signal(Signal::KILL);
        process.exited(PATIENCE).await;
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.running().signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.running().signal(Signal::CONT);
    }

    /// `redis://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on, also while it is stopped.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has cut because their output grew beyond the limit, over all its starts. From its log:
    /// Redis counts them only since 7.2.
    pub fn output_cuts(&self) -> usize {
        self.running().stdout().matches("overcoming of output buffer limits").count()
    }

    /// Runs one command on a connection of its own.
    ///
    /// # Panics
    /// When it fails.
    pub fn command(&self, args: &[&str]) -> redis::Value {
        self.try_command(args).unwrap_or_else(|error| panic!("redis: {args:?}: {error}"))
    }

    /// The same for an answer that is a number.
    pub fn number(&self, args: &[&str]) -> i64 {
        let value = self.command(args);
        redis::from_redis_value(value).unwrap_or_else(|error| panic!("redis: {args:?}: {error}"))
    }

    /// The same for an answer that is a text.
    pub fn text(&self, args: &[&str]) -> String {
        let value = self.command(args);
        redis::from_redis_value(value).unwrap_or_else(|error| panic!("redis: {args:?}: {error}"))
    }

    /// A line of what it says of itself in a section of INFO.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn info(&self, section: &str, name: &str) -> String {
        let info = self.text(&["INFO", section]);
        info_line(&info, name).unwrap_or_else(|| panic!("no {name} in {info}")).to_owned()
    }

    /// Runs one command; the answer must come within 2 seconds.
    pub fn try_command(&self, args: &[&str]) -> redis::RedisResult<redis::Value> {
        run(&self.dir.path().join(SOCKET), "", args)
    }

    /// The same, by somebody who says a name and a password.
    pub fn try_command_as(
        &self,
        user: &str,
        password: &str,
        args: &[&str],
    ) -> redis::RedisResult<redis::Value> {
        run(&self.dir.path().join(SOCKET), &format!("?user={user}&pass={password}"), args)
    }

    /// Copies the data files, with all that was acknowledged until now.
    pub fn snapshot(&self) -> Snapshot {
        // Redis writes a command to its append-only file before it answers, but not while a sync of each second is
        // under way: then it may take two seconds. Set to sync always, it writes at once, before it answers.
        let mode: Vec<String> = redis::from_redis_value(self.command(&["CONFIG", "GET", "appendfsync"]))
            .expect("a setting is its name and its value");
        self.command(&["CONFIG", "SET", "appendfsync", "always"]);
        self.command(&["CONFIG", "SET", "appendfsync", &mode[1]]);
        let copy =
            tempfile::Builder::new().prefix("chorus-snapshot-").tempdir().expect("a temporary directory");
        copy_tree(&self.dir.path().join("data"), copy.path());
        Snapshot(copy)
    }

    /// Puts an older copy in the place of the data files.
    ///
    /// # Panics
    /// When Redis is running: it would not look at them.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        assert!(self.process.is_none(), "stop Redis before its data is replaced");
        let data = self.dir.path().join("data");
        fs::remove_dir_all(&data).expect("the data directory can be removed");
        copy_tree(snapshot.0.path(), &data);
    }

    /// How much of the append-only file is there by now, to be called on disk: see [`Redis::lose_since`].
    pub fn synced(&self) -> Synced {
        Synced(append_only_files(self.dir.path()))
    }

    /// Cuts off what was appended to the file since, as a machine does that ends before it was synced.
    ///
    /// # Panics
    /// When Redis is running.
    pub fn lose_since(&mut self, synced: &Synced) {
        assert!(self.process.is_none(), "stop Redis before its data is cut");
        for (path, length) in append_only_files(self.dir.path()) {
            let kept = synced.0.iter().find(|(known, _)| *known == path).map_or(length, |(_, kept)| *kept);
            let file =
                fs::File::options().write(true).open(&path).expect("the append-only file can be opened");
            file.set_len(kept.min(length)).expect("a file can be cut");
        }
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("this Redis is running")
    }
}

/// The value of a line of what INFO answers.
pub(crate) fn info_line<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// The files that commands are appended to, and their lengths.
fn append_only_files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let files = fs::read_dir(dir.join("data/appendonlydir")).expect("the append-only files can be listed");
    let paths = files.map(|file| file.expect("the append-only files can be listed").path());
    let grown = |path: &PathBuf| path.to_string_lossy().ends_with(".incr.aof");
    let measured = |path: PathBuf| {
        let length = path.metadata().expect("an append-only file has a length").len();
        (path, length)
    };
    paths.filter(grown).map(measured).collect()
}

/// Runs one command on a connection of its own.
fn run(socket: &Path, login: &str, args: &[&str]) -> redis::RedisResult<redis::Value> {
    let client = redis::Client::open(format!("unix://{}{login}", socket.display()))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
    connection.set_read_timeout(Some(Duration::from_secs(2)))?;
    let (name, rest) = args.split_first().expect("a command has a name");
    redis::cmd(name).arg(rest).query(&mut connection)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("a directory can be listed") {
        let entry = entry.expect("a directory can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a data file can be copied");
        }
    }
}
