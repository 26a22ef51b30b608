//! A page of a room's log.

use std::sync::Arc;

use bus::ReadFrom;
use proto::{MAX_HISTORY_PAGE, Ref, RoomName, client::History, event, server::write_history};
use serde_json::value::RawValue;

use crate::{
    app::App,
    auth::Identity,
    clock::unix_ms,
    posts::{resolve, rights},
    presence::Rule,
    refusal::Refusal,
    room::Roster,
    session::Session,
    socket::frame,
};

/// Answers with a page, ascending, that ends by its limit or its bytes, whichever comes first.
pub(super) async fn run(session: &Session, identity: &Identity, reference: Option<Ref>, history: History) {
    let History { room, before, after, limit } = history;
    let name = resolve(identity, room);
    if !rights(&session.app, identity, &name).read {
        return session.refuse(reference, Refusal::MAY_NOT_READ);
    }
    let backward = after.is_none();
    let from = match (before, after) {
        (Some(before), _) => ReadFrom::BeforeSeq(before),
        (None, Some(after)) => ReadFrom::AfterSeq(after),
        (None, None) => ReadFrom::Newest,
    };
    let Ok(page) = session.app.bus.read(&name, from, limit).await else {
        return session.refuse(reference, Refusal::UNAVAILABLE);
    };
    let frames = page.events.iter().map(|event| {
        let mut text = Vec::new();
        event::write_frame(&mut text, &event.position, &event.body);
        text
    });
    // A page that is cut by its bytes keeps the end that was asked for.
    let (events, cut) = if backward {
        let (mut events, cut) = fitting(frames.rev());
        events.reverse();
        (events, cut)
    } else {
        fitting(frames)
    };
    let more = cut
        || match (page.events.first(), page.events.last()) {
            (Some(first), _) if backward => first.position.seq > page.first,
            (_, Some(last)) => last.position.seq < page.head.seq,
            _ => false,
        };
    if reference.is_some() {
        let markers = markers(&session.app, &name).await;
        let text = write_history(reference.as_ref(), &name, &events, more, markers.as_deref());
        session.connection.send(frame::text(&text));
    }
}

/// How far everybody has read: of whoever is in the room it is known, else it is asked for. A page is good without.
async fn markers(app: &App, room: &RoomName) -> Option<Arc<RawValue>> {
    let most = Rule::of(&app.config, room).most;
    if let Some(room) = app.rooms.get(room).filter(|room| room.roster.is_loaded()) {
        return room.roster.markers(most);
    }
    let state = app.bus.room_state(room, most, unix_ms()).await.ok()?;
    let roster = Roster::default();
    roster.load(room, state, drop);
    roster.markers(most)
}

/// The frames that fit a page, and whether some did not. The first always does.
fn fitting(frames: impl Iterator<Item = Vec<u8>>) -> (Vec<Vec<u8>>, bool) {
    let mut bytes = 0;
    let mut page = Vec::new();
    for frame in frames {
        bytes += frame.len();
        if bytes > MAX_HISTORY_PAGE && !page.is_empty() {
            return (page, true);
        }
        page.push(frame);
    }
    (page, false)
}
