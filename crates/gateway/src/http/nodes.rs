//! The nodes: what each says of itself, and having one drain.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer,
    caller::Operator,
    problem::{Problem, ProblemBody},
    request::Names,
};
use crate::{
    app::App,
    nodes::{self, NodeStatus},
    refusal::Refusal,
    serve::Line,
};

/// The nodes that live, as the one that answers sees them.
#[derive(Serialize, ToSchema)]
pub(super) struct Cluster {
    /// The id of the one that answers.
    answered_by: String,
    /// Whether these are all. While Redis can't be reached, a node knows of nobody but itself.
    complete: bool,
    nodes: Vec<Node>,
}

#[derive(Serialize, ToSchema)]
struct Node {
    /// Its name and incarnation.
    id: String,
    /// How long ago it was heard of.
    silent_ms: u64,
    /// What it says of itself; absent in its first second.
    #[serde(flatten)]
    status: Option<NodeStatus>,
}

/// The nodes that were told to drain.
#[derive(Serialize, ToSchema)]
pub(super) struct Drained {
    /// Their ids: more than one, if several have the name.
    nodes: Vec<String>,
}

/// Lists the nodes with what each says of itself, for servers.
///
/// A node says it every second, and the others hear of it every two seconds. One that has not been heard of for six is gone.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "state", operation_id = "nodes",
    responses(
        (status = 200, body = Cluster),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(State(app): State<Arc<App>>, _: Operator) -> Result<Response, Problem> {
    let answered_by = app.bus.node().to_string();
    let asked = if app.bus.health().up { app.bus.nodes().await.ok() } else { None };
    let complete = asked.is_some();
    let others = asked.into_iter().flatten().filter(|node| node.id != answered_by);
    let mut nodes: Vec<_> = others
        .map(|node| Node {
            id: node.id,
            silent_ms: node.silent_for.as_millis() as u64,
            status: serde_json::from_slice(&node.status).ok(),
        })
        .collect();
    // Of itself it knows more than it has told the others.
    nodes.push(Node { id: answered_by.clone(), silent_ms: 0, status: app.status.lock().clone() });
    nodes.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(answer::json(&Cluster { answered_by, complete, nodes }))
}

/// Has a node drain and end, as SIGTERM would: its clients are told to come back, and find another node.
///
/// Whatever started it may start it again. A node that drains already goes on with it.
#[utoipa::path(
    post, path = "/v1/nodes/{node}/drain", tag = "state",
    params(("node" = String, Path, description = "The node's id, or its name: the part of the id before the `~`.")),
    responses(
        (status = 202, body = Drained, description = "It has been told."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "No such node lives."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn drain(
    State(app): State<Arc<App>>,
    Extension(line): Extension<Line>,
    Operator(caller): Operator,
    Names(node): Names<String>,
) -> Result<Response, Problem> {
    // If it is this one: with nobody connected it could end before the answer has gone out.
    let answering = app.tasks.token();
    let told = nodes::drain(&app, &caller.name(), &node).await.map_err(|_| Refusal::UNAVAILABLE)?;
    if told.is_empty() {
        return Err(Problem::not_found("no such node lives: GET /v1/nodes lists those that do"));
    }
    if told.iter().any(|id| id == app.bus.node().as_str()) {
        tokio::spawn(async move {
            line.ended().await;
            drop(answering);
        });
    }
    Ok((StatusCode::ACCEPTED, answer::json(&Drained { nodes: told })).into_response())
}
