//! HTTP beside the WebSocket: probes, metrics, tickets.

use std::sync::{Arc, OnceLock};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bus::Bus;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Authenticator, clock, config::InForce, metrics::process};

mod answer;
mod api;
mod asyncapi;
mod caller;
mod document;
mod frames;
mod messages;
mod moderation;
mod nodes;
pub mod problem;
mod reload;
mod request;
mod rooms;
mod tickets;

pub(crate) use api::api;

/// What the handlers share.
#[derive(Clone)]
pub struct HttpState {
    /// The configuration in force.
    pub config: Arc<InForce>,
    /// Checks tokens.
    pub auth: Arc<Authenticator>,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// Since when the node is about to end, in milliseconds since 1970, if it is.
    pub draining: Arc<OnceLock<u64>>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

/// The routes of the main listener, the WebSocket's and development's own excepted.
pub fn router(state: HttpState) -> Router {
    let probes = probes();
    let all = if state.config.now().metrics_listen.is_some() {
        probes
    } else {
        probes.route("/metrics", get(metrics))
    };
    all.with_state(state)
}

/// The routes of the metrics' own listener.
pub fn metrics_router(state: HttpState) -> Router {
    probes().route("/metrics", get(metrics)).with_state(state)
}

fn probes() -> Router<HttpState> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

/// Answers, which is to be alive.
#[utoipa::path(
    get, path = "/healthz", tag = "about", security(()),
    responses((status = 200, body = String, content_type = "text/plain")),
)]
async fn alive() -> &'static str {
    "ok\n"
}

/// Whether new connections should come here, and why not.
#[derive(Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    bus: BusReadiness,
    /// Whether there are keys to believe tokens by: false until `auth.jwks_url` could be fetched for the first time.
    keys: bool,
    /// Whether the node is about to end.
    draining: bool,
}

#[derive(Serialize, ToSchema)]
struct BusReadiness {
    /// Whether a probe came through.
    up: bool,
    /// What was seen last.
    detail: String,
    /// Milliseconds since 1970; absent while up.
    #[serde(skip_serializing_if = "Option::is_none")]
    down_since_ms: Option<u64>,
}

/// Tells whether new connections should come here. A node that is not ready is not dead: see `/healthz`.
#[utoipa::path(
    get, path = "/readyz", tag = "about", security(()),
    responses(
        (status = 200, body = Readiness),
        (status = 503, body = Readiness, description = "It is about to end, what is said does not come through, or it has no keys yet."),
    ),
)]
async fn ready(State(state): State<HttpState>) -> Response {
    let health = state.bus.health();
    let draining = state.draining.get().is_some();
    // A node that can believe nobody must not take the place of one that can.
    let keys = state.auth.has_keys();
    let ready = health.up && keys && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let down_since_ms = health.down_since.map(clock::ms_since_1970);
    let bus = BusReadiness { up: health.up, detail: health.detail, down_since_ms };
    (status, Json(Readiness { ready, bus, keys, draining })).into_response()
}

/// Gives the metrics to Prometheus; on a listener of their own if `metrics_listen` is set.
#[utoipa::path(
    get, path = "/metrics", tag = "about", security(()),
    responses((status = 200, body = String, content_type = "text/plain")),
)]
async fn metrics(State(state): State<HttpState>) -> Response {
    // Without them what else was counted is still worth an answer.
    let _ = tokio::task::spawn_blocking(process::collect).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render())
        .into_response()
}

#[cfg(test)]
pub(crate) mod tests;
