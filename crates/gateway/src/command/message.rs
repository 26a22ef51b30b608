//! Posting: from a client's frame to the log, and the answer when the log has it.

use std::{sync::Arc, time::Instant};

use bus::Appended;
use proto::{Ref, client::Message, server};

use super::writable_room;
use crate::{
    auth::Identity,
    config::Ack,
    posts::{self, Draft},
    room::Room,
    session::Session,
    socket::frame,
};

/// Appends a message.
pub(super) async fn run(
    session: &Session,
    identity: &Identity,
    reference: Option<Ref>,
    message: Message<'_>,
) {
    let Message { room, data, id, echo } = message;
    match writable_room(session, identity, room) {
        Ok(room) => append(session, identity, reference, room, Draft::message(data, id), echo).await,
        Err(refusal) => session.refuse(reference, refusal),
    }
}

/// Appends an event. The answer comes when the log's does; the reader goes on meanwhile.
pub(super) async fn append(
    session: &Session,
    identity: &Identity,
    reference: Option<Ref>,
    room: Arc<Room>,
    draft: Draft<'_>,
    echo: bool,
) {
    let (connection, id) = (Arc::clone(&session.connection), draft.id.clone());
    let mut trace = draft.trace(&session.app, &room.name);
    let ok = {
        let (reference, name) = (reference.clone(), room.name.clone());
        move |appended: &Appended| {
            let Some(reference) = reference.clone() else { return bytes::Bytes::new() };
            let success = posts::success(name.clone(), id.clone(), appended);
            frame::text(&server::encode(&server::Success { reference: Some(reference), ..success }))
        }
    };
    let (mut append, under_way) = match posts::prepare(&session.app, identity, &room.name, draft).await {
        Ok(prepared) => prepared,
        Err(refusal) => {
            trace.iter_mut().for_each(|trace| trace.refused(&refusal));
            return session.refuse(reference, refusal);
        }
    };
    append.trace = trace.as_mut().and_then(|trace| trace.append(&room.name));
    let key = append.key.clone();
    // The event comes before the replicas have it. Then it comes like any other, and the `ok` when it is true.
    let early = session.terms.history.ack == Ack::Replicated;
    let quiet = !echo && !early && room.echoes.expect(&key, &connection, ok.clone());

    let (metrics, started) = (Arc::clone(&session.app.metrics), Instant::now());
    let appending = session.app.bus.append(&room.name, append);
    connection.begin_request();
    session.app.tasks.spawn(async move {
        let outcome = appending.await;
        drop(under_way);
        metrics.append_seconds.record(started.elapsed());
        trace.iter_mut().for_each(|trace| trace.appended(&outcome));
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
                let refusal = posts::refusal(&error);
                metrics.failed(refusal.code);
                connection.send(frame::text(&server::encode(&refusal.frame(reference))));
            }
        }
        connection.end_request();
        drop(trace);
    });
}
