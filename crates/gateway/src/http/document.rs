//! The document that describes the API (`OpenAPI` 3.1), and what is the same in all of it, said once.

use std::sync::Arc;

use axum::{Extension, Router, http::HeaderMap, response::Response, routing::get};
use proto::{MessageId, RoomName, UserId};
use utoipa::{
    OpenApi,
    openapi::{
        HeaderBuilder, ObjectBuilder, Ref, RefOr, Response as Described, ResponseBuilder, Schema, Type,
        content::ContentBuilder,
        path::{Operation, Parameter, ParameterIn, PathItem},
    },
};

use super::answer;

/// What `4XX` and `5XX` stand for in a handler's description: the errors that any call may meet.
const ERRORS: [(&str, &str, &str); 9] = [
    ("4XX", "400", "The request is not as it must be."),
    ("4XX", "401", "There is no credential, or it is not good."),
    ("4XX", "403", "The caller may not, or comes from a page that may not."),
    ("4XX", "404", "What it is about is not there."),
    ("4XX", "408", "The body came too slowly."),
    ("4XX", "413", "The body, its `data` or its depth exceeds a limit."),
    ("4XX", "429", "The caller is too fast."),
    ("5XX", "500", "A fault of the server's own."),
    (
        "5XX",
        "503",
        "The log can't be reached. The same call again, with the same `Idempotency-Key`, is safe.",
    ),
];

/// What a room's name looks like.
const ROOM: &str = "^([A-Za-z0-9_.:#-]{1,128}|@[A-Za-z0-9_.:#@|+=/-]{1,120})$";

/// What a user's id looks like.
const USER: &str = "^[A-Za-z0-9_.:#@|+=/-]{1,120}$";

/// What a node's name or id looks like.
const NODE: &str = "^[A-Za-z0-9_.~-]{1,80}$";

/// The longest of them, in bytes.
const NODE_BYTES: usize = 80;

/// The routes that other modules serve.
#[derive(OpenApi)]
#[openapi(paths(super::alive, super::ready, super::metrics, show))]
struct Others;

/// Completes the document of the API's own routes.
pub(super) fn complete(document: &mut utoipa::openapi::OpenApi) {
    document.merge(Others::openapi());
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        operation.parameters.iter_mut().flatten().for_each(constrain);
        name_errors(operation);
    }
}

/// Serves the document.
pub(super) fn router(document: utoipa::openapi::OpenApi) -> Router {
    Router::new().route("/v1/openapi.json", get(show)).layer(Extension(Arc::new(document)))
}

/// Gives this document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "about", operation_id = "openapi", security(()),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.")),
    responses(
        (status = 200, body = Object, headers(("ETag" = String, description = "What to send as `If-None-Match`."))),
        (status = 304, description = "Nothing has changed."),
    ),
)]
async fn show(Extension(document): Extension<Arc<utoipa::openapi::OpenApi>>, headers: HeaderMap) -> Response {
    answer::tagged(&headers, &*document)
}

/// Says of names and ids what they may be: a generator of requests then makes such, and a form can check them.
fn constrain(parameter: &mut Parameter) {
    let text = |pattern: Option<&str>, most| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(pattern)
            .min_length(Some(1))
            .max_length(Some(most))
    };
    let schema = match (&*parameter.name, &parameter.parameter_in) {
        ("room", ParameterIn::Path) => text(Some(ROOM), RoomName::MAX_BYTES),
        ("user", ParameterIn::Path) | ("from", ParameterIn::Query) => text(Some(USER), UserId::MAX_BYTES),
        ("node", ParameterIn::Path) => text(Some(NODE), NODE_BYTES),
        ("Idempotency-Key", ParameterIn::Header) => text(None, MessageId::MAX_BYTES),
        _ => return,
    };
    parameter.schema = Some(RefOr::T(Schema::from(schema)));
}

/// Puts the errors by their numbers in the place of `4XX` and `5XX`; what the handler describes itself stays.
fn name_errors(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    for (class, status, about) in ERRORS {
        if responses.contains_key(class) {
            responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(error(status, about)));
        }
    }
    for class in ["4XX", "5XX"] {
        responses.remove(class);
    }
}

fn error(status: &str, about: &str) -> Described {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(about).content("application/problem+json", problem);
    if !["429", "503"].contains(&status) {
        return response.build();
    }
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let header = HeaderBuilder::new().schema(seconds).description(Some("When to try again, in seconds."));
    response.header("Retry-After", header.build()).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::{body::Body, http::Request};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::super::tests::{call, state};
    use crate::{app::App, config::Config, config::Secret, metrics::Metrics};

    /// Described elsewhere: it speaks another protocol than HTTP.
    const NOT_HTTP: &str = "/ws";

    async fn router() -> axum::Router {
        let mut config = Config::default();
        config.auth.jwt_secret = Some(Secret::new("k".repeat(32)));
        let app = App::new(config, Metrics::new().into()).await.unwrap();
        // They are for people, and no part of the API.
        app.router(state(|config| config.pages = false))
    }

    async fn document() -> Value {
        call(router().await, "GET", "/v1/openapi.json", &[]).await.json()
    }

    /// The paths of a router, without what it does about all others. axum tells them only to whoever debugs.
    fn paths(router: &axum::Router) -> BTreeSet<String> {
        let shown = format!("{router:?}");
        let own = shown.split("fallback_router").next().unwrap();
        let quoted = own.split('"').skip(1).step_by(2);
        quoted.filter(|text| text.starts_with('/')).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn the_document_is_complete() {
        let router = router().await;
        let paths = paths(&router);
        assert!(paths.contains(NOT_HTTP) && paths.contains("/v1/rooms/{room}/messages"), "{paths:?}");
        let mut served = BTreeSet::new();
        for path in paths.iter().filter(|path| *path != NOT_HTTP) {
            for method in ["get", "put", "post", "delete", "patch"] {
                let request = Request::builder().method(&*method.to_uppercase());
                let request = request.uri(path.replace(['{', '}'], "")).body(Body::empty()).unwrap();
                if router.clone().oneshot(request).await.unwrap().status() != 405 {
                    served.insert(format!("{method} {path}"));
                }
            }
        }
        let document = document().await;
        let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        });
        assert_eq!(described.collect::<BTreeSet<_>>(), served);
    }

    #[tokio::test]
    async fn what_is_the_same_everywhere_is_said_everywhere() {
        let document = document().await;
        assert_eq!(document["openapi"], "3.1.0");
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let what = format!("{method} {path}");
                assert!(ids.insert(operation["operationId"].to_string()), "{what}: its id is another's");
                assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{what}");
                let responses = operation["responses"].as_object().unwrap();
                assert!(
                    responses.keys().all(|status| status.parse::<u16>().is_ok()),
                    "{what}: {responses:?}"
                );
                if operation["security"] != serde_json::json!([{}]) {
                    assert!(responses.contains_key("401"), "{what}");
                    assert!(!responses["429"]["headers"]["Retry-After"].is_null(), "{what}");
                }
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    if parameter["in"] == "path" {
                        assert!(!parameter["schema"]["pattern"].is_null(), "{what}: {parameter}");
                    }
                }
            }
        }
    }
}
