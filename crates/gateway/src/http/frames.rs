//! `POST /v1/frames`: what a client would send over its socket, for whoever has none.
#![expect(unused_qualifications, reason = "what utoipa makes of `params` names it by its path")]

use std::{sync::Arc, time::Instant};

use axum::{extract::State, response::Response};
use bytes::Bytes;
use proto::{
    ClientFrame, DecodeError, DecodeLimits, ErrorCode, Request, RoomName,
    client::{Delete, Edit, React, Read, Typing},
    server::{self, Pong, Success, write_history},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    answer,
    caller::Caller,
    messages::append,
    problem::{Problem, ProblemBody},
    request::{Asked, Body},
};
use crate::{
    app::App,
    auth::Identity,
    pages,
    posts::{Draft, is_author, may_post_from_outside, resolve, rights},
    presence::Rule,
    receipts,
    refusal::Refusal,
    room::Company,
    rooms::Claim,
};

/// In whose name.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct For {
    /// In whose name a server speaks; `server` without it. Not for users.
    from: Option<String>,
}

/// A frame, as the protocol has it. Which fields it needs depends on its type.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `proto` reads")]
struct Frame {
    /// What is asked.
    #[schema(pattern = "^(message|edit|delete|react|read|typing|presence|history)$")]
    r#type: String,
    /// The room; `@me` is the caller's own.
    #[schema(pattern = "^([A-Za-z0-9_.:#-]{1,128}|@[A-Za-z0-9_.:#@|+=/-]{1,120})$")]
    room: String,
    /// Given back in the answer: a text of at most 64 bytes, or a whole number.
    #[schema(value_type = Option<Value>)]
    r#ref: Option<()>,
    /// Of `message` and `edit`: any JSON.
    #[schema(value_type = Option<Value>)]
    data: Option<()>,
    /// Of what is appended: makes it idempotent for five minutes.
    #[schema(min_length = 1, max_length = 64)]
    id: Option<String>,
    /// The message that it is about: of `edit`, `delete`, `react` and `read`.
    target: Option<Target>,
    /// Of `react`: an emoji or a name.
    #[schema(min_length = 1, max_length = 64)]
    key: Option<String>,
    /// Of `react` and `typing`: put on or taken away, typing or stopped.
    on: Option<bool>,
    /// Of `history`: only events with a smaller `seq`.
    before: Option<u64>,
    /// Of `history`: only events with a larger `seq`.
    after: Option<u64>,
    /// Of `history`: at most so many events.
    #[schema(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A position in a room's log.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `proto` reads")]
struct Target {
    #[schema(min_length = 1, max_length = 64)]
    epoch: String,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    seq: u64,
}

/// Does what a frame asks: `message`, `edit`, `delete`, `react`, `read`, `typing`, `presence`, `history` or `ping`.
///
/// The body is the frame as it would go over a socket, and the answer is its `ok`, or `pong`. Whoever calls need not be in the room.
#[utoipa::path(
    post, path = "/v1/frames", tag = "messages",
    params(For),
    request_body(content = Frame, content_type = "application/json"),
    responses(
        (status = 200, body = Object, description = "The frame's `ok`."),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn take(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    Asked(For { from }): Asked<For>,
    body: Body,
) -> Result<Response, Problem> {
    caller.speak_for(from.as_deref(), None)?;
    let bounds = {
        let config = app.config.now();
        DecodeLimits { data_bytes: config.largest_data_bytes(), json_depth: config.limits.json_depth }
    };
    let Request { reference, frame } = Request::decode(body.text(&app)?, bounds).map_err(malformed)?;
    let identity = caller.identity();
    let success = match frame {
        ClientFrame::Message(message) => {
            let room = writable(&app, identity, message.room).await?;
            posted(&app, identity, room, Draft::message(message.data, message.id)).await?
        }
        ClientFrame::Edit(Edit { room, target, data, id }) => {
            let room = amendable(&app, identity, room, &target).await?;
            posted(&app, identity, room, Draft::edit(target, data, id)).await?
        }
        ClientFrame::Delete(Delete { room, target, id }) => {
            let room = amendable(&app, identity, room, &target).await?;
            posted(&app, identity, room, Draft::delete(target, id)).await?
        }
        ClientFrame::React(React { room, target, key, on, id }) => {
            let room = writable(&app, identity, room).await?;
            posted(&app, identity, room, Draft::reaction(&identity.user, target, &key, on, id)).await?
        }
        ClientFrame::Read(read) => mark(&app, identity, read).await?,
        ClientFrame::Typing(typing) => show_typing(&app, identity, typing).await?,
        ClientFrame::Presence(presence) => {
            let claim = readable(&app, identity, presence.room).await?;
            let room = claim.room();
            let rule = Rule::of(&app.config.now(), &room.name);
            let Company { count, members } = rule.company(&room.roster, None)?;
            let (room, members) = (Some(room.name.clone()), members.as_deref());
            return Ok(answer::json(&Success {
                reference,
                room,
                members,
                count: Some(count),
                ..Success::default()
            }));
        }
        ClientFrame::History(history) => {
            let room = resolve(identity, history.room);
            if !rights(&app, identity, &room).read {
                return Err(Refusal::MAY_NOT_READ.into());
            }
            let page = pages::read(&app, &room, history.before, history.after, history.limit).await?;
            let markers = page.markers.as_deref();
            return Ok(answer::text(write_history(
                reference.as_ref(),
                &room,
                &page.events,
                page.more,
                markers,
            )));
        }
        // Whether the way to a node is open, and its credential good.
        ClientFrame::Ping {} => return Ok(answer::json(&Pong { reference })),
        ClientFrame::Auth(_) | ClientFrame::Join(_) | ClientFrame::Leave(_) => {
            let detail = "this frame is about a connection: it goes over a socket";
            return Err(Problem { code: ErrorCode::UnknownType.as_str(), ..Problem::bad_request(detail) });
        }
    };
    Ok(answer::json(&Success { reference, ..success }))
}

fn malformed(DecodeError { code, message, .. }: DecodeError) -> Problem {
    Refusal { code, message: message.into(), retry_after: None }.into()
}

async fn posted(
    app: &App,
    identity: &Identity,
    room: RoomName,
    draft: Draft<'_>,
) -> Result<Success<'static>, Problem> {
    let id = draft.id.clone();
    let appended = append(app, identity, &room, draft).await?;
    Ok(crate::posts::success(room, id, &appended))
}

/// The room, if the caller may post in it.
async fn writable(app: &App, identity: &Identity, room: RoomName) -> Result<RoomName, Refusal> {
    let room = resolve(identity, room);
    may_post_from_outside(app, identity, &room).await?;
    Ok(room)
}

/// The room, if the caller may amend that message in it.
async fn amendable(
    app: &App,
    identity: &Identity,
    room: RoomName,
    target: &proto::Position,
) -> Result<RoomName, Problem> {
    let room = resolve(identity, room);
    if !rights(app, identity, &room).moderate {
        may_post_from_outside(app, identity, &room).await?;
        is_author(&*app.bus, identity, &room, target).await?;
    }
    Ok(room)
}

/// A share in the room, if the caller may read it.
async fn readable(app: &App, identity: &Identity, room: RoomName) -> Result<Claim, Refusal> {
    let room = resolve(identity, room);
    if !rights(app, identity, &room).read {
        return Err(Refusal::MAY_NOT_READ);
    }
    if !app.bus.health().up {
        return Err(Refusal::UNAVAILABLE);
    }
    app.rooms.enter(&room).await.map_err(|_| Refusal::UNAVAILABLE)
}

async fn mark(app: &App, identity: &Identity, read: Read) -> Result<Success<'static>, Refusal> {
    let claim = readable(app, identity, read.room).await?;
    let room = Arc::clone(claim.room());
    receipts::judge(&receipts::mark(&room.receipts, &identity.user, read.target, || claim).await)?;
    Ok(Success { room: Some(room.name.clone()), ..Success::default() })
}

async fn show_typing(app: &App, identity: &Identity, typing: Typing) -> Result<Success<'static>, Refusal> {
    let name = writable(app, identity, typing.room).await?;
    let room = app.rooms.get(&name);
    // Where nobody here is in the room, nobody here knows what was said before.
    let news = room.is_none_or(|room| room.typists.say(&identity.user, typing.on, Instant::now()));
    if news {
        let frame = server::Typing { room: name.clone(), from: identity.user.clone(), on: typing.on };
        let published = app.bus.publish(&name, Bytes::from(server::encode(&frame))).await;
        published.map_err(|_| Refusal::UNAVAILABLE)?;
    }
    Ok(Success { room: Some(name), ..Success::default() })
}
