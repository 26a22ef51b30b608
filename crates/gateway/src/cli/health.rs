//! `chorus health`: what a container's health check runs, so that the image needs no other program.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use gateway::config::Config;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, Stream,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::Failure;

/// How long connecting, asking and answering may take each.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer that is read, in bytes.
const ANSWER: u64 = 16 * 1024;

/// Asks `/readyz` of the gateway that listens as configured, and gives its answer.
pub(crate) fn check(config: &Config) -> Result<String, Failure> {
    let address = reachable(config.listen);
    if address.port() == 0 {
        return Err(Failure::Usage(format!(
            "listen = \"{}\": expected a port other than 0, which nobody can ask",
            config.listen
        )));
    }
    let answer = ask(address, config.tls.certificate.is_some())
        .map_err(|error| Failure::Failed(format!("{address}: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1));
    let body = body.trim().to_owned();
    match status {
        Some("200") => Ok(body),
        Some(status) => Err(Failure::Failed(format!("not ready ({status}): {body}"))),
        None => Err(Failure::Failed(format!("{address} does not speak HTTP"))),
    }
}

/// A listener on every address is asked over loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr, secure: bool) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if secure {
        let mut session = session(address.ip()).map_err(io::Error::other)?;
        get(Stream::new(&mut session, &mut stream), address)
    } else {
        get(stream, address)
    }
}

fn get(mut stream: impl Read + Write, address: SocketAddr) -> io::Result<String> {
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn session(address: IpAddr) -> Result<ClientConnection, Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::from(address))
}

/// Believes every certificate: this node's is for the name that clients know it by, and it is told nothing but that it is
/// asked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, io::BufReader, net::TcpListener, thread};

    use super::*;

    /// Asks a server that answers with `answer` and hangs up.
    fn check_against(answer: &'static str) -> Result<String, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                stream.read_line(&mut request).unwrap();
            }
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            request
        });
        let result = check(&Config { listen, ..Config::default() });
        assert!(server.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"));
        result
    }

    #[test]
    fn ready_or_not() {
        assert_eq!(check_against("HTTP/1.1 200 OK\r\n\r\n{\"ready\":true}").unwrap(), "{\"ready\":true}");
        let error = check_against("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false}").unwrap_err();
        assert_eq!(error.to_string(), "not ready (503): {\"ready\":false}");
        assert!(check_against("").unwrap_err().to_string().ends_with("does not speak HTTP"));
    }

    #[test]
    fn nobody_listens() {
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(check(&Config { listen, ..Config::default() }), Err(Failure::Failed(_))));
        let listen = "127.0.0.1:0".parse().unwrap();
        assert!(matches!(check(&Config { listen, ..Config::default() }), Err(Failure::Usage(_))));
    }

    #[test]
    fn every_address_is_loopback() {
        for (listen, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
