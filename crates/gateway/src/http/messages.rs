//! Messages: posting one, into a room or into many, and reading a page of them.
#![expect(unused_qualifications, reason = "what utoipa makes of `params` names it by its path")]

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use bus::Appended;
use futures_util::future::join_all;
use proto::{ErrorCode, MAX_HISTORY_EVENTS, MessageId, RoomName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    answer,
    caller::Caller,
    problem::{Problem, ProblemBody},
    request::{Asked, Body, Names, message_id, room},
};
use crate::{
    app::App,
    auth::Identity,
    pages,
    posts::{self, Draft, may_post_from_outside, resolve, rights},
    refusal::Refusal,
};

/// The most rooms of one broadcast.
const BROADCAST_ROOMS: usize = 1_000;

/// A message to be posted.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewMessage<'a> {
    /// Any JSON.
    #[serde(borrow)]
    #[schema(value_type = Value)]
    data: &'a RawValue,
    /// Makes it idempotent for five minutes; the header `Idempotency-Key` says the same.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    id: Option<MessageId>,
    /// In whose name a server posts; `server` without it. Not for users.
    from: Option<&'a str>,
    /// The display name that goes with it. Not for users.
    name: Option<&'a str>,
}

/// The same, for many rooms.
#[derive(Deserialize, ToSchema)]
pub(super) struct Broadcast<'a> {
    /// The rooms, 1,000 at most.
    #[schema(min_items = 1, max_items = 1000)]
    rooms: Vec<String>,
    /// Any JSON.
    #[serde(borrow)]
    #[schema(value_type = Value)]
    data: &'a RawValue,
    /// Makes it idempotent in each room; the header `Idempotency-Key` says the same.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    id: Option<MessageId>,
    /// In whose name; `server` without it.
    from: Option<&'a str>,
    /// The display name that goes with it.
    name: Option<&'a str>,
}

/// Where a message stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Posted {
    /// The room.
    room: String,
    /// With `seq`, the message's position.
    epoch: String,
    /// See `epoch`.
    seq: u64,
    /// The id that it was sent with.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Whether the id was known, so that nothing was appended.
    duplicate: bool,
}

/// What came of a broadcast, room by room and in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct Results {
    results: Vec<RoomResult>,
}

/// What came of it in one room: a position, or an error.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum RoomResult {
    Posted(Posted),
    Failed(Failed),
}

#[derive(Serialize, ToSchema)]
struct Failed {
    /// The room.
    room: String,
    error: RoomError,
}

#[derive(Serialize, ToSchema)]
struct RoomError {
    /// Why, for a program: an error code of the protocol.
    code: &'static str,
    /// Why, for its developer.
    message: String,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only events with a smaller `seq`; the page ends there.
    before: Option<u64>,
    /// Only events with a larger `seq`; the page begins there.
    after: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A page of a room's log, ascending.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<'a> {
    /// The room.
    room: &'a str,
    /// The events, as they come over a socket.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Box<RawValue>>,
    /// Whether there is a sequel, in the direction that was asked for.
    more: bool,
    /// How far everybody has read; absent in rooms above the presence size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    markers: Option<&'a RawValue>,
}

/// Posts a message.
///
/// The user whose token it is, or with an API key whoever the body names, need not be in the room.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/messages", tag = "messages",
    params(
        ("room" = String, Path, description = "The room; `@me` is the caller's own."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same as the body's `id`."),
        ("traceparent" = Option<String>, Header, description = "The caller's span (W3C Trace Context). Only a server's counts."),
    ),
    request_body(content = NewMessage<'_>, content_type = "application/json"),
    responses(
        (status = 200, body = Posted),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn post(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    Names(name): Names<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let message: NewMessage<'_> = body.json(&app)?;
    let room = room(&name)?;
    caller.speak_for(message.from, message.name)?;
    let id = message_id(&headers, message.id)?;
    let room = resolve(caller.identity(), room);
    let draft = Draft { parent: caller.parent(&headers), ..Draft::message(message.data, id) };
    Ok(answer::json(&post_in(&app, caller.identity(), &room, draft).await?))
}

/// Posts one message into many rooms, for servers.
#[utoipa::path(
    post, path = "/v1/broadcast", tag = "messages",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same as the body's `id`."),
        ("traceparent" = Option<String>, Header, description = "The caller's span (W3C Trace Context)."),
    ),
    request_body(content = Broadcast<'_>, content_type = "application/json"),
    responses(
        (status = 200, body = Results),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn broadcast(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.must_be_server()?;
    let message: Broadcast<'_> = body.json(&app)?;
    if !(1..=BROADCAST_ROOMS).contains(&message.rooms.len()) {
        return Err(Problem::bad_request("a broadcast is to 1 to 1,000 rooms"));
    }
    caller.speak_for(message.from, message.name)?;
    let (id, parent) = (message_id(&headers, message.id)?, caller.parent(&headers));
    let results = message.rooms.iter().map(|name| {
        let (app, identity, id, data) = (&app, caller.identity(), id.clone(), message.data);
        async move {
            let outcome = match RoomName::parse(name) {
                Ok(room) => {
                    let draft = Draft { parent, ..Draft::message(data, id) };
                    post_in(app, identity, &resolve(identity, room), draft).await
                }
                Err(error) => {
                    let refusal = Refusal::new(ErrorCode::BadRoom, "");
                    Err(Refusal { message: error.to_string().into(), ..refusal })
                }
            };
            outcome.map_or_else(
                |Refusal { code, message, .. }| {
                    let error = RoomError { code: code.as_str(), message: message.into_owned() };
                    RoomResult::Failed(Failed { room: name.clone(), error })
                },
                RoomResult::Posted,
            )
        }
    });
    let results = join_all(results).await;
    Ok(answer::json(&Results { results }))
}

/// Gives a page of a room's log; without `before` or `after`, the newest.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/messages", tag = "messages",
    params(
        ("room" = String, Path, description = "The room; `@me` is the caller's own."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer."),
        Which,
    ),
    responses(
        (status = 200, body = Page<'_>, headers(("ETag" = String, description = "What to send as `If-None-Match`."))),
        (status = 304, description = "Nothing has changed."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Names(name): Names<String>,
    Asked(Which { before, after, limit }): Asked<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = resolve(caller.identity(), room(&name)?);
    if before.is_some() && after.is_some() {
        return Err(Problem::bad_request("before or after, not both"));
    }
    let limit = limit.unwrap_or(50);
    if !(1..=MAX_HISTORY_EVENTS).contains(&limit) {
        return Err(Problem::bad_request("limit is 1 to 200"));
    }
    if before.max(after).is_some_and(|seq| seq >= proto::position::SEQ_LIMIT) {
        return Err(Problem::bad_request("a seq is below 2^53"));
    }
    if !rights(&app, caller.identity(), &name).read {
        return Err(Refusal::MAY_NOT_READ.into());
    }
    let page = pages::read(&app, &name, before, after, limit).await?;
    let events = page.events.into_iter().filter_map(|event| {
        let text = String::from_utf8(event).ok()?;
        RawValue::from_string(text).ok()
    });
    let (events, markers) = (events.collect(), page.markers.as_deref());
    Ok(answer::tagged(&headers, &Page { room: name.as_str(), events, more: page.more, markers }))
}

/// Posts a message, for whoever may.
async fn post_in(
    app: &App,
    identity: &Identity,
    room: &RoomName,
    draft: Draft<'_>,
) -> Result<Posted, Refusal> {
    may_post_from_outside(app, identity, room).await?;
    let id = draft.id.clone();
    let appended = append(app, identity, room, draft).await?;
    Ok(Posted::of(room, id, &appended))
}

/// Appends an event, for whoever was asked whether it may.
pub(super) async fn append(
    app: &App,
    identity: &Identity,
    room: &RoomName,
    draft: Draft<'_>,
) -> Result<Appended, Refusal> {
    let mut trace = draft.trace(app, room);
    let (mut append, _under_way) = posts::prepare(app, identity, room, draft)
        .await
        .inspect_err(|refusal| trace.iter_mut().for_each(|trace| trace.refused(refusal)))?;
    append.trace = trace.as_mut().and_then(|trace| trace.append(room));
    let appended = app.bus.append(room, append).await;
    trace.iter_mut().for_each(|trace| trace.appended(&appended));
    let appended = appended.map_err(|error| posts::refusal(&error))?;
    if !appended.duplicate {
        app.metrics.appends.increment(1);
    }
    Ok(appended)
}

impl Posted {
    fn of(room: &RoomName, id: Option<MessageId>, appended: &Appended) -> Self {
        Self {
            room: room.to_string(),
            epoch: appended.position.epoch.as_str().to_owned(),
            seq: appended.position.seq,
            id: id.map(|id| id.as_str().to_owned()),
            duplicate: appended.duplicate,
        }
    }
}
