//! What comes with a call, read so that whatever is wrong with it is told in the API's own words.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, request::Parts},
};
use proto::{MessageId, RoomName, UserId, depth};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::problem::Problem;
use crate::app::App;

/// The body, no larger than a frame of a socket may be.
pub(super) struct Body(Bytes);

impl FromRequest<Arc<App>> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (most, patience) = {
            let limits = &app.config.now().limits;
            // As for the headers: whoever sends a byte a minute would keep its place for ever.
            (limits.frame_bytes, Duration::from_millis(limits.header_read_timeout_ms))
        };
        let body =
            timeout(patience, axum::body::to_bytes(request.into_body(), most)).await.map_err(|_| {
                Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body took longer than limits.header_read_timeout_ms",
                )
            })?;
        let body = body.map_err(|error| {
            // The limit is told from a body that ended early only by its source.
            let too_long = std::error::Error::source(&error)
                .is_some_and(|cause| cause.to_string().contains("length limit"));
            if too_long {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body may have {most} bytes"))
            } else {
                Problem::bad_request("the body ended early")
            }
        })?;
        Ok(Self(body))
    }
}

impl Body {
    /// The text, if it nests no deeper than it may.
    pub(super) fn text(&self, app: &App) -> Result<&str, Problem> {
        let most = app.config.now().limits.json_depth;
        if !depth::within(&self.0, most) {
            let detail = format!("JSON may nest {most} levels deep");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        str::from_utf8(&self.0).map_err(|_| Problem::bad_request("the body is not UTF-8"))
    }

    /// What it says.
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self, app: &App) -> Result<T, Problem> {
        let text = self.text(app)?;
        // A derived struct would be read from an array too.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Problem::bad_request("the body must be one JSON object"));
        }
        serde_json::from_str(text).map_err(|error| Problem::bad_request(error.to_string()))
    }

    /// The same, where no body stands for one that says nothing.
    pub(super) fn json_or_nothing<'a, T: Deserialize<'a> + Default>(
        &'a self,
        app: &App,
    ) -> Result<T, Problem> {
        if self.0.is_empty() { Ok(T::default()) } else { self.json(app) }
    }
}

/// The parts of the path that are names.
pub(super) struct Names<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(error) => Err(Problem::bad_request(error.body_text())),
        }
    }
}

/// The query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::bad_request(error.body_text())),
        }
    }
}

/// A room's name.
pub(super) fn room(name: &str) -> Result<RoomName, Problem> {
    let bad = |error: proto::room::BadRoom| Problem {
        code: proto::ErrorCode::BadRoom.as_str(),
        ..Problem::bad_request(error.to_string())
    };
    RoomName::parse(name).map_err(bad)
}

/// A user's name.
pub(super) fn user(name: &str) -> Result<UserId, Problem> {
    UserId::parse(name).map_err(|error| Problem::bad_request(error.to_string()))
}

/// The id of what is posted: of the header `Idempotency-Key`, or of the body.
pub(super) fn message_id(headers: &HeaderMap, body: Option<MessageId>) -> Result<Option<MessageId>, Problem> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(body) };
    let bad = || Problem::bad_request("an Idempotency-Key is 1 to 64 bytes of text");
    let text = header.to_str().map_err(|_| bad())?;
    // A draft of its standard makes it a text in quotes; most clients leave them out.
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let key = MessageId::parse(text).ok_or_else(bad)?;
    match body {
        Some(id) if id != key => Err(Problem::bad_request("Idempotency-Key and id are not the same")),
        _ => Ok(Some(key)),
    }
}
