//! TLS to Redis: whom to trust, and what to do when a handshake fails.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fred::{
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    rustls_native_certs::load_native_certs,
    types::config::TlsConnector,
};

use crate::BusError;

/// What a node trusts and shows when the URL begins with `rediss`: PEM files, read once, when the bus is connected.
#[derive(Clone, Debug, Default)]
pub struct RedisTls {
    /// The certificates of those who may sign Redis'; without it, whom this system trusts. Only these are trusted
    /// then.
    pub ca: Option<PathBuf>,
    /// This node's own certificate, with those between it and its CA, and its key, for a Redis that asks for one
    /// (`tls-auth-clients yes`, which is Redis' default).
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How a handshake is made. Reads the files.
pub(super) fn connector(tls: &RedisTls) -> Result<TlsConnector, BusError> {
    // fred has no other provider built in, but a process may have one set.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BusError::Config(format!("TLS to Redis can't be set up: {error}")))?
        .with_root_certificates(roots(tls)?);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let certificates = certificates(cert, "redis.tls_cert")?;
            let own = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| unusable("redis.tls_key", key, &error, "a private key in PEM"))?;
            config
                .with_client_auth_cert(certificates, own)
                .map_err(|error| unusable("redis.tls_key", key, &error, "the key of redis.tls_cert"))?
        }
    };
    Ok(config.into())
}

/// What to do about a failed handshake, if the text of an error tells of one that will fail again.
pub(super) fn advice(error: &str) -> Option<&'static str> {
    // fred hands on nothing but the text: rustls' own names of its errors.
    const UNKNOWN: &str = "nobody trusted here has signed its certificate: set redis.tls_ca (CHORUS_REDIS_TLS_CA) to a \
                           PEM file with the certificate of its CA";
    const KNOWN: [(&str, &str); 9] = [
        ("InvalidCertificate(UnknownIssuer)", UNKNOWN),
        // A CA that was made anew under its old name.
        ("InvalidCertificate(BadSignature)", UNKNOWN),
        (
            "InvalidCertificate(NotValidForName",
            "its certificate is for other names than the one it is reached by: name it in the URL as its \
             certificate does, or have it issued for that name or address too (subjectAltName). The nodes of a \
             cluster and what sentinels name are reached as they announce themselves",
        ),
        ("InvalidCertificate(Expired", "its certificate has expired: have it renewed (tls-cert-file)"),
        (
            "InvalidCertificate(NotValidYet",
            "its certificate is not valid yet: compare the clocks of both machines",
        ),
        ("InvalidCertificate(", "its certificate is refused: have another one issued (tls-cert-file)"),
        (
            "AlertReceived(CertificateRequired)",
            "it asks for a certificate of this node: set redis.tls_cert and redis.tls_key, or tls-auth-clients no \
             in redis.conf",
        ),
        (
            "AlertReceived(",
            "it refuses this node's certificate: redis.tls_cert must be signed by its tls-ca-cert-file",
        ),
        (
            "InvalidContentType",
            "it does not speak TLS at this port: name its tls-port, or write redis:// in the place of rediss://",
        ),
    ];
    KNOWN.iter().find(|(name, _)| error.contains(name)).map(|(_, advice)| *advice)
}

fn roots(tls: &RedisTls) -> Result<RootCertStore, BusError> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(path) => {
            for certificate in certificates(path, "redis.tls_ca")? {
                roots
                    .add(certificate)
                    .map_err(|error| unusable("redis.tls_ca", path, &error, "certificates in PEM"))?;
            }
        }
        None => {
            // A system has some that rustls does not read; they are missed only if Redis' is signed by one.
            let _ = roots.add_parsable_certificates(load_native_certs().certs);
            if roots.is_empty() {
                return Err(BusError::Config(
                    "this system trusts nobody (no ca-certificates?), so no Redis can prove who it is: set \
                     redis.tls_ca (CHORUS_REDIS_TLS_CA) to a PEM file with the certificate of its CA"
                        .to_owned(),
                ));
            }
        }
    }
    Ok(roots)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, BusError> {
    const RIGHT: &str = "certificates in PEM";
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(setting, path, &error, RIGHT))?;
    if certificates.is_empty() {
        return Err(unusable(setting, path, &"there is none in it", RIGHT));
    }
    Ok(certificates)
}

fn unusable(setting: &str, path: &Path, error: &dyn std::fmt::Display, right: &str) -> BusError {
    BusError::Config(format!("{setting} = {}: {error}: it should be a file with {right}", path.display()))
}
