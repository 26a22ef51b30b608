//! `POST /v1/tickets`: a token in, and out comes what may stand in a URL.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    caller::Caller,
    problem::{Problem, ProblemBody},
};
use crate::{app::App, auth::ticket};

/// What may stand in a URL in the place of a token.
#[derive(Serialize, ToSchema)]
pub(super) struct Ticket {
    /// Good for one use.
    ticket: String,
    /// For how long, in milliseconds.
    expires_in_ms: u64,
}

/// Makes a ticket for whoever the token or the cookie belongs to.
#[utoipa::path(
    post, path = "/v1/tickets", tag = "tickets",
    security(("token" = [])),
    responses(
        (status = 200, body = Ticket),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    if caller.must_be_server().is_ok() {
        let detail = "a ticket is a user's: ask for it with that user's token";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let ticket = ticket::issue(&*app.bus, caller.identity()).await.map_err(|error| {
        tracing::warn!(%error, "no ticket was made");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "tickets can't be kept now")
    })?;
    let answer = Json(Ticket { ticket, expires_in_ms: ticket::TTL_MS });
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}
