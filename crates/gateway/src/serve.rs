//! The accept loop. It is our own, on hyper, for two things that `axum::serve` does not have: a deadline for a
//! request's headers (a slow-loris would hold its socket for ever), and the bare TCP stream behind an upgrade.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{limits::Lobby, metrics::Metrics, socket::Peer};

/// Connections that the kernel holds ready to be accepted: a reconnect storm comes all at once.
const BACKLOG: i32 = 4096;

/// Bytes of a request's headers: a token of 8 KiB and what browsers add.
const HEADER_BYTES: usize = 32 * 1024;

/// Listens. Accepted sockets inherit the send buffer: with the kernel's default a reader that stalls holds 1.5 MB.
pub fn listen(address: SocketAddr, send_buffer_bytes: usize) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_send_buffer_size(send_buffer_bytes)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What holds for each connection that a listener accepts.
#[derive(Clone)]
pub struct Terms {
    /// How many may be there that are no WebSockets, or not yet.
    pub lobby: Lobby,
    /// How long a request's headers may take.
    pub header_timeout: Duration,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
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
                    let served = serve_one(stream, peer, router.clone(), terms.header_timeout, stop.clone());
                    tokio::spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                // It has not said anything yet, and nothing is said to it: a flood is not worth an answer.
                Err(reason) => terms.metrics.refused(reason),
            },
            Err(error) => {
                // Out of file descriptors, most likely. It will pass, and a tight loop would not help.
                tracing::warn!(%error, "can't accept connections; is the limit of open files (ulimit -n) reached?");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) {
    // Chat is small writes that must go out at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
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
