//! The door: an HTTP request becomes a WebSocket, or is told why not.
//!
//! axum routes the request; the upgrade is done here, because what comes after it writes ready-made frames to the
//! bare TCP socket. See [`crate::connection`] for that, and RFC 6455, section 4.2, for this.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tungstenite::handshake::derive_accept_key;

use crate::{
    app::App,
    auth::{Credential, credential, origin, origin::Origin},
    config::Config,
    connection::Outlet,
    connections::Farewell,
    limits::{Permit, Refusal, client_address},
    session::{Opening, Service, Visit},
};

pub mod decoder;
pub mod frame;

/// The peer of a request's TCP connection, which the accept loop puts into its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Why a request is not upgraded.
#[derive(Debug)]
struct NotUpgraded {
    status: StatusCode,
    reason: Refusal,
    text: String,
}

/// `GET /ws`.
pub async fn chat(State(app): State<Arc<App>>, request: Request) -> Response {
    upgrade(&app, request, Service::Chat)
}

/// `GET /echo`, where it is switched on.
pub async fn echo(State(app): State<Arc<App>>, request: Request) -> Response {
    upgrade(&app, request, Service::Echo)
}

fn upgrade(app: &Arc<App>, mut request: Request, service: Service) -> Response {
    match prepare(app, &mut request, service) {
        Ok((opening, response, upgrade)) => {
            app.tasks.spawn(serve(Arc::clone(app), upgrade, opening));
            response
        }
        Err(NotUpgraded { status, reason, text }) => {
            app.metrics.refused(reason);
            let mut response = (status, text).into_response();
            if status == StatusCode::UPGRADE_REQUIRED {
                response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            if status == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    }
}

/// Checks a handshake and takes from it what the session needs.
fn prepare(
    app: &App,
    request: &mut Request,
    service: Service,
) -> Result<(Opening, Response, OnUpgrade), NotUpgraded> {
    let headers = request.headers();
    let accept = accept_key(headers)?;
    let config = app.config.now();
    let origin = origin::check(headers, &config.allowed_origins);
    if origin == Origin::Refused {
        return Err(NotUpgraded {
            status: StatusCode::FORBIDDEN,
            reason: Refusal::Origin,
            text: "this page's origin may not connect: see allowed_origins".into(),
        });
    }
    let subprotocol = credential::offers_subprotocol(headers).map_err(bad_request)?;
    let credential =
        Credential::from_request(request.uri(), headers, &config.auth.cookie, origin).map_err(bad_request)?;
    let rooms = request.uri().query().map(rooms_of).unwrap_or_default();
    let address = address(&config, request);
    let place = admit(app, address)?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(|| NotUpgraded {
        status: StatusCode::UPGRADE_REQUIRED,
        reason: Refusal::BadRequest,
        text: "this connection can't be upgraded".into(),
    })?;
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .unwrap_or_default();
    if subprotocol {
        let selected = HeaderValue::from_static(proto::SUBPROTOCOL);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, selected);
    }
    Ok((Opening { service, credential, rooms, address, place }, response, upgrade))
}

/// Where the client is.
fn address(config: &Config, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>().map_or([0, 0, 0, 0].into(), |peer| peer.0.ip());
    client_address(peer, request.headers(), &config.trusted_proxies)
}

/// The place for the connection. Without one it is upgraded all the same, for a browser can't read a 503, and told
/// so there; but in a flood, or while the node drains, there is no time for that.
fn admit(app: &App, address: IpAddr) -> Result<Result<Permit, Farewell>, NotUpgraded> {
    let flood = |reason| NotUpgraded {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason,
        text: "too many connections: try again later or on another node".into(),
    };
    if app.is_draining() {
        return Err(flood(Refusal::Draining));
    }
    match app.admission.admit(address, &app.config.now().limits) {
        Ok(permit) => Ok(Ok(permit)),
        Err(Refusal::Rate) => Err(flood(Refusal::Rate)),
        Err(reason) => {
            let farewell = app.connections.farewell().ok_or_else(|| flood(reason))?;
            app.metrics.refused(reason);
            Ok(Err(farewell))
        }
    }
}

/// Waits for the socket behind the handshake, and begins its session.
async fn serve(app: Arc<App>, upgrade: OnUpgrade, opening: Opening) {
    // The client may be gone before it saw our answer.
    let Ok(upgraded) = upgrade.await else { return };
    let Some((io, early)) = socket_of(upgraded) else {
        tracing::error!("an upgraded connection is no socket of the accept loop's");
        return;
    };
    let mut visit = Visit::begin(Arc::clone(&app), io, &early, opening);
    // In a task of its own: what the handshake needed is not held for as long as the session lasts.
    app.tasks.spawn(async move { visit.run().await });
}

/// The socket behind an upgrade, and what it gave behind the handshake.
fn socket_of(upgraded: Upgraded) -> Option<(Outlet, Bytes)> {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => Some((io.into_inner().into(), read_buf)),
        Err(upgraded) => {
            let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
            Some((io.into_inner().into(), read_buf))
        }
    }
}

/// The answer to the client's key, if the request is a handshake as RFC 6455, 4.2.1, has it.
fn accept_key(headers: &HeaderMap) -> Result<String, NotUpgraded> {
    let refuse = |status, text: &str| NotUpgraded { status, reason: Refusal::BadRequest, text: text.into() };
    if !has_token(headers, &header::UPGRADE, "websocket")
        || !has_token(headers, &header::CONNECTION, "upgrade")
    {
        return Err(refuse(
            StatusCode::UPGRADE_REQUIRED,
            "this is a WebSocket: connect with Upgrade: websocket",
        ));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "the WebSocket version is 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    // 16 bytes in base64.
    let well_formed = |key: &&[u8]| {
        let digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
        key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(digit)
    };
    let key = key.filter(well_formed);
    key.map(derive_accept_key)
        .ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// Whether one of a header's comma-separated tokens is `token`, in whatever case.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn rooms_of(query: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "room")
        .map(|(_, room)| room.into_owned())
        .collect()
}

fn bad_request(error: credential::BadRequest) -> NotUpgraded {
    let (status, reason) = match error {
        credential::BadRequest::Subprotocol => (StatusCode::BAD_REQUEST, Refusal::BadRequest),
        credential::BadRequest::CookieWithoutOrigin => (StatusCode::FORBIDDEN, Refusal::Origin),
    };
    NotUpgraded { status, reason, text: error.to_string() }
}
