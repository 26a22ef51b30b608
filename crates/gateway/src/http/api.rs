//! The API under `/v1`, and the document that describes it.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::{
    OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asyncapi, document, frames, messages, moderation, nodes, problem::Problem, reload, rooms, tickets,
};
use crate::{
    app::App,
    auth::{Origin, origin},
    sse,
};

/// How long a browser may remember what a page may do, in seconds.
const PREFLIGHT_SECONDS: u64 = 600;

#[derive(OpenApi)]
#[openapi(
    info(title = "Chorus", description = "The HTTP API of a Chorus gateway.", license(name = "MIT", identifier = "MIT")),
    modifiers(&Security),
    security(("token" = []), ("key" = [])),
)]
struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |text| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build();
            SecurityScheme::Http(scheme)
        };
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", bearer("A user's JWT."));
        components.add_security_scheme("key", bearer("A server's API key."));
    }
}

/// The API's routes. A new one is a handler, described by `utoipa::path`, and a line here; one that another module routes
/// has its line in `document.rs`.
pub(crate) fn api(app: &Arc<App>) -> Router {
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(messages::post, messages::page))
        .routes(routes!(messages::broadcast))
        .routes(routes!(frames::take))
        .routes(routes!(sse::events))
        .routes(routes!(rooms::list))
        .routes(routes!(rooms::members))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::drain))
        .routes(routes!(reload::reload))
        .routes(routes!(moderation::disconnect))
        .routes(routes!(moderation::ban, moderation::show_ban, moderation::unban))
        .routes(routes!(moderation::revoke))
        .routes(routes!(moderation::mutes))
        .routes(routes!(moderation::mute, moderation::unmute))
        .routes(routes!(asyncapi::show))
        .routes(routes!(tickets::create))
        .with_state(Arc::clone(app));
    let (router, mut document) = routes.split_for_parts();
    document::complete(&mut document);
    router
        .merge(document::router(document))
        .fallback(|| async { Problem::not_found("there is nothing at this path: see /v1/openapi.json") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(cors(app))
}

/// Pages of the allowed origins may call; without any listed, only those of the request's own host, which need no leave.
fn cors(app: &Arc<App>) -> CorsLayer {
    let app = Arc::clone(app);
    let allowed = move |_: &HeaderValue, request: &Parts| {
        let config = app.config.now();
        let listed = &config.allowed_origins;
        !listed.is_empty() && origin::check(&request.headers, listed) == Origin::Allowed
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(std::time::Duration::from_secs(PREFLIGHT_SECONDS))
}
