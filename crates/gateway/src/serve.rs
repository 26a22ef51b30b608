//! The accept loop. It is our own, on hyper, for two things that `axum::serve` does not have: a deadline for a
//! request's headers (a slow-loris would hold its socket for ever), and the bare TCP stream behind an upgrade.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    config::{InForce, LimitsConfig},
    limits::{Lobby, Permit},
    metrics::Metrics,
    socket::Peer,
    tls::Tls,
};

/// Connections that the kernel holds ready to be accepted: a reconnect storm comes all at once.
const BACKLOG: i32 = 4096;

/// Bytes of a request's headers: a token of 8 KiB and what browsers add.
const HEADER_BYTES: usize = 32 * 1024;

/// How long, past the patience with slow readers, a peer may leave what was sent to it without a sign that it is there:
/// then the system gives it up. From the client of an event stream nothing else is ever heard.
const VANISHED: Duration = Duration::from_mins(1);

/// Listens. Accepted sockets inherit the options: with the kernel's default a reader that stalls holds 1.5 MB.
pub fn listen(address: SocketAddr, limits: &LimitsConfig) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_tcp_user_timeout(Some(Duration::from_millis(limits.slow_consumer_ms) + VANISHED))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The connection under a request, for an answer that takes long: the accept loop puts it into the request's extensions.
#[derive(Clone)]
pub struct Line(Arc<LineState>);

struct LineState {
    /// The place in the lobby; a trusted proxy has none.
    place: Mutex<Option<Permit>>,
    cut: Notify,
    ended: Notify,
}

impl Line {
    fn new(place: Option<Permit>) -> Self {
        let (cut, ended) = (Notify::new(), Notify::new());
        Self(Arc::new(LineState { place: Mutex::new(place), cut, ended }))
    }

    /// Gives the place in the lobby back, for it has one of its own.
    pub fn leave_lobby(&self) {
        self.0.place.lock().take();
    }

    /// Ends it at once, whatever is still to be written.
    pub fn cut(&self) {
        self.0.cut.notify_one();
    }

    /// Waits until it has ended, everything being written or nobody there to read it. For one caller.
    pub async fn ended(&self) {
        self.0.ended.notified().await;
    }

    /// Holds it until it ends by itself, or is cut.
    async fn hold(&self, served: impl Future<Output = ()>) {
        tokio::select! {
            () = served => {}
            () = self.0.cut.notified() => {}
        }
        self.leave_lobby();
        self.0.ended.notify_one();
    }
}

/// What holds for each connection that a listener accepts.
#[derive(Clone)]
pub struct Terms {
    /// How many may be there that are no WebSockets, or not yet.
    pub lobby: Lobby,
    /// The configuration in force.
    pub config: Arc<InForce>,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
    /// What is spoken under HTTP, if anything is.
    pub tls: Option<Arc<Tls>>,
}

/// A connection that was accepted.
struct Visitor {
    peer: SocketAddr,
    line: Line,
    router: Router,
    /// For a handshake, and for each request's headers.
    patience: Duration,
    stop: CancellationToken,
}

/// Accepts connections and serves them until it is told to stop; requests under way are then finished.
pub async fn serve(listener: TcpListener, router: Router, terms: Terms, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => match terms.lobby.admit(peer.ip()) {
                Ok(place) => {
                    let line = Line::new(place);
                    let patience = Duration::from_millis(terms.config.now().limits.header_read_timeout_ms);
                    let (router, stop) = (router.clone(), stop.clone());
                    let visitor = Visitor { peer, line: line.clone(), router, patience, stop };
                    let served = visitor.serve(stream, terms.tls.clone());
                    tokio::spawn(async move { line.hold(served).await });
                }
                // It has not said anything yet, and nothing is said to it: a flood is not worth an answer.
                Err(reason) => terms.metrics.refused(reason),
            },
            Err(error) => {
                // Out of file descriptors, most likely. It will pass, and a tight loop would not help.
                tracing::warn!(%error, "can't accept connections; is the limit of open files (ulimit -Hn) reached?");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Visitor {
    async fn serve(self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        // Chat is small writes that must go out at once.
        let _ = stream.set_nodelay(true);
        match tls {
            None => self.speak(stream).await,
            // Boxed: in the clear there is to be no room for what TLS holds.
            Some(tls) => Box::pin(self.speak_securely(stream, tls)).await,
        }
    }

    async fn speak_securely(self, stream: TcpStream, tls: Arc<Tls>) {
        let shaken = tokio::select! {
            shaken = tls.accept(stream, self.patience) => shaken,
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(stream) => self.speak(stream).await,
            Err(error) => tracing::debug!(peer = %self.peer, %error, "a handshake of TLS failed"),
        }
    }

    /// Answers requests until either side ends it, or it is upgraded.
    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, line, router, patience, stop } = self;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(line.clone());
            let router = router.clone();
            async move {
                Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::trace!(%error, "an HTTP connection ended early");
        }
    }
}
