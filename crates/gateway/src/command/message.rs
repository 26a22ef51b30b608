//! Posting: from a client's frame to the log, and the answer when the log has it.

use std::{sync::Arc, time::Instant};

use bus::{Append, Appended, Key};
use bytes::Bytes;
use proto::{
    ErrorCode, Event, MessageId, Ref, RoomName,
    client::Message,
    server::{self, Success},
};

use super::writable_room;
use crate::{auth::Identity, clock::unix_ms, config::Ack, session::Session, socket::frame};

/// Appends a message. The answer comes when the log's does; the reader goes on meanwhile.
pub(super) fn run(session: &Session, identity: &Identity, reference: Option<Ref>, message: Message<'_>) {
    let Message { room, data, id, echo } = message;
    let room = match writable_room(session, identity, room) {
        Ok(room) => room,
        Err((code, text)) => return session.error(reference, code, text),
    };
    let mut event = Event::message(room.name.clone(), identity.user.clone(), unix_ms(), data);
    event.name = identity.name.as_deref().map(Into::into);
    event.id.clone_from(&id);
    let key = match &id {
        Some(id) => Key::of_client(&identity.user, id),
        None => Key::of_node(session.app.bus.node(), session.app.next_unique()),
    };
    let append = Append::message(event.encode_body().into(), key.clone());

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
                metrics.failed(ErrorCode::Unavailable);
                connection.send(unavailable_frame(reference, &error));
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

fn unavailable_frame(reference: Option<Ref>, error: &bus::BusError) -> Bytes {
    tracing::debug!(%error, "an append failed");
    let failure = server::Failure {
        reference,
        code: ErrorCode::Unavailable,
        message: "not known to be appended: send it again with the same id".into(),
        retry_after_ms: Some(1000),
        room: None,
    };
    frame::text(&server::encode(&failure))
}
