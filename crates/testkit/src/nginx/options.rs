//! The shipped configuration, and what is chosen in it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Nginx;
use crate::{Certificates, free_port};

/// The shipped configuration, and the choices that a test makes in it, which are those that `nginx/README.md` names.
#[derive(Debug, Clone)]
pub struct NginxOptions {
    /// `nginx.conf` and what it includes.
    pub(super) files: BTreeMap<String, String>,
    /// Copied from there to there.
    pub(super) copies: Vec<(PathBuf, &'static str)>,
    /// Where it listens, by the port that the shipped configuration has.
    pub(super) addrs: BTreeMap<u16, SocketAddr>,
}

impl NginxOptions {
    /// The project's `nginx/nginx.conf` and `upstream.conf` as they are.
    pub fn shipped() -> Self {
        let mut options = Self::of(&shipped("nginx.conf"));
        options.files.insert("upstream.conf".to_owned(), shipped("upstream.conf"));
        options
    }

    pub(super) fn of(conf: &str) -> Self {
        let files = [("nginx.conf".to_owned(), conf.to_owned())].into();
        Self { files, copies: Vec::new(), addrs: BTreeMap::new() }
    }

    /// Uncomments a line. A file that it includes is put beside.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        if let Some(name) = line.strip_prefix("include ") {
            let name = name.trim_end_matches(';');
            self.files.insert(name.to_owned(), shipped(name));
        }
        self.replace(&format!("# {line}\n"), &format!("{line}\n"))
    }

    /// Comments a line out.
    #[must_use]
    pub fn without(self, line: &str) -> Self {
        self.replace(&format!(" {line}\n"), &format!(" # {line}\n"))
    }

    /// Replaces a text, which must occur exactly once.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        let count: usize = self.files.values().map(|text| text.matches(from).count()).sum();
        assert_eq!(count, 1, "nginx' configuration has {count} of {from:?}");
        for text in self.files.values_mut() {
            *text = text.replace(from, to);
        }
        self
    }

    /// With `tls.conf`, and the server's certificate of these.
    #[must_use]
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        self.copies.push((certificates.file("server.pem"), "tls/fullchain.pem"));
        self.copies.push((certificates.file("server.key"), "tls/privkey.pem"));
        self.with("include tls.conf;")
    }

    /// Starts it before three gateways. Beside what was chosen, their addresses and those that nginx listens on are
    /// changed, and nothing else.
    pub async fn start(mut self, gateways: [SocketAddr; 3]) -> Nginx {
        for (number, gateway) in (1..).zip(gateways) {
            self = self.replace(&format!("server gateway-{number}:8080 "), &format!("server {gateway} "));
        }
        for port in self.ports() {
            let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
            self = self.replace(&format!("listen {port} "), &format!("listen {addr} "));
            self.addrs.insert(port, addr);
        }
        Nginx::run(&self).await
    }

    fn ports(&self) -> Vec<u16> {
        let port = |line: &str| line.trim_start().strip_prefix("listen ")?.split(' ').next()?.parse().ok();
        self.files.values().flat_map(|text| text.lines()).filter_map(port).collect()
    }
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nginx").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
