//! A member that speaks TLS: rustls between it and its socket, which never waits.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Trusts a CA and nobody else.
///
/// # Errors
/// When the file has no certificates.
pub fn trusting(ca: &Path) -> Result<Arc<ClientConfig>, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("{}: {error}", ca.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| unusable(&error))? {
        roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

pub(crate) fn session(tls: &Arc<ClientConfig>, server: IpAddr) -> io::Result<Box<ClientConnection>> {
    let mut session =
        ClientConnection::new(Arc::clone(tls), ServerName::from(server)).map_err(io::Error::other)?;
    session.set_buffer_limit(None);
    Ok(Box::new(session))
}

/// Takes all of it, and sends what the socket takes.
pub(crate) fn write(
    session: &mut ClientConnection,
    socket: &mut TcpStream,
    bytes: &[u8],
) -> io::Result<usize> {
    session.writer().write_all(bytes)?;
    push(session, socket)?;
    Ok(bytes.len())
}

/// Sends what waits, as far as the socket takes it.
pub(crate) fn push(session: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills the buffer, as far as the socket has something: less than a full one means that it will say when there is more.
pub(crate) fn read(
    session: &mut ClientConnection,
    socket: &mut TcpStream,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let mut filled = 0;
    loop {
        match session.reader().read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => return Ok(filled),
        }
        if filled == buffer.len() {
            return Ok(filled);
        }
        match session.read_tls(socket) {
            // The next call tells the end.
            Ok(0) if filled > 0 => return Ok(filled),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                let processed = session.process_new_packets();
                push(session, socket)?;
                processed.map_err(io::Error::other)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(filled),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
