//! TLS on the main listener, with a certificate that others may replace while the node runs.
//!
//! A session keeps what was agreed in its handshake, so whoever is connected does not notice another certificate. Who
//! replaces it (certbot, cert-manager) need not know of us: the files are looked at from time to time.

use std::{io, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::TcpStream,
    task, time,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

use crate::{
    clock::unix_ms,
    config::{ConfigError, TlsConfig},
    connection::secure,
    metrics::Metrics,
};

mod pair;

pub use pair::Pair;
use pair::Stamp;

/// How often the files are looked at. A new pair is taken when they have not changed between two looks, for the one is
/// written before the other: at most twice this time after it is there.
pub const LOOK: Duration = Duration::from_secs(5);

/// What is said to whoever does not speak TLS but HTTP, before it is cut off.
const IN_THE_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 55\r\n\
    Connection: close\r\n\
    \r\n\
    this port speaks TLS only: connect by https:// or wss:\n";

/// The node's side of TLS.
pub struct Tls {
    acceptor: TlsAcceptor,
    config: TlsConfig,
    shown: Arc<Shown>,
    metrics: Arc<Metrics>,
}

/// The certificate that is shown to whoever connects.
#[derive(Debug)]
struct Shown(ArcSwap<Pair>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

impl Tls {
    /// Reads the files that the configuration names; none when it names none.
    ///
    /// # Errors
    /// When they can't be used.
    pub fn new(config: &TlsConfig, metrics: Arc<Metrics>) -> Result<Option<Arc<Self>>, ConfigError> {
        let Some(pair) = Pair::read(config)? else { return Ok(None) };
        let unable = |error| ConfigError::new(format!("TLS can't be set up: {error}"));
        metrics.certificate_expires(pair.expires);
        if pair.expires <= now() {
            tracing::warn!("the certificate (tls.certificate) has expired: no client will believe it");
        }
        let shown = Arc::new(Shown(ArcSwap::from_pointee(pair)));
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        // WebSockets are upgraded from it, and hyper is asked for nothing else.
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Whoever comes back after a cut costs no signature, and no memory until then.
        server.ticketer = ring::Ticketer::new().map_err(unable)?;
        let acceptor = TlsAcceptor::from(Arc::new(server));
        Ok(Some(Arc::new(Self { acceptor, config: config.clone(), shown, metrics })))
    }

    /// Shakes hands, for which the client has so long.
    ///
    /// # Errors
    /// When it does not speak TLS, or not as we do, or is too slow.
    pub async fn accept(&self, stream: TcpStream, patience: Duration) -> io::Result<TlsStream<TcpStream>> {
        let shaken = time::timeout(patience, self.shake_hands(stream)).await;
        let shaken = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        self.metrics.tls_handshake(shaken.is_ok());
        shaken
    }

    async fn shake_hands(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        // A method's first letter; TLS begins with a byte that is none.
        if first[0].is_ascii_uppercase() {
            stream.write_all(IN_THE_CLEAR).await?;
            stream.shutdown().await?;
            // The kernel answers what nobody reads with a reset, which would overtake that.
            copy(&mut stream, &mut sink()).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP in the clear"));
        }
        self.acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(secure::BUFFER))).await
    }

    /// Reads the files anew, for [`Tls::adopt`]; none when they hold what is shown.
    ///
    /// # Errors
    /// When they can't be used, or the certificate has expired.
    pub fn prepare(&self) -> Result<Option<Pair>, ConfigError> {
        let prepared = self.read();
        if prepared.is_err() {
            self.metrics.certificate_read(false);
        }
        prepared
    }

    fn read(&self) -> Result<Option<Pair>, ConfigError> {
        let pair = Pair::read(&self.config)?.filter(|pair| pair.key.cert != self.shown.0.load().key.cert);
        if pair.as_ref().is_some_and(|pair| pair.expires <= now()) {
            let path = self.config.certificate.clone().unwrap_or_default();
            return Err(ConfigError::new(format!(
                "tls.certificate = \"{}\": it has expired: the one of before is shown on",
                path.display()
            )));
        }
        Ok(pair)
    }

    /// Shows another certificate to whoever connects from now on.
    pub fn adopt(&self, pair: Pair) {
        tracing::info!(target: "audit", expires = pair.expires, "another certificate is shown");
        self.metrics.certificate_expires(pair.expires);
        self.metrics.certificate_read(true);
        self.shown.0.store(Arc::new(pair));
    }

    /// Looks at the files for as long as the node runs, and takes what is new in them.
    pub async fn watch(self: Arc<Self>) {
        let mut looks = time::interval(LOOK);
        let mut seen: Option<Stamp> = None;
        let mut is_taken = false;
        let mut complaint = None;
        loop {
            looks.tick().await;
            let config = self.config.clone();
            // The files may be on a disk that is slow or gone.
            let Ok(stamp) = task::spawn_blocking(move || Stamp::of(&config)).await else { continue };
            if seen.as_ref() != Some(&stamp) {
                seen = Some(stamp);
                is_taken = false;
                continue;
            }
            if is_taken {
                continue;
            }
            let tls = Arc::clone(&self);
            match task::spawn_blocking(move || tls.prepare()).await {
                Ok(Ok(pair)) => {
                    pair.into_iter().for_each(|pair| self.adopt(pair));
                    is_taken = true;
                    complaint = None;
                }
                Ok(Err(error)) if complaint.as_ref() != Some(&error) => {
                    tracing::warn!(target: "audit", %error, "the new certificate is not shown: the one of before is");
                    complaint = Some(error);
                }
                // It was said once, and is counted each time.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}

/// In seconds since 1970, as certificates count.
fn now() -> u64 {
    unix_ms() / 1000
}
