//! A frame of every kind, made from the types. Structs are written out here: one that gets a field does not compile
//! before somebody has put it in, and then the document has to have it, too.

use proto::{
    Close, Epoch, ErrorCode, Event, EventKind, MessageId, Position, Ref, Request, RoomName, UserId,
    client::{self, ClientFrame},
    event, server,
};
use serde_json::value::{RawValue, to_raw_value};

/// A message of the document, and a frame of it.
pub(crate) type Sample = (&'static str, String);

fn room() -> RoomName {
    RoomName::parse("team:1#general").unwrap()
}

fn user() -> UserId {
    UserId::parse("auth0|5f7c").unwrap()
}

fn epoch() -> Epoch {
    Epoch::parse("k3x.0").unwrap()
}

fn place() -> Position {
    Position { epoch: epoch(), seq: (1 << 53) - 1 }
}

fn id() -> Option<MessageId> {
    MessageId::parse(&"i".repeat(64))
}

/// What clients send, with every field.
pub(crate) fn requests() -> Vec<Sample> {
    use ClientFrame::{
        Auth, Delete, Edit, History, Join, Leave, Message, Ping, Presence, React, Read, Typing,
    };

    let data = to_raw_value(&[1.5]).unwrap();
    let data = &*data;
    let (room, target) = (room(), place());
    let history = client::History { room: room.clone(), before: None, after: None, limit: 200 };
    let in_room = client::InRoom { room: room.clone() };
    let react = client::React {
        room: room.clone(),
        target: target.clone(),
        key: "k".repeat(64),
        on: false,
        id: id(),
    };
    let frames = [
        ("authRequest", Auth(client::Auth { token: "a.b.c".into() })),
        (
            "joinRequest",
            Join(client::Join { room: room.clone(), since: Some(target.clone()), recent: Some(u32::MAX) }),
        ),
        ("leaveRequest", Leave(in_room.clone())),
        ("messageRequest", Message(client::Message { room: room.clone(), data, id: id(), echo: false })),
        ("editRequest", Edit(client::Edit { room: room.clone(), target: target.clone(), data, id: id() })),
        ("deleteRequest", Delete(client::Delete { room: room.clone(), target: target.clone(), id: id() })),
        ("reactRequest", React(react)),
        ("readRequest", Read(client::Read { room: room.clone(), target })),
        ("typingRequest", Typing(client::Typing { room, on: true })),
        ("presenceRequest", Presence(in_room)),
        ("historyRequest", History(client::History { before: Some(0), ..history.clone() })),
        ("historyRequest", History(client::History { after: Some(7), ..history.clone() })),
        ("historyRequest", History(history)),
        ("pingRequest", Ping {}),
    ];
    let references =
        [None, Some(Ref::Int(i64::MIN)), Some(Ref::Big(u64::MAX)), Some(Ref::Text("r".repeat(64).into()))];
    let all = frames.into_iter().flat_map(|(message, frame)| {
        references.clone().map(|reference| (message, Request { reference, frame: frame.clone() }.encode()))
    });
    all.collect()
}

/// What gateways send, with every field.
pub(crate) fn frames() -> Vec<Sample> {
    let closes = Close::ALL.map(|close| ("closing", server::encode(&server::Closing::of(close, None))));
    let mut frames = Vec::from(closes);
    frames.extend(answers());
    frames.extend(told());
    frames.extend(events());
    let text = |(message, frame)| (message, String::from_utf8(frame).unwrap());
    frames.into_iter().map(text).collect()
}

fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let limits = server::Limits {
        id_ttl_ms: proto::ID_TTL_MS,
        data_bytes: 16_384,
        frame_bytes: 65_536,
        json_depth: 32,
        rooms_per_connection: 100,
        requests_in_flight: 64,
        frames_per_second: 50,
        frame_burst: 100,
        replay_bytes_per_second: 4_194_304,
    };
    let (session, node) = ("s".to_owned(), "n".to_owned());
    let welcome = server::Welcome { session, user: user(), node, heartbeat_ms: 30_000, limits };
    let markers = to_raw_value(&[marker()]).unwrap();
    let info = to_raw_value(&()).unwrap();
    let members = to_raw_value(&[member(&info)]).unwrap();
    let event: Vec<&RawValue> = Vec::new();
    let all = server::Success {
        reference: Some(Ref::Int(1)),
        room: Some(room()),
        epoch: Some(epoch()),
        seq: Some(1),
        head: Some(1),
        recovered: Some(true),
        count: Some(0),
        id: id(),
        duplicate: Some(false),
        events: Some(event),
        more: Some(false),
        markers: Some(&markers),
        members: Some(&members),
    };
    let joined = server::Success { id: None, duplicate: None, events: None, more: None, ..all.clone() };
    let named = server::Success {
        reference: all.reference.clone(),
        room: all.room.clone(),
        ..server::Success::default()
    };
    let appended = server::Success {
        epoch: all.epoch.clone(),
        seq: all.seq,
        id: all.id.clone(),
        duplicate: all.duplicate,
        ..named.clone()
    };
    let present = server::Success { count: all.count, members: all.members, ..named.clone() };
    let crowd = server::Success { count: all.count, ..named.clone() };
    let page = server::Success { events: all.events, more: all.more, markers: all.markers, ..named.clone() };
    let bodies: Vec<_> = events().into_iter().map(|(_, event)| event).collect();
    let written = server::write_history(named.reference.as_ref(), &room(), &bodies, true, None);
    let renewed = server::Success { room: None, ..named.clone() };
    let from_query = server::Success { reference: None, ..joined.clone() };
    let mut answers = vec![
        ("welcome", server::encode(&welcome)),
        ("okJoined", server::encode(&joined)),
        ("okJoined", server::encode(&from_query)),
        ("okAppended", server::encode(&appended)),
        ("okPresent", server::encode(&present)),
        ("okPresent", server::encode(&crowd)),
        ("okPage", server::encode(&page)),
        ("okPage", written),
        ("okDone", server::encode(&named)),
        ("okDone", server::encode(&renewed)),
        ("pong", server::encode(&server::Pong { reference: Some(Ref::Text("".into())) })),
    ];
    answers.extend(ErrorCode::ALL.map(|code| {
        let (reference, message, retry_after_ms) = (Some(Ref::Int(1)), "why".into(), Some(1));
        let failure = server::Failure { reference, code, message, retry_after_ms, room: Some(room()) };
        ("error", server::encode(&failure))
    }));
    answers
}

fn told() -> Vec<(&'static str, Vec<u8>)> {
    let (code, retry_after_ms) = (Close::Banned.code(), Some(1));
    let closing =
        server::Closing { code, reason: "banned".into(), retry_after_ms, message: Some("why".into()) };
    let info = to_raw_value(&[1]).unwrap();
    let (joined, left) = (Some(vec![member(&info)]), Some(vec![member(&info)]));
    let presence = server::PresenceChange { room: room(), joined, left, count: 1 };
    let crowd = server::PresenceChange { room: room(), joined: None, left: None, count: 101 };
    let read = server::ReadMarkers { room: room(), markers: vec![marker()] };
    let typing = server::Typing { room: room(), from: user(), on: true };
    let mut told = vec![
        ("closing", server::encode(&closing)),
        ("presence", server::encode(&presence)),
        ("presence", server::encode(&crowd)),
        ("readMarkers", server::encode(&read)),
        ("typing", server::encode(&typing)),
        ("expiring", server::encode(&server::Expiring { in_ms: 30_000 })),
    ];
    let reasons = [server::ResetReason::Trimmed, server::ResetReason::Forked, server::ResetReason::New];
    told.extend(reasons.map(|reason| {
        let Position { epoch, seq } = place();
        ("reset", server::encode(&server::Reset { room: room(), epoch, seq, reason }))
    }));
    told
}

fn events() -> Vec<(&'static str, Vec<u8>)> {
    let data = to_raw_value("hello").unwrap();
    let all = Event {
        kind: EventKind::Message,
        room: room(),
        at: u64::MAX,
        from: user(),
        name: Some("Alice".into()),
        id: id(),
        target: Some(place()),
        key: Some("👍".into()),
        on: Some(true),
        deleted: None,
        data: Some(&data),
    };
    let message = Event { target: None, key: None, on: None, ..all.clone() };
    let edit = Event { kind: EventKind::Edit, target: all.target.clone(), ..message.clone() };
    let delete = Event { kind: EventKind::Delete, data: None, ..edit.clone() };
    let reaction = Event { kind: EventKind::Reaction, data: None, ..all };
    let gone = |event: &Event<'_>| event::redact(&event.encode_body()).unwrap();
    let bodies = [
        ("messageEvent", message.encode_body()),
        ("messageEvent", gone(&message)),
        ("editEvent", edit.encode_body()),
        ("editEvent", gone(&edit)),
        ("deleteEvent", delete.encode_body()),
        ("reactionEvent", reaction.encode_body()),
    ];
    let frame = |(message, body): (_, Vec<u8>)| {
        let mut out = Vec::new();
        event::write_frame(&mut out, &place(), &body);
        (message, out)
    };
    bodies.into_iter().map(frame).collect()
}

fn member(info: &RawValue) -> server::Member<'_> {
    server::Member { user: user(), name: Some("Alice".into()), info: Some(info) }
}

fn marker() -> server::Marker {
    server::Marker { user: user(), epoch: epoch(), seq: 7 }
}
