//! A real nginx: with the shipped configuration, or as a proxy that was set up without a thought of us.

mod options;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

pub use options::NginxOptions;

use crate::{PATIENCE, Process, find_program, free_port, until};

const MISSING: &str = "nginx is not installed: run \"cargo xtask test\" (installs it by apt when root) or \"apt-get install nginx\"";

/// The port of the shipped configuration that clients connect to.
const HTTP: u16 = 80;

/// The least that hands requests on, by HTTP/1.0; it buffers answers, as nginx does by itself.
const PLAIN: &str = "\
pid nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    server {
        listen LISTEN;
        location / {
            proxy_pass http://GATEWAY;
            proxy_set_header Host $http_host;
        }
    }
}
";

/// A running nginx, with a directory of its own as prefix.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    addrs: BTreeMap<u16, SocketAddr>,
    dir: TempDir,
}

impl Nginx {
    /// Starts nginx with the project's `nginx/nginx.conf` before three gateways.
    pub async fn start(gateways: [SocketAddr; 3]) -> Self {
        NginxOptions::shipped().start(gateways).await
    }

    /// Starts one that knows nothing of WebSockets before a gateway, as many an office has it: it does not hand on
    /// `Upgrade`, which is what nginx does unless it is told to.
    pub async fn without_upgrades(gateway: SocketAddr) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let conf = PLAIN.replace("LISTEN", &addr.to_string()).replace("GATEWAY", &gateway.to_string());
        let mut options = NginxOptions::of(&conf);
        options.addrs.insert(HTTP, addr);
        Self::run(&options).await
    }

    async fn run(options: &NginxOptions) -> Self {
        let Some(program) = find_program("nginx") else { panic!("{MISSING}") };
        let dir = tempfile::Builder::new().prefix("chorus-nginx-").tempdir().expect("a temporary directory");
        // Started by root, nginx' workers are another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("one's own directory");
        for (name, text) in &options.files {
            fs::write(dir.path().join(name), text).expect("a configuration");
        }
        for (from, to) in &options.copies {
            let to = dir.path().join(to);
            fs::create_dir_all(to.parent().expect("it is in the prefix")).expect("one's own directory");
            fs::copy(from, to).expect("a certificate");
        }

        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]);
        let mut process = Process::spawn("nginx", &mut command, dir.path());
        until(PATIENCE, "nginx to accept", async || {
            if let Some(status) = process.status() {
                panic!("nginx ended with {status}:\n{}", process.last_lines());
            }
            TcpStream::connect(options.addrs[&HTTP]).await.map_err(|error| error.to_string())
        })
        .await;
        Self { process, addrs: options.addrs.clone(), dir }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr_of(HTTP)
    }

    /// Where it listens in the place of a port that the shipped configuration has: 443 of `tls.conf`, for example.
    ///
    /// # Panics
    /// When what was chosen has no such port.
    pub fn addr_of(&self, port: u16) -> SocketAddr {
        self.addrs[&port]
    }

    /// Replaces a text in a file of the running configuration, which a reload takes over. It must occur exactly once.
    ///
    /// # Panics
    /// When it does not.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(text.matches(from).count(), 1, "{file} has one {from:?}");
        fs::write(&path, text.replace(from, to)).expect("one's own file");
    }

    /// Has it read its configuration anew, as `nginx -s reload` does, and waits until new workers accept and the old
    /// ones only hold what they have.
    pub async fn reload(&self) {
        let before: Vec<u32> = self.workers().into_iter().map(|(id, _)| id).collect();
        self.process.signal(Signal::HUP);
        until(PATIENCE, "nginx to reload", async || {
            let workers = self.workers();
            let (old, new): (Vec<_>, Vec<_>) = workers.iter().partition(|(id, _)| before.contains(id));
            let done = !new.is_empty() && old.iter().all(|(_, leaving)| *leaving);
            if done { Ok(()) } else { Err(format!("{workers:?}, {}", self.error_log())) }
        })
        .await;
    }

    /// How many workers of before a reload there still are, for the sake of their sockets.
    pub fn leaving(&self) -> usize {
        self.workers().into_iter().filter(|(_, leaving)| *leaving).count()
    }

    /// The ids of its workers, and whether each accepts nobody any more.
    fn workers(&self) -> Vec<(u32, bool)> {
        let master = self.process.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"))
            .expect("procfs tells of a child's children");
        let ids = children.split_whitespace().map(|id| id.parse().expect("a process id"));
        ids.filter_map(|id: u32| {
            // Between the two readings it may have ended.
            let title = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
            title.contains("worker").then(|| (id, title.contains("shutting down")))
        })
        .collect()
    }

    /// The access log so far.
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }

    /// What it has written to stderr, its error log.
    pub fn error_log(&self) -> String {
        self.process.stderr()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, the master would leave its workers behind; asked to end, it takes them along.
        self.process.signal(Signal::TERM);
        let began = Instant::now();
        while self.process.status().is_none() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
