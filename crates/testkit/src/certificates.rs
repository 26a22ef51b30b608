//! Certificates of a test's own.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// A CA, and a certificate of a server and one of a client that it has signed: PEM files that vanish with this.
pub struct Certificates {
    dir: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    /// The server's.
    name: String,
}

impl Certificates {
    /// For a server on 127.0.0.1.
    pub fn new() -> Self {
        Self::of("127.0.0.1")
    }

    /// For a server with another name or address.
    pub fn of(name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("chorus-tls-").tempdir().expect("a temporary directory");
        let mut authority = params(&[], &format!("a test's CA for {name}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(authority, key()).expect("a CA");
        write(&dir.path().join("ca.pem"), &ca.pem());
        let certificates = Self { dir, ca, name: name.to_owned() };
        certificates.renew();
        certificates.issue(&params(&["chorus"], "client"), "client");
        certificates
    }

    /// Puts another certificate and key in the place of the server's, by the same CA.
    pub fn renew(&self) {
        self.issue(&params(&[&self.name], "server"), "server");
    }

    /// The same, but nobody will believe it any more.
    pub fn renew_too_late(&self) {
        let mut params = params(&[&self.name], "server");
        params.not_after = date_time_ymd(2020, 1, 1);
        self.issue(&params, "server");
    }

    fn issue(&self, params: &CertificateParams, who: &str) {
        let own = key();
        let certificate = params.signed_by(&own, &self.ca).expect("a certificate");
        write(&self.file(&format!("{who}.pem")), &certificate.pem());
        write(&self.file(&format!("{who}.key")), &own.serialize_pem());
    }

    /// `ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The lines of `redis.conf` with which a Redis, its replicas and its cluster speak TLS and nothing else. Whoever
    /// connects needs a certificate of this CA: that is Redis' default.
    pub fn redis(&self) -> Vec<String> {
        let mut lines =
            vec!["port 0".to_owned(), "tls-port {port}".to_owned(), "tls-replication yes".to_owned()];
        for (setting, name) in
            [("tls-cert-file", "server.pem"), ("tls-key-file", "server.key"), ("tls-ca-cert-file", "ca.pem")]
        {
            lines.push(format!("{setting} \"{}\"", self.file(name).display()));
        }
        lines
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.dir.path()).finish()
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

fn params(names: &[&str], common: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    // By default all are called alike, and OpenSSL takes what is called like its issuer for self-signed.
    params.distinguished_name.push(DnType::CommonName, common);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a certificate can be written");
}
