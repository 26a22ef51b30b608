//! Snapshots of the wire text: a change here is a change of the protocol, and clients are written against it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail as the test does")]

use insta::assert_snapshot;
use proto::{
    Close, DecodeLimits, Epoch, ErrorCode, Event, EventKind, MessageId, Position, Ref, Request, RoomName,
    ServerFrame, UserId, event, server,
};
use serde_json::value::{RawValue, to_raw_value};

const LIMITS: DecodeLimits = DecodeLimits { data_bytes: 64, json_depth: 8 };

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn at(epoch: &str, seq: u64) -> Position {
    Position { epoch: Epoch::parse(epoch).unwrap(), seq }
}

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Decoded and encoded again: what this implementation makes of each frame of the protocol's page.
fn again(frame: &str) -> String {
    match Request::decode(frame, LIMITS) {
        Ok(request) => request.encode(),
        Err(error) => {
            format!("{} ref={}", error.code.as_str(), serde_json::to_string(&error.reference).unwrap())
        }
    }
}

#[test]
fn requests() {
    let frames = [
        r#"{"type":"auth","token":"t","ref":1}"#,
        r#"{"type":"join","room":"lobby"}"#,
        r#"{"type":"join","room":"lobby","since":{"epoch":"e.0","seq":7},"recent":50,"ref":"a"}"#,
        r#"{"type":"leave","room":"lobby"}"#,
        r#"{"type":"message","room":"lobby","data": {"b": 1.0, "a":[ ]} ,"id":"x","echo":false,"later":1}"#,
        r#"{"type":"message","room":"lobby","data":null}"#,
        r#"{"type":"edit","room":"lobby","target":{"epoch":"e.0","seq":7},"data":"new"}"#,
        r#"{"type":"delete","room":"lobby","target":{"epoch":"e.0","seq":7},"id":"d"}"#,
        r#"{"type":"react","room":"lobby","target":{"epoch":"e.0","seq":7},"key":"👍","on":true}"#,
        r#"{"type":"read","room":"lobby","target":{"epoch":"e.0","seq":7}}"#,
        r#"{"type":"typing","room":"lobby","on":true}"#,
        r#"{"type":"presence","room":"lobby"}"#,
        r#"{"type":"history","room":"lobby","before":9}"#,
        r#"{"type":"ping","ref":-5}"#,
    ];
    assert_snapshot!(frames.map(again).join("\n"));
}

#[test]
fn refusals_name_the_code_and_keep_the_ref() {
    let long_ref = format!(r#"{{"type":"ping","ref":"{}"}}"#, "r".repeat(65));
    let long_id = format!(r#"{{"type":"message","room":"a","data":1,"id":"{}","ref":4}}"#, "i".repeat(65));
    let big = format!(r#"{{"type":"message","room":"a","data":"{}","ref":5}}"#, "d".repeat(64));
    let deep =
        format!(r#"{{"type":"message","room":"a","data":{}1{},"ref":6}}"#, "[".repeat(8), "]".repeat(8));
    let frames = [
        "",
        "nonsense",
        r#"["ping"]"#,
        r#"{"type":1}"#,
        r#"{"type":"dance","ref":1}"#,
        r#"{"type":"join","room":"{x}","ref":2}"#,
        r#"{"type":"join","ref":3}"#,
        r#"{"type":"join","room":7}"#,
        r#"{"type":"join","room":"a","since":{"epoch":"e","seq":-1}}"#,
        r#"{"type":"join","room":"a","since":{"epoch":"e","seq":9007199254740992}}"#,
        r#"{"type":"message","room":"a"}"#,
        r#"{"type":"message","room":"a","data":1,"id":""}"#,
        r#"{"type":"message","room":"a","data":1,"room":"b"}"#,
        r#"{"type":"message","room":"a","data":}"#,
        r#"{"type":"history","room":"a","limit":201}"#,
        r#"{"type":"history","room":"a","before":1,"after":1}"#,
        r#"{"type":"ping","ref":1.5}"#,
        r#"{"type":"ping"} {"type":"ping"}"#,
        &long_ref,
        &long_id,
        &big,
        &deep,
    ];
    assert_snapshot!(frames.map(again).join("\n"));
}

#[test]
fn events_carry_their_position_in_front() {
    let mut message =
        Event::message(room("lobby"), user("alice"), 1_700_000_000_000, raw(r#"{"text": "hi"}"#));
    message.name = Some("Alice".into());
    message.id = MessageId::parse("m1");
    let mut reaction = Event::message(room("lobby"), user("bob"), 1_700_000_000_001, raw("0"));
    reaction.kind = EventKind::Reaction;
    (reaction.data, reaction.target) = (None, Some(at("k3x.0", 1)));
    (reaction.key, reaction.on) = (Some("👍".into()), Some(false));
    let mut out = Vec::new();
    event::write_frame(&mut out, &at("k3x.0", 1), &message.encode_body());
    out.push(b'\n');
    event::write_frame(&mut out, &at("k3x.0", 2), &reaction.encode_body());
    assert_snapshot!(text(out));
}

#[test]
fn replies() {
    let limits = server::Limits {
        id_ttl_ms: 300_000,
        data_bytes: 16_384,
        frame_bytes: 65_536,
        json_depth: 32,
        rooms_per_connection: 100,
        requests_in_flight: 64,
        frames_per_second: 50,
        frame_burst: 100,
        replay_bytes_per_second: 4_194_304,
    };
    let welcome = server::Welcome {
        session: "s1".into(),
        user: user("alice"),
        node: "n1".into(),
        heartbeat_ms: 30_000,
        limits,
    };
    let joined = server::Success {
        reference: Some(Ref::Int(1)),
        room: Some(room("lobby")),
        epoch: Epoch::parse("e.0").ok(),
        seq: Some(5),
        head: Some(7),
        recovered: Some(true),
        count: Some(2),
        ..server::Success::default()
    };
    let appended = server::Success {
        reference: Some(Ref::Text("m".into())),
        room: Some(room("lobby")),
        epoch: Epoch::parse("e.0").ok(),
        seq: Some(8),
        id: MessageId::parse("m1"),
        duplicate: Some(false),
        ..server::Success::default()
    };
    let done = server::Success { reference: Some(Ref::Int(0)), ..server::Success::default() };
    let failed = server::Failure {
        reference: Some(Ref::Big(u64::MAX)),
        code: ErrorCode::RateLimited,
        message: "slow down".into(),
        retry_after_ms: Some(20),
        room: None,
    };
    let typing = server::Typing { room: room("lobby"), from: user("bob"), on: true };
    let reset = server::Reset {
        room: room("lobby"),
        epoch: Epoch::parse("e.1").unwrap(),
        seq: 4,
        reason: server::ResetReason::Forked,
    };
    let event = br#"{"epoch":"e.0","seq":8,"type":"message","room":"lobby","at":1,"from":"bob","data":1}"#;
    let events = [event.to_vec(), event.to_vec()];
    let page = server::write_history(Some(&Ref::Int(2)), &room("lobby"), &events, true, None);
    let frames = [
        server::encode(&welcome),
        server::encode(&joined),
        server::encode(&appended),
        page,
        server::encode(&done),
        server::encode(&failed),
        server::encode(&typing),
        server::encode(&reset),
        server::encode(&server::Expiring { in_ms: 30_000 }),
        server::encode(&server::Closing::of(Close::Restart, Some(420))),
        server::encode(&server::Pong { reference: Some(Ref::Int(3)) }),
    ];
    assert_snapshot!(readable(&frames));
}

#[test]
fn people_in_a_room() {
    let marker = server::Marker { user: user("bob"), epoch: Epoch::parse("e.0").unwrap(), seq: 3 };
    let markers = to_raw_value(&[&marker]).unwrap();
    let info = to_raw_value(&[1]).unwrap();
    let bob = server::Member { user: user("bob"), name: Some("Bob".into()), info: Some(&info) };
    let members = to_raw_value(&[&bob]).unwrap();
    let (markers, members) = (Some(&*markers), Some(&*members));
    let room = || room("lobby");
    let reference = Some(Ref::Int(1));
    let success =
        || server::Success { reference: reference.clone(), room: Some(room()), ..server::Success::default() };
    let (epoch, seq, head) = (Epoch::parse("e.0").ok(), Some(7), Some(7));
    let (recovered, count) = (Some(true), Some(0));
    let joined = server::Success { epoch, seq, head, recovered, count, markers, members, ..success() };
    let there = server::Success { count: Some(1), members, ..success() };
    let page = server::write_history(reference.as_ref(), &room(), &[], false, markers);
    let ended = server::Failure {
        reference: None,
        code: ErrorCode::Forbidden,
        message: "the right is gone".into(),
        retry_after_ms: None,
        room: Some(room()),
    };
    let left = server::Member { user: user("eve"), name: None, info: None };
    let (joined_list, left_list) = (Some(vec![bob.clone()]), Some(vec![left]));
    let presence = server::PresenceChange { room: room(), joined: joined_list, left: left_list, count: 2 };
    let crowd = server::PresenceChange { room: room(), joined: None, left: None, count: 101 };
    let closing = server::Closing::of(Close::Banned, Some(60_000));
    let banned = server::Closing { message: Some("spam".into()), ..closing };
    let frames = [
        server::encode(&joined),
        server::encode(&there),
        page,
        server::encode(&ended),
        server::encode(&presence),
        server::encode(&crowd),
        server::encode(&server::ReadMarkers { room: room(), markers: vec![marker] }),
        server::encode(&banned),
    ];
    assert_snapshot!(readable(&frames));
}

/// The frames' text, line by line, each of which decodes to what this version knows.
fn readable(frames: &[Vec<u8>]) -> String {
    let frames: Vec<_> = frames.iter().map(|frame| text(frame.clone())).collect();
    for frame in &frames {
        let decoded = ServerFrame::decode(frame).unwrap();
        assert!(!matches!(decoded, ServerFrame::Unknown(_)), "{frame}");
    }
    frames.join("\n")
}

#[test]
fn close_codes() {
    let lines =
        Close::ALL.map(|close| format!("{} {} {:?}", close.code(), close.reason(), close.reconnect()));
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn unknown_server_types_keep_their_position() {
    let decoded = ServerFrame::decode(r#"{"epoch":"e.0","seq":9,"type":"poll","x":1}"#).unwrap();
    assert!(matches!(decoded, ServerFrame::Unknown(Some(position)) if position == at("e.0", 9)));
    let decoded = ServerFrame::decode(r#"{"type":"notice"}"#).unwrap();
    assert!(matches!(decoded, ServerFrame::Unknown(None)));
}
