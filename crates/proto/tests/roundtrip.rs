//! Whatever is encoded decodes to the same, and whatever bytes come in, decoding answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail as the test does")]

use proptest::prelude::*;
use proto::{DecodeLimits, Epoch, Event, Position, Ref, Request, RoomName, ServerFrame, UserId, event};
use serde_json::value::RawValue;

const LIMITS: DecodeLimits = DecodeLimits { data_bytes: 4096, json_depth: 32 };

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(".{0,6}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn reference() -> impl Strategy<Value = Option<Ref>> {
    prop::option::of(prop_oneof![
        any::<i64>().prop_map(Ref::Int),
        ((i64::MAX as u64 + 1)..).prop_map(Ref::Big),
        ".{0,16}".prop_map(|text| Ref::Text(text.into())),
    ])
}

fn request() -> impl Strategy<Value = serde_json::Value> {
    let room = "[A-Za-z0-9_.:#-]{1,128}|@[A-Za-z0-9@|+=/]{1,120}";
    let position = ("[ -~]{1,64}", 0_u64..(1 << 53));
    let kind = prop::sample::select(vec![
        "auth", "join", "leave", "message", "edit", "delete", "react", "read", "typing", "presence",
        "history", "ping",
    ]);
    (kind, room, position, json(), reference(), "[!-~]{1,64}", any::<bool>(), 1_u32..=200).prop_map(
        |(kind, room, (epoch, seq), data, reference, id, on, limit)| {
            let target = serde_json::json!({ "epoch": epoch, "seq": seq });
            serde_json::json!({
                "type": kind, "room": room, "since": target, "recent": limit, "target": target, "data": data,
                "ref": reference, "id": id, "echo": on, "on": on, "key": id, "limit": limit, "after": seq,
                "token": id,
            })
        },
    )
}

proptest! {
    #[test]
    fn requests_come_back_as_they_were(frame in request()) {
        let text = frame.to_string();
        let first = Request::decode(&text, LIMITS).unwrap();
        let encoded = first.encode();
        let second = Request::decode(&encoded, LIMITS).unwrap();
        prop_assert_eq!(&encoded, &second.encode());
        // Nothing that was encoded differs from what came in.
        let encoded: serde_json::Value = serde_json::from_str(&encoded).unwrap();
        for (key, value) in encoded.as_object().unwrap() {
            prop_assert_eq!(value, &frame[key], "{}", key);
        }
    }

    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        let _ = Request::decode(&text, LIMITS);
        let _ = ServerFrame::decode(&text);
    }

    #[test]
    fn almost_frames_are_answered(frame in request(), cut in 0_usize..400, junk in "[\\x00-\\x7f]{0,3}") {
        let mut text = frame.to_string();
        let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.insert_str(cut, &junk);
        let _ = Request::decode(&text, LIMITS);
        text.truncate(cut);
        let _ = Request::decode(&text, LIMITS);
    }

    #[test]
    fn an_event_keeps_its_data_to_the_byte(data in json(), epoch in "[!-~]{1,64}", seq in 0_u64..(1 << 53), at: u64) {
        let data = serde_json::to_string_pretty(&data).unwrap();
        let raw: &RawValue = serde_json::from_str(&data).unwrap();
        let from = UserId::parse("alice").unwrap();
        let body = Event::message(RoomName::parse("lobby").unwrap(), from, at, raw).encode_body();
        let position = Position { epoch: Epoch::parse(&epoch).unwrap(), seq };
        let mut frame = Vec::new();
        event::write_frame(&mut frame, &position, &body);
        let frame = String::from_utf8(frame).unwrap();
        let ServerFrame::Event(read, event) = ServerFrame::decode(&frame).unwrap() else { panic!("{frame}") };
        prop_assert_eq!(read, position);
        prop_assert_eq!(event.data.unwrap().get(), data);
        prop_assert_eq!(event.at, at);
        prop_assert_eq!(event::peek_at(&body), Some(at));
    }
}
