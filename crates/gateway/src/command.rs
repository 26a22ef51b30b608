//! What a client's requests do.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use proto::{
    ClientFrame, ErrorCode, Ref, Request, RoomName,
    client::{Auth, InRoom, Typing},
    server::{self, Pong, Success},
};

use crate::{
    auth::{AuthError, Identity},
    clock::unix_ms,
    posts::{may_post, resolve, rights},
    presence::Rule,
    refusal::Refusal,
    room::{Company, Room},
    session::Session,
};

mod amend;
mod history;
mod join;
mod message;
mod read;

pub use join::{Seat, find_seat, join_from_query, readable_room, take_seat};

/// Does what one request asks, and answers it now or, for a message, when the log did.
pub async fn run(session: &Session, identity: &Arc<Identity>, request: Request<'_>) {
    let Request { reference, frame } = request;
    match frame {
        ClientFrame::Auth(auth) => renew(session, identity, reference, &auth).await,
        ClientFrame::Join(join) => join::run(session, identity, reference, join).await,
        ClientFrame::Leave(leave) => leave_room(session, identity, reference, leave),
        ClientFrame::Message(message) => message::run(session, identity, reference, message).await,
        ClientFrame::Typing(typing) => show_typing(session, identity, reference, typing),
        ClientFrame::History(history) => history::run(session, identity, reference, history).await,
        ClientFrame::Edit(edit) => amend::edit(session, identity, reference, edit).await,
        ClientFrame::Delete(delete) => amend::delete(session, identity, reference, delete).await,
        ClientFrame::React(react) => amend::react(session, identity, reference, react).await,
        ClientFrame::Read(read) => read::run(session, identity, reference, read),
        ClientFrame::Presence(room) => show_presence(session, identity, reference, room),
        ClientFrame::Ping {} => session.send(&Pong { reference }),
    }
}

/// The room, if the client joined it and may post in it.
fn writable_room(session: &Session, identity: &Identity, name: RoomName) -> Result<Arc<Room>, Refusal> {
    let name = resolve(identity, name);
    let room = session.connection.room(&name).ok_or(Refusal::NOT_JOINED)?;
    may_post(&session.app, identity, &name, room.roster.mute(&identity.user, unix_ms()))?;
    Ok(room)
}

async fn renew(session: &Session, identity: &Identity, reference: Option<Ref>, auth: &Auth<'_>) {
    match session.app.auth.verify(&auth.token).await {
        Ok(renewed) if renewed.user == identity.user => match session.app.moderation.check(&renewed).await {
            Ok(()) => {
                session.identify(renewed);
                session.ok(reference, Success::default());
                end_unreadable(session);
            }
            Err(_) => {
                session.error(
                    reference,
                    ErrorCode::Forbidden,
                    "the token was revoked, or its user is banned",
                );
            }
        },
        Ok(_) => session.error(reference, ErrorCode::Forbidden, "the new token is another user's"),
        Err(AuthError::Unavailable(why)) => {
            session.refuse(reference, Refusal::new(ErrorCode::Unavailable, why).after(1000));
        }
        Err(error) => session.error(reference, ErrorCode::Forbidden, &error.to_string()),
    }
}

/// Ends the memberships in rooms that the renewed token grants no right to read, and says so.
fn end_unreadable(session: &Session) {
    let Some(identity) = session.identity() else { return };
    for room in session.connection.all_rooms() {
        if !rights(&session.app, &identity, &room.name).read && session.connection.leave(&room) {
            session.app.metrics.failed(ErrorCode::Forbidden);
            session.send(&server::Failure {
                reference: None,
                code: ErrorCode::Forbidden,
                message: "the renewed token grants no right to read this room: the membership has ended"
                    .into(),
                retry_after_ms: None,
                room: Some(room.name.clone()),
            });
        }
    }
}

fn leave_room(session: &Session, identity: &Identity, reference: Option<Ref>, leave: InRoom) {
    let name = resolve(identity, leave.room);
    match session.connection.room(&name) {
        Some(room) => {
            session.connection.leave(&room);
            session.ok(reference, Success { room: Some(name), ..Success::default() });
        }
        None => session.refuse(reference, Refusal::NOT_JOINED),
    }
}

fn show_presence(session: &Session, identity: &Identity, reference: Option<Ref>, presence: InRoom) {
    let name = resolve(identity, presence.room);
    let Some(room) = session.connection.room(&name) else {
        return session.refuse(reference, Refusal::NOT_JOINED);
    };
    match Rule::of(&session.app.config.now(), &name).company(&room.roster, Some(&identity.user)) {
        Ok(Company { count, members }) => {
            let (room, members) = (Some(name), members.as_deref());
            session.ok(reference, Success { room, members, count: Some(count), ..Success::default() });
        }
        Err(refusal) => session.refuse(reference, refusal),
    }
}

/// Tells the room that somebody types. It may be lost, so nobody waits for it and nobody hears if it was.
fn show_typing(session: &Session, identity: &Identity, reference: Option<Ref>, typing: Typing) {
    let room = match writable_room(session, identity, typing.room) {
        Ok(room) => room,
        Err(refusal) => return session.refuse(reference, refusal),
    };
    session.ok(reference, Success { room: Some(room.name.clone()), ..Success::default() });
    if !room.typists.say(&identity.user, typing.on, Instant::now()) {
        return;
    }
    let frame = server::Typing { room: room.name.clone(), from: identity.user.clone(), on: typing.on };
    let frame = Bytes::from(server::encode(&frame));
    let bus = Arc::clone(&session.app.bus);
    session.app.tasks.spawn(async move {
        let _ = bus.publish(&room.name, frame).await;
    });
}
