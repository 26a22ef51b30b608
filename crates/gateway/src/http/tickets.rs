//! `POST /v1/tickets`: a token in, and out comes what may stand in a URL.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    HttpState,
    problem::{Problem, ProblemBody},
};
use crate::auth::{Credential, Origin, identify, origin, ticket};

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
pub(super) async fn create(State(state): State<HttpState>, headers: HeaderMap) -> Result<Response, Problem> {
    let origin = origin::check(&headers, &state.config.now().allowed_origins);
    if origin == Origin::Refused {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this origin is not allowed: see allowed_origins"));
    }
    let credential = Credential::from_call(&headers, &state.config.now().auth.cookie, origin)
        .map_err(|error| Problem::new(StatusCode::FORBIDDEN, error.to_string()))?
        .ok_or_else(|| {
            let detail = "a ticket needs a token: Authorization: Bearer <token>";
            Problem::new(StatusCode::UNAUTHORIZED, detail)
        })?;
    let identity = identify(&state.auth, &*state.bus, &credential).await?;
    let ticket = ticket::issue(&*state.bus, &identity).await.map_err(|error| {
        tracing::warn!(%error, "no ticket was made");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "tickets can't be kept now")
    })?;
    let answer = Json(Ticket { ticket, expires_in_ms: ticket::TTL_MS });
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}
