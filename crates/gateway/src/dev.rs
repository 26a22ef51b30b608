//! Development mode: tokens for guests.
//!
//! Whoever reaches the route may be anybody, so it must stay on this machine: a request is refused if
//! its `Host` is not loopback (DNS rebinding makes a foreign page same-origin) or if it was forwarded (a proxy
//! makes loopback public). Elsewhere than in development mode it does not exist.

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use proto::UserId;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Claims, origin::host_and_port},
    http::{HttpState, problem::Problem},
};

/// How long a guest's token is good. The page asks for the next one before its time is over.
const GUEST_SECONDS: u64 = 60 * 60;

/// The route, or none when this is not development mode.
pub fn router(state: HttpState) -> Router {
    if !state.config.now().development() {
        return Router::new();
    }
    let router = Router::new().route("/dev/token", get(token));
    router.layer(middleware::from_fn(only_from_here)).with_state(state)
}

#[derive(Deserialize)]
struct Guest {
    user: String,
    name: Option<String>,
}

#[derive(Serialize)]
struct GuestToken {
    token: String,
    user: UserId,
    expires_in_ms: u64,
}

/// Believes whoever asks.
async fn token(State(state): State<HttpState>, Query(guest): Query<Guest>) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let user = UserId::parse(&guest.user).map_err(|error| bad(error.to_string()))?;
    let mut claims = Claims::new(user.clone(), GUEST_SECONDS);
    claims.name = guest.name.filter(|name| !name.is_empty());
    let token = state.auth.mint(&claims).map_err(|error| bad(error.to_string()))?;
    // What can't be used should be refused here, where somebody reads the reason.
    state.auth.verify(&token).await.map_err(|error| bad(error.to_string()))?;
    Ok(Json(GuestToken { token, user, expires_in_ms: GUEST_SECONDS * 1000 }).into_response())
}

/// Refuses what does not come from this machine, and seals what does.
async fn only_from_here(request: Request, next: Next) -> Response {
    let mut response = match came_from_afar(request.headers()) {
        Some(why) => Problem::new(StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    let seal = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Nobody keeps a token.
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in seal {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

/// Why a request can't be trusted to come from this machine.
pub(crate) fn came_from_afar(headers: &HeaderMap) -> Option<&'static str> {
    let proxied = headers.keys().any(|name| {
        let name = name.as_str();
        ["forwarded", "via", "x-real-ip"].contains(&name) || name.starts_with("x-forwarded-")
    });
    if proxied {
        return Some(
            "this request came through a proxy, and development mode serves this machine only: \
             set CHORUS_JWT_SECRET",
        );
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) if is_loopback(host) => None,
        _ => Some(
            "development mode answers to localhost, 127.0.0.1 and [::1] only: set CHORUS_JWT_SECRET to serve \
             other names",
        ),
    }
}

fn is_loopback(host: &str) -> bool {
    let Some((host, _)) = host_and_port(host) else { return false };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests;
