//! A primary and its replicas, watched by sentinels.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Redis, cluster::text};
use crate::{PATIENCE, Process, Proxy, find_program, free_port, until};

const MISSING: &str = "redis-sentinel is not installed: run \"cargo xtask test\" (installs it by apt when root) or \"apt-get install redis-sentinel\"";

/// What the sentinels call the primary.
const SERVICE: &str = "chorus";

/// One primary, two replicas and three sentinels on free loopback ports.
#[derive(Debug)]
pub struct RedisSentinel {
    sentinels: Vec<(Option<Process>, u16)>,
    /// The data nodes, in the order of their starting. Which of them is the primary changes with every failover.
    pub nodes: Vec<Redis>,
    /// Where the others find each data node, when they are apart.
    inside: Vec<Proxy>,
    dir: TempDir,
}

impl RedisSentinel {
    /// Starts them, and waits until every sentinel knows of all the others.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// Starts them with further lines for every Redis, and for every sentinel.
    pub async fn start_with(lines: &[&str], sentinel_lines: &[&str]) -> Self {
        Self::start_as(lines, sentinel_lines, None).await
    }

    /// The same; the sentinels say this name and password to every Redis.
    pub async fn start_as(lines: &[&str], sentinel_lines: &[&str], login: Option<(&str, &str)>) -> Self {
        let lines: Vec<&str> = ["repl-diskless-sync-delay 0"].iter().chain(lines).copied().collect();
        let primary = Redis::start_with(&lines).await;
        let of = format!("replicaof 127.0.0.1 {}", primary.port());
        let lines: Vec<&str> = lines.into_iter().chain([of.as_str()]).collect();
        let mut nodes = vec![primary];
        for _ in 0..2 {
            nodes.push(Redis::start_with(&lines).await);
        }
        let login = login.map_or_else(String::new, |(user, password)| {
            format!("sentinel auth-user {SERVICE} {user}\nsentinel auth-pass {SERVICE} {password}\n")
        });
        let watched = nodes[0].port();
        let conf = format!(
            "{}\n\
             sentinel monitor {SERVICE} 127.0.0.1 {watched} 2\n\
             sentinel down-after-milliseconds {SERVICE} 700\n\
             sentinel failover-timeout {SERVICE} 3000\n{login}",
            sentinel_lines.join("\n"),
        );
        Self::watch(nodes, &conf).await
    }

    /// Has three sentinels watch these, by a configuration to which their own places are added.
    pub(super) async fn watch(nodes: Vec<Redis>, conf: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("chorus-sentinel-").tempdir().expect("a directory");
        let mut sentinels = Vec::new();
        for number in 0..3 {
            let port = free_port();
            let own = format!(
                "port {port}\nunixsocket \"{}\"\nbind 127.0.0.1\ndir \"{}\"\n{}\n",
                socket(dir.path(), number).display(),
                dir.path().display(),
                conf.replace("{port}", &port.to_string()),
            );
            fs::write(file(dir.path(), number), own).expect("sentinel.conf can be written");
            sentinels.push((None, port));
        }
        let mut all = Self { sentinels, nodes, inside: Vec::new(), dir };
        for number in 0..3 {
            all.start_sentinel(number);
        }
        all.until_level(2).await;
        all
    }

    /// The address at which data nodes and sentinels find the data nodes, when they are apart.
    pub const INSIDE: &'static str = "127.0.0.9";

    /// Starts them so that data nodes and sentinels reach each data node through a proxy: see
    /// [`RedisSentinel::cut_off`]. A death takes longer to be noticed, for that is no test of Redis' haste.
    pub async fn start_apart() -> Self {
        let host = Self::INSIDE;
        let announce = format!("replica-announce-ip {host}");
        let lines = ["repl-diskless-sync-delay 0", announce.as_str()];
        let (mut nodes, mut inside) = (Vec::<Redis>::new(), Vec::new());
        for _ in 0..3 {
            let of = nodes.first().map(|primary| format!("replicaof {host} {}", primary.port()));
            let node = Redis::start_with(&lines.into_iter().chain(of.as_deref()).collect::<Vec<_>>()).await;
            let at = |host: &str| format!("{host}:{}", node.port()).parse().expect("an address");
            inside.push(Proxy::start_at(at(host), at("127.0.0.1"), Vec::new()).await);
            nodes.push(node);
        }
        let watched = nodes[0].port();
        let conf = format!(
            "sentinel monitor {SERVICE} {host} {watched} 2\n\
             sentinel down-after-milliseconds {SERVICE} 1500\n\
             sentinel failover-timeout {SERVICE} 3000\n",
        );
        Self { inside, ..Self::watch(nodes, &conf).await }
    }

    /// Starts a sentinel, with what it knew when it ended.
    pub fn start_sentinel(&mut self, number: usize) {
        let Some(program) = find_program("redis-sentinel") else { panic!("{MISSING}") };
        let mut command = Command::new(&program);
        command.arg(file(self.dir.path(), number));
        let process = Process::spawn(&format!("sentinel-{number}"), &mut command, self.dir.path());
        self.sentinels[number].0 = Some(process);
    }

    /// Ends a sentinel with SIGKILL.
    pub async fn kill_sentinel(&mut self, number: usize) {
        let mut process = self.sentinels[number].0.take().expect("this sentinel is running");
        process.signal(Signal::KILL);
        process.exited(PATIENCE).await;
    }

    /// Cuts a data node off from the other data nodes and from the sentinels, or ends that. Whoever reaches it
    /// directly still does. Only where they were [started apart](Self::start_apart).
    pub fn cut_off(&self, node: usize, off: bool) {
        self.inside[node].refuse(off);
    }

    /// The ports of the sentinels.
    pub fn sentinel_ports(&self) -> Vec<u16> {
        self.sentinels.iter().map(|(_, port)| *port).collect()
    }

    /// What the sentinels call the primary.
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// `redis-sentinel://…/chorus`, naming every sentinel.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
        format!("redis-sentinel://{}/{SERVICE}", hosts.join(","))
    }

    /// Which node is the primary, as the first sentinel says that is running.
    pub fn primary(&self) -> usize {
        let number = self.running().next().expect("a sentinel is running");
        let port = self.ask(number, "port").expect("a sentinel that answers");
        let found = self.nodes.iter().position(|node| node.port().to_string() == port);
        found.expect("a primary of ours")
    }

    /// Kills the primary and waits until another one stands in its place; gives the number of the one that is dead.
    pub async fn lose_primary(&mut self) -> usize {
        let primary = self.primary();
        self.nodes[primary].kill().await;
        self.until_primary_is_not(primary).await;
        primary
    }

    /// Starts a node that is dead and waits until it follows as a replica.
    pub async fn bring_back(&mut self, node: usize) {
        self.nodes[node].restart().await;
        self.until_level(2).await;
    }

    /// Has the sentinels make another node the primary, though nothing is wrong. They look at the replicas every ten
    /// seconds, and promote none that was away when they did.
    pub async fn failover(&self) {
        until(PATIENCE, "a failover", async || self.sentinel(0, &["SENTINEL", "FAILOVER", SERVICE])).await;
    }

    /// Waits until every sentinel names another primary than this one.
    pub async fn until_primary_is_not(&self, node: usize) {
        let before = self.nodes[node].port().to_string();
        for number in self.running() {
            until(PATIENCE, "another primary", async || match self.ask(number, "port") {
                Ok(port) if port != before => Ok(()),
                seen => Err(format!("{seen:?}")),
            })
            .await;
        }
    }

    /// Waits until the sentinels know each other and the primary has so many replicas that are level.
    pub async fn until_level(&self, replicas: usize) {
        for number in self.running() {
            until(PATIENCE, "the sentinels to know everybody", async || {
                let seen = (self.ask(number, "num-other-sentinels")?, self.ask(number, "num-slaves")?);
                if seen == ("2".to_owned(), "2".to_owned()) { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await;
        }
        until(PATIENCE, "level replicas", async || {
            let primary = &self.nodes[self.primary()];
            let info = text(&primary.try_command(&["INFO", "replication"]).map_err(|e| e.to_string())?);
            if info.matches("state=online").count() >= replicas { Ok(()) } else { Err(info) }
        })
        .await;
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.sentinels.len()).filter(|number| self.sentinels[*number].0.is_some())
    }

    /// What a sentinel says of the primary.
    fn ask(&self, number: usize, field: &str) -> Result<String, String> {
        let answer = self.sentinel(number, &["SENTINEL", "MASTER", SERVICE])?;
        let pairs: Vec<String> = redis::from_redis_value(answer).map_err(|error| error.to_string())?;
        let at = pairs.chunks(2).find(|pair| pair[0] == field).map(|pair| pair[1].clone());
        at.ok_or_else(|| format!("no {field}"))
    }

    fn sentinel(&self, number: usize, args: &[&str]) -> Result<redis::Value, String> {
        super::run(&socket(self.dir.path(), number), "", args).map_err(|error| error.to_string())
    }
}

/// Where a test's own commands to a sentinel go.
fn socket(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("sentinel-{number}.sock"))
}

fn file(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("sentinel-{number}.conf"))
}
