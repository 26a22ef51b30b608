//! Posting: from a client's frame to the log, and the answer when the log has it.

use std::{sync::Arc, time::Instant};

use bus::{Append, Appended, BusError, Effect, Key};
use bytes::Bytes;
use proto::{
    ErrorCode, Event, EventKind, MessageId, Ref, RoomName,
    client::Message,
    server::{self, Success},
};
use serde_json::value::RawValue;

use super::writable_room;
use crate::{
    auth::Identity, clock::unix_ms, config::Ack, limits::messages::pace, refusal::Refusal, room::Room,
    session::Session, socket::frame,
};

/// What is to be appended.
pub(super) struct Draft<'a> {
    pub(super) room: Arc<Room>,
    pub(super) kind: EventKind,
    pub(super) effect: Effect,
    pub(super) data: Option<&'a RawValue>,
    /// A reaction's key, and whether it is put on or taken away.
    pub(super) reaction: Option<(&'a str, bool)>,
    pub(super) id: Option<MessageId>,
    pub(super) echo: bool,
}

/// Appends a message.
pub(super) async fn run(
    session: &Session,
    identity: &Identity,
    reference: Option<Ref>,
    message: Message<'_>,
) {
    let Message { room, data, id, echo } = message;
    let room = match writable_room(session, identity, room) {
        Ok(room) => room,
        Err(refusal) => return session.refuse(reference, refusal),
    };
    let (kind, data) = (EventKind::Message, Some(data));
    let draft = Draft { room, kind, effect: Effect::None, data, reaction: None, id, echo };
    append(session, identity, reference, draft).await;
}

/// Appends an event. The answer comes when the log's does; the reader goes on meanwhile.
pub(super) async fn append(session: &Session, identity: &Identity, reference: Option<Ref>, draft: Draft<'_>) {
    let Draft { room, kind, effect, data, reaction, id, echo } = draft;
    if let Err(refusal) = pace(&session.app, &identity.user, &room.name).await {
        return session.refuse(reference, refusal);
    }
    let event = Event {
        kind,
        room: room.name.clone(),
        at: unix_ms(),
        from: identity.user.clone(),
        name: identity.name.as_deref().map(Into::into),
        id: id.clone(),
        target: effect.target().cloned(),
        key: reaction.map(|(key, _)| key.into()),
        on: reaction.map(|(_, on)| on),
        deleted: None,
        data,
    };
    let key = match &id {
        Some(id) => Key::of_client(&identity.user, id),
        None => Key::of_node(session.app.bus.node(), session.app.next_unique()),
    };
    let append = Append { body: event.encode_body().into(), key: key.clone(), effect };

    let connection = Arc::clone(&session.connection);
    let ok = {
        let (reference, name) = (reference.clone(), room.name.clone());
        move |appended: &Appended| {
            let ok = |it| ok_frame(it, name.clone(), id.clone(), appended);
            reference.clone().map(ok).unwrap_or_default()
        }
    };
    // The event comes before the replicas have it. Then it comes like any other, and the `ok` when it is true.
    let early = session.app.config.history.ack == Ack::Replicated;
    let quiet = !echo && !early && room.echoes.expect(&key, &connection, ok.clone());

    let (metrics, started) = (Arc::clone(&session.app.metrics), Instant::now());
    let appending = session.app.bus.append(&room.name, append);
    connection.begin_request();
    session.app.tasks.spawn(async move {
        let outcome = appending.await;
        metrics.append_seconds.record(started.elapsed());
        match outcome {
            Ok(appended) => {
                if !appended.duplicate {
                    metrics.appends.increment(1);
                }
                if quiet {
                    room.echoes.answered(&room, &key, &appended);
                } else if reference.is_some() {
                    // Without `echo` a client takes an `ok` for the event, unless it says so.
                    let duplicate = appended.duplicate || !echo;
                    connection.send(ok(&Appended { duplicate, ..appended }));
                }
            }
            Err(error) => {
                if quiet {
                    room.echoes.failed(&key);
                }
                let refusal = refusal(&error);
                metrics.failed(refusal.code);
                connection.send(frame::text(&server::encode(&refusal.frame(reference))));
            }
        }
        connection.end_request();
    });
}

fn ok_frame(reference: Ref, room: RoomName, id: Option<MessageId>, appended: &Appended) -> Bytes {
    let ok = Success {
        reference: Some(reference),
        room: Some(room),
        epoch: Some(appended.position.epoch.clone()),
        seq: Some(appended.position.seq),
        id,
        duplicate: Some(appended.duplicate),
        ..Success::default()
    };
    frame::text(&server::encode(&ok))
}

fn refusal(error: &BusError) -> Refusal {
    match error {
        BusError::Gone => Refusal::NOT_FOUND,
        BusError::Unavailable { .. } | BusError::Config(_) => {
            tracing::debug!(%error, "an append failed");
            Refusal::new(ErrorCode::Unavailable, "not known to be appended: send it again with the same id")
                .after(1000)
        }
    }
}
