//! `POST /v1/tickets`: a token in, and out comes what may stand in a URL.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{HttpState, problem::Problem};
use crate::auth::{AuthError, Credential, Origin, identify, origin, ticket};

#[derive(Serialize)]
struct Ticket {
    ticket: String,
    expires_in_ms: u64,
}

/// Makes a ticket for whoever the token or the cookie belongs to.
pub(super) async fn create(State(state): State<HttpState>, headers: HeaderMap) -> Result<Response, Problem> {
    let forbidden = |detail| Problem::new(StatusCode::FORBIDDEN, detail);
    let unauthorized = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
    let unavailable = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "tickets can't be kept now");

    let origin = origin::check(&headers, &state.config.allowed_origins);
    if origin == Origin::Refused {
        return Err(forbidden("this origin is not allowed".to_owned()));
    }
    let credential = Credential::from_call(&headers, &state.config.auth.cookie, origin)
        .map_err(|error| forbidden(error.to_string()))?
        .ok_or_else(|| unauthorized("a ticket needs a token: Authorization: Bearer <token>"))?;
    let identity = identify(&state.auth, &*state.bus, &credential).await.map_err(|error| match error {
        AuthError::Unavailable => unavailable(),
        AuthError::Failed(_) | AuthError::Expired => unauthorized(&error.to_string()),
    })?;
    let ticket = ticket::issue(&*state.bus, &identity).await.map_err(|error| {
        tracing::warn!(%error, "no ticket was made");
        unavailable()
    })?;
    let answer = Json(Ticket { ticket, expires_in_ms: ticket::TTL_MS });
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}
