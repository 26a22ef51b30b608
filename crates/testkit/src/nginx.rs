//! A real nginx: with the shipped configuration, or as a proxy that was set up without a thought of us.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{PATIENCE, Process, find_program, free_port, until};

const MISSING: &str = "nginx is not installed: run \"cargo xtask test\" (installs it by apt when root) or \"apt-get install nginx\"";

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
    addr: SocketAddr,
    dir: TempDir,
}

impl Nginx {
    /// Starts nginx with the project's `nginx/nginx.conf` before three gateways. Their addresses and the port that
    /// nginx listens on are changed, and nothing else.
    pub async fn start(gateways: [SocketAddr; 3]) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nginx/nginx.conf");
        let shipped =
            fs::read_to_string(&shipped).unwrap_or_else(|error| panic!("{}: {error}", shipped.display()));
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self::run(addr, &readdress(&shipped, addr, gateways)).await
    }

    /// Starts one that knows nothing of WebSockets before a gateway, as many an office has it: it does not hand on
    /// `Upgrade`, which is what nginx does unless it is told to.
    pub async fn without_upgrades(gateway: SocketAddr) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self::run(addr, &PLAIN.replace("LISTEN", &addr.to_string()).replace("GATEWAY", &gateway.to_string()))
            .await
    }

    async fn run(addr: SocketAddr, conf: &str) -> Self {
        let Some(program) = find_program("nginx") else { panic!("{MISSING}") };
        let dir = tempfile::Builder::new().prefix("chorus-nginx-").tempdir().expect("a temporary directory");
        // Started by root, nginx' workers are another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("one's own directory");
        fs::write(dir.path().join("nginx.conf"), conf).expect("a configuration");

        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]);
        let mut process = Process::spawn("nginx", &mut command, dir.path());
        until(PATIENCE, "nginx to accept", async || {
            if let Some(status) = process.status() {
                panic!("nginx ended with {status}:\n{}", process.last_lines());
            }
            TcpStream::connect(addr).await.map_err(|error| error.to_string())
        })
        .await;
        Self { process, addr, dir }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
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

/// Puts the addresses of a test in the place of the shipped ones, each of which must occur exactly once.
fn readdress(shipped: &str, listen: SocketAddr, gateways: [SocketAddr; 3]) -> String {
    let mut conf = shipped.to_owned();
    let mut replace = |from: &str, to: String| {
        assert_eq!(conf.matches(from).count(), 1, "nginx.conf no longer has one {from:?}");
        conf = conf.replace(from, &to);
    };
    replace("listen 80 ", format!("listen {listen} "));
    for (number, gateway) in (1..).zip(gateways) {
        replace(&format!("server gateway-{number}:8080 "), format!("server {gateway} "));
    }
    conf
}
