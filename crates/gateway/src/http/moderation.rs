//! What moderators do: disconnecting, banning, revoking tokens, muting.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bus::Mute;
use proto::RoomName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer,
    caller::{Caller, Operator},
    problem::{Problem, ProblemBody},
    request::{Body, Names, room, user},
};
use crate::{app::App, clock::unix_ms, moderation::Ban, posts::rights, refusal::Refusal};

/// What holds without an end holds so long: a hundred years.
const FOR_EVER_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// The longest reason, in bytes: it goes into a frame, and into a log line.
const REASON_BYTES: usize = 512;

/// For how long a revocation is remembered that does not say. Tokens that last longer are nobody's idea of a token.
const REVOCATION_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// What is done, and why.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct Disconnection {
    /// Why, for the user's eyes; 512 bytes at most.
    #[serde(default)]
    #[schema(max_length = 512)]
    reason: String,
}

/// For how long, and why.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct Penalty {
    /// For how long, in milliseconds; without it until it is lifted.
    #[schema(minimum = 1)]
    duration_ms: Option<u64>,
    /// Why, for the user's eyes; 512 bytes at most.
    #[serde(default)]
    #[schema(max_length = 512)]
    reason: String,
}

/// A ban or a mute.
#[derive(Serialize, ToSchema)]
pub(super) struct Penalized {
    /// Who.
    user: String,
    /// In which room, of a mute.
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    /// Until when, in milliseconds since 1970.
    until_ms: u64,
    /// Why.
    reason: String,
}

/// From when on a user's tokens are good.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct Revocation {
    /// Tokens issued before are good no more, in milliseconds since 1970; without it, now.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    since_ms: Option<u64>,
}

/// The tokens that are good no more.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// Whose.
    user: String,
    /// Those issued before, in milliseconds since 1970; a token names a second, and one of this very second is from before.
    since_ms: u64,
}

/// The mutes of a room.
#[derive(Serialize, ToSchema)]
pub(super) struct Mutes {
    mutes: Vec<Penalized>,
}

impl Penalty {
    fn until_ms(&self) -> Result<u64, Problem> {
        match self.duration_ms {
            Some(0) => Err(Problem::bad_request("duration_ms is at least 1")),
            duration => Ok(unix_ms() + duration.unwrap_or(FOR_EVER_MS).min(FOR_EVER_MS)),
        }
    }
}

fn checked(reason: String) -> Result<String, Problem> {
    if reason.len() > REASON_BYTES || reason.chars().any(char::is_control) {
        return Err(Problem::bad_request("a reason has at most 512 bytes, without control characters"));
    }
    Ok(reason)
}

/// Closes all connections of a user, on all nodes.
///
/// It may connect again at once: see bans for that.
#[utoipa::path(
    post, path = "/v1/users/{user}/disconnect", tag = "moderation",
    params(("user" = String, Path, description = "The user.")),
    request_body(content = Option<Disconnection>, content_type = "application/json"),
    responses(
        (status = 204, description = "Every node has been told."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn disconnect(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Names(name): Names<String>,
    body: Body,
) -> Result<Response, Problem> {
    let user = user(&name)?;
    let Disconnection { reason } = body.json_or_nothing(&app)?;
    let done = app.moderation.disconnect(&caller.name(), &user, &checked(reason)?).await;
    done.map_err(|_| Refusal::UNAVAILABLE)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Bans a user: its connections are closed, and it may not connect until the ban is over or lifted.
#[utoipa::path(
    put, path = "/v1/users/{user}/ban", tag = "moderation",
    params(("user" = String, Path, description = "The user.")),
    request_body(content = Option<Penalty>, content_type = "application/json"),
    responses(
        (status = 200, body = Penalized),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn ban(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Names(name): Names<String>,
    body: Body,
) -> Result<Response, Problem> {
    let user = user(&name)?;
    let penalty: Penalty = body.json_or_nothing(&app)?;
    let ban = Ban { until_ms: penalty.until_ms()?, reason: checked(penalty.reason)? };
    app.moderation.ban(&caller.name(), &user, &ban).await.map_err(|_| Refusal::UNAVAILABLE)?;
    let Ban { until_ms, reason } = ban;
    Ok(answer::json(&Penalized { user: user.to_string(), room: None, until_ms, reason }))
}

/// Tells of a user's ban.
#[utoipa::path(
    get, path = "/v1/users/{user}/ban", tag = "moderation",
    params(("user" = String, Path, description = "The user.")),
    responses(
        (status = 200, body = Penalized),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "The user is not banned."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show_ban(
    State(app): State<Arc<App>>,
    _: Operator,
    Names(name): Names<String>,
) -> Result<Response, Problem> {
    let user = user(&name)?;
    let ban = app.moderation.ban_of(&user).await.map_err(|_| Refusal::UNAVAILABLE)?;
    let Ban { until_ms, reason } = ban.ok_or_else(|| Problem::not_found("this user is not banned"))?;
    Ok(answer::json(&Penalized { user: user.to_string(), room: None, until_ms, reason }))
}

/// Lifts a ban. One that is not there is lifted already.
#[utoipa::path(
    delete, path = "/v1/users/{user}/ban", tag = "moderation",
    params(("user" = String, Path, description = "The user.")),
    responses(
        (status = 204, description = "The user is not banned."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn unban(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Names(name): Names<String>,
) -> Result<Response, Problem> {
    app.moderation.unban(&caller.name(), &user(&name)?).await.map_err(|_| Refusal::UNAVAILABLE)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Makes a user's tokens worthless that were issued before a time, and closes the connections that came with them.
#[utoipa::path(
    post, path = "/v1/users/{user}/revoke", tag = "moderation",
    params(("user" = String, Path, description = "The user.")),
    request_body(content = Option<Revocation>, content_type = "application/json"),
    responses(
        (status = 200, body = Revoked),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Names(name): Names<String>,
    body: Body,
) -> Result<Response, Problem> {
    let user = user(&name)?;
    let Revocation { since_ms } = body.json_or_nothing(&app)?;
    let now = unix_ms();
    let since_ms = since_ms.unwrap_or(now);
    if since_ms > now {
        return Err(Problem::bad_request("since_ms is in the future: no token could ever be good"));
    }
    let done = app.moderation.revoke(&caller.name(), &user, since_ms, REVOCATION_MS).await;
    done.map_err(|_| Refusal::UNAVAILABLE)?;
    Ok(answer::json(&Revoked { user: user.to_string(), since_ms }))
}

/// Takes a user's voice in a room: it may read, and nothing else. For servers, and for the room's moderators.
#[utoipa::path(
    put, path = "/v1/rooms/{room}/mutes/{user}", tag = "moderation",
    params(
        ("room" = String, Path, description = "The room."),
        ("user" = String, Path, description = "The user."),
    ),
    request_body(content = Option<Penalty>, content_type = "application/json"),
    responses(
        (status = 200, body = Penalized),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn mute(
    State(app): State<Arc<App>>,
    caller: Caller,
    Names((room_name, user_name)): Names<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let (room, user) = (moderated(&app, &caller, &room_name)?, user(&user_name)?);
    let penalty: Penalty = body.json_or_nothing(&app)?;
    let mute = Mute { until_ms: penalty.until_ms()?, reason: checked(penalty.reason)? };
    let done = app.moderation.mute(&caller.name(), &room, &user, Some(&mute)).await;
    done.map_err(|_| Refusal::UNAVAILABLE)?;
    Ok(answer::json(&penalized(&room, &user, mute)))
}

/// Gives a user its voice back. One that has it keeps it.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}/mutes/{user}", tag = "moderation",
    params(
        ("room" = String, Path, description = "The room."),
        ("user" = String, Path, description = "The user."),
    ),
    responses(
        (status = 204, description = "The user may speak."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn unmute(
    State(app): State<Arc<App>>,
    caller: Caller,
    Names((room_name, user_name)): Names<(String, String)>,
) -> Result<Response, Problem> {
    let (room, user) = (moderated(&app, &caller, &room_name)?, user(&user_name)?);
    let done = app.moderation.mute(&caller.name(), &room, &user, None).await;
    done.map_err(|_| Refusal::UNAVAILABLE)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Lists who may not speak in a room. For servers, and for the room's moderators.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/mutes", tag = "moderation",
    params(("room" = String, Path, description = "The room.")),
    responses(
        (status = 200, body = Mutes),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn mutes(
    State(app): State<Arc<App>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Response, Problem> {
    let room = moderated(&app, &caller, &name)?;
    let state = app.bus.room_state(&room, 0, unix_ms()).await.map_err(|_| Refusal::UNAVAILABLE)?;
    let mutes = state.mutes.into_iter().map(|(user, mute)| penalized(&room, &user, mute)).collect();
    Ok(answer::json(&Mutes { mutes }))
}

fn penalized(room: &RoomName, user: &proto::UserId, Mute { until_ms, reason }: Mute) -> Penalized {
    Penalized { user: user.to_string(), room: Some(room.to_string()), until_ms, reason }
}

/// The room, if the caller moderates it.
fn moderated(app: &App, caller: &Caller, name: &str) -> Result<RoomName, Problem> {
    let room = room(name)?;
    if rights(app, caller.identity(), &room).moderate {
        return Ok(room);
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "the token grants no right to moderate this room"))
}
