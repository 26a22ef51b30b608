//! What is said in rooms, whichever way it comes: over a socket or by a call.

use bus::{Append, Appended, Bus, BusError, Effect, Key, Mute, ReadFrom, TraceContext};
use proto::{ErrorCode, Event, EventKind, MessageId, Position, RoomName, UserId, server::Success};
use serde_json::value::RawValue;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{
    app::App,
    auth::{Identity, Rights},
    clock::unix_ms,
    limits::messages::pace,
    refusal::Refusal,
    traces::Posting,
};

/// An event in the making.
#[derive(Debug)]
pub struct Draft<'a> {
    /// What it is.
    pub kind: EventKind,
    /// What it does besides being appended.
    pub effect: Effect,
    /// The data of a message or an edit.
    pub data: Option<&'a RawValue>,
    /// A reaction's key, and whether it is put on or taken away.
    pub reaction: Option<(&'a str, bool)>,
    /// Makes it idempotent.
    pub id: Option<MessageId>,
    /// The span that whoever sent it is in, and whether its trace is kept.
    pub parent: Option<(TraceContext, bool)>,
}

impl<'a> Draft<'a> {
    /// A message.
    pub fn message(data: &'a RawValue, id: Option<MessageId>) -> Self {
        Self::new(EventKind::Message, Effect::None, Some(data), id)
    }

    /// New data in the place of a message's.
    pub fn edit(target: Position, data: &'a RawValue, id: Option<MessageId>) -> Self {
        Self::new(EventKind::Edit, Effect::Edit(target), Some(data), id)
    }

    /// The end of a message's data, and of that of its edits.
    pub fn delete(target: Position, id: Option<MessageId>) -> Self {
        Self::new(EventKind::Delete, Effect::Delete(target), None, id)
    }

    /// A user's reaction to a message, or that it takes it away.
    pub fn reaction(user: &UserId, target: Position, key: &'a str, on: bool, id: Option<MessageId>) -> Self {
        let effect = Effect::reaction(user, target, key, on);
        Self { reaction: Some((key, on)), ..Self::new(EventKind::Reaction, effect, None, id) }
    }

    fn new(kind: EventKind, effect: Effect, data: Option<&'a RawValue>, id: Option<MessageId>) -> Self {
        Self { kind, effect, data, reaction: None, id, parent: None }
    }

    /// Begins its trace, if it is to have one.
    pub fn trace(&self, app: &App, room: &RoomName) -> Option<Box<Posting>> {
        let traces = app.traces.as_ref()?;
        let kind = match self.kind {
            EventKind::Message => "message",
            EventKind::Edit => "edit",
            EventKind::Delete => "delete",
            EventKind::Reaction => "reaction",
        };
        traces.begin(kind, room, self.parent, app.config.now().otlp.sample)
    }
}

/// The room that somebody means: `@me` is its own.
pub fn resolve(identity: &Identity, room: RoomName) -> RoomName {
    if room.as_str() == "@me" { RoomName::of_user(&identity.user) } else { room }
}

/// What somebody may do in a room.
pub fn rights(app: &App, identity: &Identity, room: &RoomName) -> Rights {
    identity.rights(room, app.config.now().namespace(room).default_rights)
}

/// Whether somebody may post in a room, where `mute` is what is known to silence it.
///
/// # Errors
/// When it may not.
pub fn may_post(app: &App, identity: &Identity, room: &RoomName, mute: Option<Mute>) -> Result<(), Refusal> {
    let rights = rights(app, identity, room);
    // A user's own room is for the server API and for moderators to post to.
    let may_post = if room.is_personal() { rights.moderate } else { rights.write };
    if !may_post {
        return Err(Refusal::MAY_NOT_WRITE);
    }
    if !rights.moderate && !app.config.now().namespace(room).members_may_post {
        return Err(Refusal::MEMBERS_MAY_NOT_POST);
    }
    let now = unix_ms();
    match mute.filter(|mute| mute.until_ms > now) {
        Some(Mute { until_ms, reason }) => Err(Refusal::muted(until_ms - now, &reason)),
        None => Ok(()),
    }
}

/// The same for whoever need not be in the room.
///
/// # Errors
/// When it may not, or nobody can tell.
pub async fn may_post_from_outside(app: &App, identity: &Identity, room: &RoomName) -> Result<(), Refusal> {
    may_post(app, identity, room, None)?;
    let now = unix_ms();
    let mute = match app.rooms.get(room).filter(|room| room.roster.is_loaded()) {
        Some(room) => room.roster.mute(&identity.user, now),
        None => {
            let state = app.bus.room_state(room, 0, now).await.map_err(|_| Refusal::UNAVAILABLE)?;
            state.mutes.into_iter().find(|(user, _)| *user == identity.user).map(|(_, mute)| mute)
        }
    };
    may_post(app, identity, room, mute)
}

/// Whether data is no larger than it may be in a room.
///
/// # Errors
/// When it is.
pub fn admit_data(app: &App, room: &RoomName, data: Option<&RawValue>) -> Result<(), Refusal> {
    let most = app.config.now().namespace(room).data_bytes;
    if data.is_some_and(|data| data.get().len() > most) {
        let message = format!("data may have {most} bytes in this room").into();
        return Err(Refusal { message, ..Refusal::new(ErrorCode::TooLarge, "") });
    }
    Ok(())
}

/// Whether somebody may amend a message that stands at `target`, as its author; moderators may without being asked.
///
/// # Errors
/// When it is another's, or not there.
pub async fn is_author(
    bus: &dyn Bus,
    identity: &Identity,
    room: &RoomName,
    target: &Position,
) -> Result<(), Refusal> {
    match author(bus, room, target).await {
        Ok(Some(author)) if author == identity.user => Ok(()),
        Ok(Some(_)) => Err(Refusal::NOT_YOURS),
        Ok(None) => Err(Refusal::NOT_FOUND),
        Err(_) => Err(Refusal::UNAVAILABLE),
    }
}

/// Who wrote the event at a position, if it is in the log.
async fn author(bus: &dyn Bus, room: &RoomName, target: &Position) -> Result<Option<UserId>, BusError> {
    let Some(before) = target.seq.checked_sub(1) else { return Ok(None) };
    let page = bus.read(room, ReadFrom::AfterSeq(before), 1).await?;
    let event = page.events.first().filter(|event| event.position == *target);
    Ok(event.and_then(|event| {
        let text = [b"{", &event.body[..]].concat();
        serde_json::from_slice::<Event<'_>>(&text).ok().map(|event| event.from)
    }))
}

/// An event that is about to be appended, and the word that it is: a drain that ends its room waits for it. To be kept until
/// it is appended or not.
pub type Prepared = (Append, TaskTrackerToken);

/// Makes an event, ready to be appended.
///
/// # Errors
/// When its data is too large, or its author too fast, or when nobody would read it any more.
pub async fn prepare(
    app: &App,
    identity: &Identity,
    room: &RoomName,
    draft: Draft<'_>,
) -> Result<Prepared, Refusal> {
    admit_data(app, room, draft.data)?;
    // A server has a pace of its own, by its calls: in a broadcast it speaks in a thousand rooms at once.
    if !identity.is_server() {
        pace(app, &identity.user, room).await?;
    }
    // Before it is asked: the drain that begins later waits for it.
    let under_way = app.appends.token();
    if app.ends_with_its_rooms() {
        return Err(Refusal::ENDING);
    }
    let Draft { kind, effect, data, reaction, id, .. } = draft;
    let key = match &id {
        Some(id) => Key::of_client(&identity.user, id),
        None => Key::of_node(app.bus.node(), app.next_unique()),
    };
    let event = Event {
        kind,
        room: room.clone(),
        at: unix_ms(),
        from: identity.user.clone(),
        name: identity.name.as_deref().map(Into::into),
        id,
        target: effect.target().cloned(),
        key: reaction.map(|(key, _)| key.into()),
        on: reaction.map(|(_, on)| on),
        deleted: None,
        data,
    };
    Ok((Append { body: event.encode_body().into(), key, effect, trace: None }, under_way))
}

/// The result of a request that was appended.
pub fn success(room: RoomName, id: Option<MessageId>, appended: &Appended) -> Success<'static> {
    Success {
        room: Some(room),
        epoch: Some(appended.position.epoch.clone()),
        seq: Some(appended.position.seq),
        id,
        duplicate: Some(appended.duplicate),
        ..Success::default()
    }
}

/// Why something is not known to be appended.
pub fn refusal(error: &BusError) -> Refusal {
    match error {
        BusError::Gone => Refusal::NOT_FOUND,
        BusError::Unavailable { .. } | BusError::Config(_) => {
            tracing::debug!(%error, "an append failed");
            Refusal::new(ErrorCode::Unavailable, "not known to be appended: send it again with the same id")
                .after(1000)
        }
    }
}
