//! The document that describes the socket (`AsyncAPI` 3.0).

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// It is written by hand, beside `docs/PROTOCOL.md`; the tests of `proto` hold it to the types.
const DOCUMENT: &str = include_str!("../../../../docs/asyncapi.json");

/// What such documents are served as.
const MEDIA_TYPE: &str = "application/vnd.aai.asyncapi+json;version=3.0.0";

/// Gives the document of the WebSocket.
#[utoipa::path(
    get, path = "/v1/asyncapi.json", tag = "about", operation_id = "asyncapi", security(()),
    responses((status = 200, body = Object, content_type = "application/vnd.aai.asyncapi+json;version=3.0.0")),
)]
pub(super) async fn show() -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], DOCUMENT).into_response()
}
