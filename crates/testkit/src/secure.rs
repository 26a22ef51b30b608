//! Which servers are spoken to over TLS: a client knows it by the address, so that a test is the same either way.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// The addresses of this process' servers that speak TLS, and whom to trust there.
static SECURE: Mutex<BTreeMap<SocketAddr, Arc<ClientConfig>>> = Mutex::new(BTreeMap::new());

/// A connection, in the clear or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Io for T {}

/// A connection, in the clear or not.
pub(crate) type Wire = Box<dyn Io>;

/// Has this address be spoken to over TLS, with trust in a CA; or in the clear again.
pub(crate) fn set(addr: SocketAddr, ca: Option<&Path>) {
    let config = ca.map(|ca| Arc::new(trusting(ca, &[])));
    put(addr, config);
}

/// Has this address be spoken to as another one is.
pub(crate) fn set_as(addr: SocketAddr, other: SocketAddr) {
    let config = SECURE.lock().unwrap().get(&other).cloned();
    put(addr, config);
}

fn put(addr: SocketAddr, config: Option<Arc<ClientConfig>>) {
    let mut secure = SECURE.lock().unwrap();
    match config {
        Some(config) => secure.insert(addr, config),
        None => secure.remove(&addr),
    };
}

/// What a connection to this address is spoken through.
pub(crate) async fn wire(stream: TcpStream, to: SocketAddr) -> io::Result<Wire> {
    let config = SECURE.lock().unwrap().get(&to).cloned();
    Ok(match config {
        None => Box::new(stream),
        Some(config) => Box::new(TlsConnector::from(config).connect(name(), stream).await?),
    })
}

/// Shakes hands with a server whose certificate this CA has signed, in these versions of TLS (all, if none is named).
///
/// # Errors
/// When it can't connect, or the handshake fails.
pub async fn shake_hands(
    to: SocketAddr,
    ca: &Path,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut config = trusting(ca, versions);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config)).connect(name(), TcpStream::connect(to).await?).await
}

/// The name in every certificate of [`Certificates::new`](crate::Certificates::new).
fn name() -> ServerName<'static> {
    ServerName::try_from("127.0.0.1").expect("an address")
}

fn trusting(ca: &Path, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("a CA") {
        roots.add(certificate.expect("a certificate")).expect("a CA");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = match versions {
        [] => builder.with_safe_default_protocol_versions(),
        versions => builder.with_protocol_versions(versions),
    };
    builder.expect("versions of TLS").with_root_certificates(roots).with_no_client_auth()
}
