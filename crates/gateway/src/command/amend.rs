//! What is done to a message that stands in the log: editing it, deleting it, reacting to it.

use std::sync::Arc;

use proto::{
    Position, Ref, RoomName,
    client::{Delete, Edit, React},
};

use super::{message::append, writable_room};
use crate::{
    auth::Identity,
    posts::{Draft, is_author, resolve, rights},
    refusal::Refusal,
    room::Room,
    session::Session,
};

/// Puts new data in the place of a message's.
pub(super) async fn edit(session: &Session, identity: &Identity, reference: Option<Ref>, edit: Edit<'_>) {
    let Edit { room, target, data, id } = edit;
    match amendable(session, identity, room, &target).await {
        Ok(room) => append(session, identity, reference, room, Draft::edit(target, data, id), true).await,
        Err(refusal) => session.refuse(reference, refusal),
    }
}

/// Takes a message's data away, and that of its edits.
pub(super) async fn delete(session: &Session, identity: &Identity, reference: Option<Ref>, delete: Delete) {
    let Delete { room, target, id } = delete;
    match amendable(session, identity, room, &target).await {
        Ok(room) => append(session, identity, reference, room, Draft::delete(target, id), true).await,
        Err(refusal) => session.refuse(reference, refusal),
    }
}

/// Puts a reaction on a message, or takes it away.
pub(super) async fn react(session: &Session, identity: &Identity, reference: Option<Ref>, react: React) {
    let React { room, target, key, on, id } = react;
    match writable_room(session, identity, room) {
        Ok(room) => {
            let draft = Draft::reaction(&identity.user, target, &key, on, id);
            append(session, identity, reference, room, draft, true).await;
        }
        Err(refusal) => session.refuse(reference, refusal),
    }
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
    if !rights(&session.app, identity, &name).moderate {
        writable_room(session, identity, name)?;
        is_author(&*session.app.bus, identity, &room.name, target).await?;
    }
    Ok(room)
}
