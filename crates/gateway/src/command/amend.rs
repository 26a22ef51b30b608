//! What is done to a message that stands in the log: editing it, deleting it, reacting to it.

use std::sync::Arc;

use bus::{Bus, BusError, Effect, ReadFrom};
use proto::{
    ErrorCode, EventKind, Position, Ref, RoomName, UserId,
    client::{Delete, Edit, React},
    event::Event,
};

use super::{
    message::{Draft, append},
    resolve, rights, writable_room,
};
use crate::{auth::Identity, refusal::Refusal, room::Room, session::Session};

const NOT_YOURS: Refusal = Refusal::new(
    ErrorCode::Forbidden,
    "the message is another user's, and the token grants no right to moderate this room",
);

/// Puts new data in the place of a message's.
pub(super) async fn edit(session: &Session, identity: &Identity, reference: Option<Ref>, edit: Edit<'_>) {
    let Edit { room, target, data, id } = edit;
    let room = match amendable(session, identity, room, &target).await {
        Ok(room) => room,
        Err(refusal) => return session.refuse(reference, refusal),
    };
    let (kind, effect) = (EventKind::Edit, Effect::Edit(target));
    let draft = Draft { room, kind, effect, data: Some(data), reaction: None, id, echo: true };
    append(session, identity, reference, draft).await;
}

/// Takes a message's data away, and that of its edits.
pub(super) async fn delete(session: &Session, identity: &Identity, reference: Option<Ref>, delete: Delete) {
    let Delete { room, target, id } = delete;
    let room = match amendable(session, identity, room, &target).await {
        Ok(room) => room,
        Err(refusal) => return session.refuse(reference, refusal),
    };
    let (kind, effect) = (EventKind::Delete, Effect::Delete(target));
    let draft = Draft { room, kind, effect, data: None, reaction: None, id, echo: true };
    append(session, identity, reference, draft).await;
}

/// Puts a reaction on a message, or takes it away.
pub(super) async fn react(session: &Session, identity: &Identity, reference: Option<Ref>, react: &React) {
    let room = match writable_room(session, identity, react.room.clone()) {
        Ok(room) => room,
        Err(refusal) => return session.refuse(reference, refusal),
    };
    let effect = Effect::reaction(&identity.user, react.target.clone(), &react.key, react.on);
    let (kind, reaction) = (EventKind::Reaction, Some((&*react.key, react.on)));
    let id = react.id.clone();
    append(session, identity, reference, Draft { room, kind, effect, data: None, reaction, id, echo: true })
        .await;
}

/// The room, if the client may amend that message in it: its own, where it may post, or anybody's as a moderator.
async fn amendable(
    session: &Session,
    identity: &Identity,
    name: RoomName,
    target: &Position,
) -> Result<Arc<Room>, Refusal> {
    let name = resolve(identity, name);
    let room = session.connection.room(&name).ok_or(Refusal::NOT_JOINED)?;
    if rights(session, identity, &name).moderate {
        return Ok(room);
    }
    let room = writable_room(session, identity, name)?;
    match author(&*session.app.bus, &room, target).await {
        Ok(Some(author)) if author == identity.user => Ok(room),
        Ok(Some(_)) => Err(NOT_YOURS),
        Ok(None) => Err(Refusal::NOT_FOUND),
        Err(_) => Err(Refusal::UNAVAILABLE),
    }
}

/// Who wrote the event at a position, if it is in the log.
async fn author(bus: &dyn Bus, room: &Room, target: &Position) -> Result<Option<UserId>, BusError> {
    let Some(before) = target.seq.checked_sub(1) else { return Ok(None) };
    let page = bus.read(&room.name, ReadFrom::AfterSeq(before), 1).await?;
    let event = page.events.first().filter(|event| event.position == *target);
    Ok(event.and_then(|event| {
        let text = [b"{", &event.body[..]].concat();
        serde_json::from_slice::<Event<'_>>(&text).ok().map(|event| event.from)
    }))
}
