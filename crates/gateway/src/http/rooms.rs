//! What is going on: the rooms, and who is in them.
#![expect(unused_qualifications, reason = "what utoipa makes of `params` names it by its path")]

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use bus::BusError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    answer,
    caller::{Caller, Operator},
    problem::{Problem, ProblemBody},
    request::{Asked, Names, room},
};
use crate::{
    app::App,
    posts::{resolve, rights},
    presence::{self, Rule},
    refusal::Refusal,
    room::Company,
};

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The `next` of the page before.
    after: Option<String>,
    /// About so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A page of all rooms that have a log, in no order.
#[derive(Serialize, ToSchema)]
pub(super) struct Rooms {
    rooms: Vec<OneRoom>,
    /// Where the next page begins; absent on the last one. A page may be empty and have a sequel.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Room)]
struct OneRoom {
    /// Its name.
    room: String,
    /// With `seq`, its newest position.
    epoch: String,
    /// See `epoch`.
    seq: u64,
    /// How many users are there.
    count: u64,
}

/// Who is in a room.
#[derive(Serialize, ToSchema)]
#[schema(as = Members)]
pub(super) struct InRoom<'a> {
    /// The room.
    room: &'a str,
    /// How many.
    count: u64,
    /// Who: `{user, name?, info?}` each. Absent in rooms above the presence size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    members: Option<&'a RawValue>,
}

/// Lists the rooms, for servers.
///
/// One that comes or goes meanwhile may be left out, and one may be given twice.
#[utoipa::path(
    get, path = "/v1/rooms", tag = "state",
    params(Which),
    responses(
        (status = 200, body = Rooms),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Operator,
    Asked(Which { after, limit }): Asked<Which>,
) -> Result<Response, Problem> {
    let limit = limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::bad_request("limit is 1 to 1,000"));
    }
    let page = app.bus.rooms(after.as_deref(), limit).await.map_err(|error| match error {
        BusError::Config(detail) => Problem::bad_request(detail),
        BusError::Gone | BusError::Unavailable { .. } => Refusal::UNAVAILABLE.into(),
    })?;
    let rooms = page.rooms.into_iter().map(|room| OneRoom {
        room: room.name.to_string(),
        epoch: room.head.epoch.as_str().to_owned(),
        seq: room.head.seq,
        count: room.count,
    });
    Ok(answer::json(&Rooms { rooms: rooms.collect(), next: page.next }))
}

/// Tells who is in a room.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/members", tag = "state",
    params(
        ("room" = String, Path, description = "The room; `@me` is the caller's own."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer."),
    ),
    responses(
        (status = 200, body = InRoom<'_>, headers(("ETag" = String, description = "What to send as `If-None-Match`."))),
        (status = 304, description = "Nothing has changed."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn members(
    State(app): State<Arc<App>>,
    caller: Caller,
    Names(name): Names<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = resolve(caller.identity(), room(&name)?);
    if !rights(&app, caller.identity(), &name).read {
        return Err(Refusal::MAY_NOT_READ.into());
    }
    if !Rule::of(&app.config.now(), &name).kept {
        return Err(Refusal::NO_PRESENCE.into());
    }
    let company = presence::look(&app, &name, |roster, rule| roster.company(rule.most, None)).await;
    let Company { count, members } = company.map_err(|_| Refusal::UNAVAILABLE)?;
    Ok(answer::tagged(&headers, &InRoom { room: name.as_str(), count, members: members.as_deref() }))
}
