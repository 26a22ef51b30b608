//! Errors of the HTTP API, as RFC 9457 has them.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::ErrorCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::AuthError, refusal::Refusal};

/// An error answer: `application/problem+json` with the status' own name as its title.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The protocol's word for it.
    pub code: &'static str,
    /// What went wrong this time, for a developer's eyes. It holds no secret.
    pub detail: Cow<'static, str>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// What an error answer holds.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The status' own name.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Why, for a program: an error code of the protocol, or `auth_failed` or `token_expired`.
    code: &'static str,
    /// Why, for its developer.
    detail: Cow<'static, str>,
    /// When to try again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Problem {
    /// An error with a status and a detail; its code is what goes with the status.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => "auth_failed",
            StatusCode::FORBIDDEN => ErrorCode::Forbidden.as_str(),
            StatusCode::NOT_FOUND => ErrorCode::NotFound.as_str(),
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge.as_str(),
            StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited.as_str(),
            StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable.as_str(),
            StatusCode::INTERNAL_SERVER_ERROR => ErrorCode::Internal.as_str(),
            _ => ErrorCode::BadRequest.as_str(),
        };
        let waits = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let retry_after = waits.then_some(Duration::from_secs(1));
        Self { status, code, detail: detail.into(), retry_after }
    }

    /// A request that is not as it must be.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Something that is not there.
    pub fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { code, message, retry_after }: Refusal) -> Self {
        let status = match code {
            ErrorCode::BadRequest | ErrorCode::UnknownType | ErrorCode::BadRoom => StatusCode::BAD_REQUEST,
            ErrorCode::Forbidden | ErrorCode::NotJoined => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry_after = retry_after.or(Self::new(status, "").retry_after);
        Self { status, code: code.as_str(), detail: message, retry_after }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = error.to_string();
        match error {
            AuthError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
            AuthError::Failed(_) => Self::new(StatusCode::UNAUTHORIZED, detail),
            AuthError::Expired => {
                Self { code: "token_expired", ..Self::new(StatusCode::UNAUTHORIZED, detail) }
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(ProblemBody {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            retry_after_ms: self.retry_after.map(|wait| wait.as_millis().max(1) as u64),
        });
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never too early (RFC 9110, 10.2.3).
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000) as u64));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
