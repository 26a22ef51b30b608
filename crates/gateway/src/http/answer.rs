//! Answers that are not errors.

use std::hash::{DefaultHasher, Hasher};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::server;
use serde::Serialize;

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

/// An answer that holds for this call only.
pub(super) fn json<T: Serialize>(body: &T) -> Response {
    text(server::encode(body))
}

/// The same of what is JSON already.
pub(super) fn text(body: Vec<u8>) -> Response {
    ([JSON, (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// An answer that whoever has it need not be given again while it is the same.
pub(super) fn tagged<T: Serialize>(headers: &HeaderMap, body: &T) -> Response {
    let body = server::encode(body);
    let mut hasher = DefaultHasher::new();
    hasher.write(&body);
    // A weak one: it is of what the answer says, whichever node gives it.
    let tag = format!("W/\"{:016x}\"", hasher.finish());
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|value| value.split(',')).map(str::trim).any(|one| one == tag || one == "*");
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let Ok(tag) = HeaderValue::from_str(&tag) else { return json(&()) };
    let headers = [cache, (header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [JSON], body).into_response()
}
