//! `POST /v1/reload`: the configuration is read anew.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};

use super::{
    answer,
    caller::Operator,
    problem::{Problem, ProblemBody},
};
use crate::{app::App, config::Change, reload::Reloader};

/// Has the node that is asked read its configuration anew, as SIGHUP would, for servers.
///
/// Only this node: each reads its own file. The answer names the keys whose values are others now, and those that a restart
/// would change. When something is wrong, everything is as before.
#[utoipa::path(
    post, path = "/v1/reload", tag = "state", operation_id = "reload",
    responses(
        (status = 200, body = Change),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "The configuration is wrong, and how."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn reload(
    State(_): State<Arc<App>>,
    reloader: Option<Extension<Arc<Reloader>>>,
    Operator(caller): Operator,
) -> Result<Response, Problem> {
    let Some(Extension(reloader)) = reloader else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this node is still starting"));
    };
    // In a task of its own: whoever hangs up must not leave it half done.
    let reloaded = tokio::spawn(async move { reloader.reload(&caller.name()).await }).await;
    match reloaded {
        Ok(Ok(change)) => Ok(answer::json(&change)),
        Ok(Err(error)) => {
            let detail = format!("{error}; everything is as before");
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
        Err(_) => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "reading it failed: see the node's log"))
        }
    }
}
