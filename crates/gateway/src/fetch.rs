//! One request to a server that the configuration names: nothing is followed, and neither the answer's size nor its time is
//! that server's choice.

use std::{io, path::Path, sync::Arc, time::Duration};

use axum::http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_native_certs::load_native_certs;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::config::ConfigError;

/// The longest answer, in bytes. The largest is a set of keys, of which those of the large issuers have 3 to 20 KB.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// How long it may take, from the look-up of the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that the answer's headers may have.
const HEADER_BYTES: usize = 16 * 1024;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The file can't be read.
    #[error("{0}")]
    File(#[source] io::Error),
    /// There is no connection.
    #[error("can't connect: {0}")]
    Connect(#[source] io::Error),
    /// There is a connection, and it can't be made a secure one.
    #[error(
        "can't connect securely: {cause} ({ca} names the CA that has to have signed the server's certificate)"
    )]
    Tls {
        /// Why not.
        cause: io::Error,
        /// The setting that says whom to trust.
        ca: &'static str,
    },
    /// What comes back is not HTTP, or breaks off.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// It is somewhere else, which is not followed.
    #[error("the server redirects ({0}), which is not followed: name the place that it redirects to")]
    Redirect(StatusCode),
    /// The server says no.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// It is longer than 256 KiB.
    #[error("it is longer than {} KiB", MAX_BYTES / 1024)]
    TooLarge,
    /// It is not there within five seconds.
    #[error("it took longer than {} s", TIMEOUT.as_secs())]
    Timeout,
}

/// The settings that name a server, for whoever has to change them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    /// Where it is.
    pub(crate) url: &'static str,
    /// The CA of its certificate.
    pub(crate) ca: &'static str,
}

/// Asks one server.
pub(crate) struct Fetcher {
    uri: Uri,
    named: Named,
    host: String,
    port: u16,
    /// With the server's name; none without TLS.
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Fetcher {
    /// Reads the certificates. The URL is one of http or https with a host, which the configuration sees to.
    pub(crate) fn new(uri: &Uri, ca: Option<&Path>, named: Named) -> Result<Self, ConfigError> {
        // Brackets are the URL's own way to write an address of IPv6.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            let name = ServerName::try_from(host.clone())
                .map_err(|_| ConfigError::new(format!("{}: {host} is no host's name", named.url)))?;
            Some((connector(ca, named)?, name))
        } else {
            None
        };
        Ok(Self { uri: uri.clone(), named, host, port, tls })
    }

    /// Fetches what is there.
    pub(crate) async fn fetch(&self) -> Result<Bytes, FetchError> {
        let mut request = Request::new(Bytes::new());
        let accept = HeaderValue::from_static("application/json, application/jwk-set+json");
        request.headers_mut().insert(header::ACCEPT, accept);
        self.send(request).await.map(Response::into_body)
    }

    /// Sends a request there, whatever place it names, and gives the answer if that is a good one.
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        self.address(&mut request);
        timeout(TIMEOUT, self.connect_and_ask(request)).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn connect_and_ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await.map_err(FetchError::Connect)?;
        match &self.tls {
            None => ask(stream, request).await,
            Some((connector, name)) => {
                let tls = |cause| FetchError::Tls { cause, ca: self.named.ca };
                let stream = connector.connect(name.clone(), stream).await.map_err(tls)?;
                ask(stream, request).await
            }
        }
    }

    fn address(&self, request: &mut Request<Bytes>) {
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        // Parts of a URL that was parsed are good again.
        *request.uri_mut() = target.parse().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let agent = concat!("chorus/", env!("CARGO_PKG_VERSION"));
        for (name, value) in
            [(header::HOST, authority), (header::USER_AGENT, agent), (header::CONNECTION, "close")]
        {
            if let Ok(value) = value.parse() {
                request.headers_mut().insert(name, value);
            }
        }
    }
}

async fn ask(
    io: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, FetchError> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEADER_BYTES).handshake(TokioIo::new(io)).await?;
    let exchange = async {
        let response = sender.send_request(request.map(Full::new)).await?;
        match response.status() {
            status if status.is_success() => {}
            status if status.is_redirection() => return Err(FetchError::Redirect(status)),
            status => return Err(FetchError::Status(status)),
        }
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BYTES).collect().await;
        let body = body.map(Collected::to_bytes).map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => FetchError::Http(*error),
            Err(other) => {
                debug_assert!(other.is::<LengthLimitError>(), "{other}");
                FetchError::TooLarge
            }
        })?;
        Ok(Response::from_parts(head, body))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answered = exchange.as_mut() => return answered,
        // What it has read before its end is still to be taken.
        _ = connection => {}
    }
    exchange.await
}

fn connector(ca: Option<&Path>, named: Named) -> Result<TlsConnector, ConfigError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let unusable = |error: &dyn std::fmt::Display| {
                let path = path.display();
                ConfigError::new(format!(
                    "{} = \"{path}\": {error}: it should be a file with certificates in PEM",
                    named.ca
                ))
            };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(&error))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"there is none in it"));
            }
        }
        None => {
            // A system has some that rustls does not read; they are missed only if the server's is signed by one.
            let _ = roots.add_parsable_certificates(load_native_certs().certs);
            if roots.is_empty() {
                let Named { url, ca } = named;
                let variable = ca.replace('.', "_").to_uppercase();
                return Err(ConfigError::new(format!(
                    "this system trusts nobody (no ca-certificates?), so the server of {url} can't prove who \
                     it is: set {ca} (CHORUS_{variable}) to a PEM file with the certificate of its CA"
                )));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new(format!("TLS can't be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
