//! A certificate and its key, from two files.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_cert::{Certificate, der::Decode};

use crate::config::{ConfigError, TlsConfig};

/// A certificate, those between it and its CA, and its key.
#[derive(Debug)]
pub struct Pair {
    /// All of it, as rustls wants it.
    pub key: Arc<CertifiedKey>,
    /// When the certificate expires, in seconds since 1970.
    pub expires: u64,
}

impl Pair {
    /// Reads the files that the configuration names; none when it names none.
    ///
    /// # Errors
    /// When one can't be read, holds something else, or the key is another certificate's.
    pub fn read(config: &TlsConfig) -> Result<Option<Self>, ConfigError> {
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else { return Ok(None) };
        let chain = certificates(certificate)?;
        let own = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| unusable("key", key, &error, "a file with a private key in PEM"))?;
        let expires = expiry(&chain[0]).map_err(|error| {
            unusable("certificate", certificate, &error, "a file with X.509 certificates")
        })?;
        let key = CertifiedKey::from_der(chain, own, &ring::default_provider()).map_err(|error| {
            unusable("key", key, &error, "the key of tls.certificate, of RSA, ECDSA or Ed25519")
        })?;
        Ok(Some(Self { key: Arc::new(key), expires }))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    const RIGHT: &str = "a file with certificates in PEM, the node's own first";
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("certificate", path, &error, RIGHT))?;
    if certificates.is_empty() {
        return Err(unusable("certificate", path, &"there is none in it", RIGHT));
    }
    Ok(certificates)
}

/// In seconds since 1970.
fn expiry(certificate: &[u8]) -> Result<u64, x509_cert::der::Error> {
    let certificate = Certificate::from_der(certificate)?;
    Ok(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
}

fn unusable(key: &str, path: &Path, error: &dyn fmt::Display, right: &str) -> ConfigError {
    ConfigError::new(format!("tls.{key} = \"{}\": {error}: it should be {right}", path.display()))
}

/// By what a file shows that it was replaced, for both: when it was written, how long it is, and which file it is. Nothing
/// for one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<(i64, i64, u64, u64)>; 2]);

impl Stamp {
    /// Looks at both files. A link is followed: what is mounted from a Secret is replaced by turning one round.
    pub(super) fn of(config: &TlsConfig) -> Self {
        let look = |path: &Option<PathBuf>| {
            let file = fs::metadata(path.as_ref()?).ok()?;
            Some((file.mtime(), file.mtime_nsec(), file.len(), file.ino()))
        };
        Self([look(&config.certificate), look(&config.key)])
    }
}
