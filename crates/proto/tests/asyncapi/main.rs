//! `docs/asyncapi.json` says what the types say: the same frames, fields, bounds and names, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail as the test does")]

use std::collections::{BTreeMap, BTreeSet};

use proto::{
    DecodeLimits, Request, ServerFrame, event,
    server::{self, Marker, Member},
};
use serde_json::{Value, json};

mod document;
mod names;
mod requests;
mod samples;

const LIMITS: DecodeLimits = DecodeLimits { data_bytes: 4096, json_depth: 32 };

#[test]
fn every_example_is_a_frame_and_shows_all_its_fields() {
    let document = document::read();
    let strict = document::strict(&document);
    for (messages, again) in [
        (document::received(&document), request_again as fn(&str) -> String),
        (document::sent(&document), frame_again),
    ] {
        for message in messages {
            let validator = document::validator(&strict, &message);
            let mut shown = BTreeSet::new();
            for example in document::examples(&document, &message) {
                let errors: Vec<_> = validator.iter_errors(&example).map(|it| it.to_string()).collect();
                assert!(errors.is_empty(), "{message}: {errors:?}: {example}");
                assert_eq!(serde_json::from_str::<Value>(&again(&example.to_string())).unwrap(), example);
                shown.append(&mut document::shown(&document, &message, &example));
            }
            assert_eq!(shown, document::fields(&document, &message), "{message}");
        }
    }
}

#[test]
fn every_frame_is_as_its_message_says_and_has_nothing_besides() {
    let document = document::read();
    let strict = document::strict(&document);
    let mut shown: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let check = |(message, text): &samples::Sample| {
        let frame: Value = serde_json::from_str(text).unwrap();
        let validator = document::validator(&strict, message);
        let errors: Vec<_> = validator.iter_errors(&frame).map(|it| it.to_string()).collect();
        assert!(errors.is_empty(), "{message}: {errors:?}: {text}");
        shown.entry(*message).or_default().append(&mut document::shown(&document, message, &frame));
    };
    let (requests, frames) = (samples::requests(), samples::frames());
    requests.iter().chain(&frames).for_each(check);
    // Each kind was among them, and all that the document names is something that the types have.
    for (message, text) in &requests {
        let request = Request::decode(text, LIMITS).unwrap();
        assert!(names::client_messages().0(&request.frame).contains(message), "{text}");
    }
    for (message, text) in &frames {
        let frame = ServerFrame::decode(text).unwrap();
        assert!(names::server_messages().0(&frame).contains(message), "{text}");
        if let ServerFrame::Event(_, event) = frame {
            assert!(names::event_messages().0(&event.kind).contains(message), "{text}");
        }
    }
    for message in document::received(&document).union(&document::sent(&document)) {
        let shown = shown.get(message.as_str()).unwrap_or_else(|| panic!("no frame is a {message}"));
        assert_eq!(*shown, document::fields(&document, message), "{message}");
    }
}

#[test]
fn the_frames_of_the_snapshots_are_among_them() {
    let document = document::read();
    let strict = document::strict(&document);
    let validators = |messages: BTreeSet<String>| -> Vec<_> {
        messages.iter().map(|message| document::validator(&strict, message)).collect()
    };
    let (client, server) = (validators(document::received(&document)), validators(document::sent(&document)));
    for (name, snapshot, validators) in [
        ("requests", include_str!("../snapshots/wire__requests.snap"), &client),
        ("replies", include_str!("../snapshots/wire__replies.snap"), &server),
        ("people", include_str!("../snapshots/wire__people_in_a_room.snap"), &server),
        ("events", include_str!("../snapshots/wire__events_carry_their_position_in_front.snap"), &server),
    ] {
        let frames: Vec<_> = snapshot.lines().filter(|line| line.starts_with('{')).collect();
        assert!(!frames.is_empty(), "{name}");
        for text in frames {
            let frame: Value = serde_json::from_str(text).unwrap();
            let found = validators.iter().filter(|validator| validator.is_valid(&frame)).count();
            assert_eq!(found, 1, "{name}: {text}");
        }
    }
}

/// Decoded and encoded again.
fn request_again(text: &str) -> String {
    Request::decode(text, LIMITS).unwrap_or_else(|error| panic!("{error}: {text}")).encode()
}

/// The same of a server's frame; what it carries as text, too, is read for what it is.
fn frame_again(text: &str) -> String {
    let frame = ServerFrame::decode(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let encoded = match frame {
        ServerFrame::Welcome(it) => server::encode(&it),
        ServerFrame::Ok(it) => {
            let mut again = serde_json::to_value(&it).unwrap();
            if let Some(members) = it.members {
                again["members"] = json!(serde_json::from_str::<Vec<Member<'_>>>(members.get()).unwrap());
            }
            if let Some(markers) = it.markers {
                again["markers"] = json!(serde_json::from_str::<Vec<Marker>>(markers.get()).unwrap());
            }
            if let Some(events) = it.events {
                let events = events.iter().map(|event| frame_again(event.get()));
                again["events"] = events.map(|it| serde_json::from_str::<Value>(&it).unwrap()).collect();
            }
            server::encode(&again)
        }
        ServerFrame::Error(it) => server::encode(&it),
        ServerFrame::Event(position, it) => {
            let mut out = Vec::new();
            event::write_frame(&mut out, &position, &it.encode_body());
            out
        }
        ServerFrame::Read(it) => server::encode(&it),
        ServerFrame::Typing(it) => server::encode(&it),
        ServerFrame::Presence(it) => server::encode(&it),
        ServerFrame::Reset(it) => server::encode(&it),
        ServerFrame::Expiring(it) => server::encode(&it),
        ServerFrame::Closing(it) => server::encode(&it),
        ServerFrame::Pong(it) => server::encode(&it),
        ServerFrame::Unknown(_) => panic!("nobody knows {text}"),
    };
    String::from_utf8(encoded).unwrap()
}
