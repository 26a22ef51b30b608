//! Requests that are almost right: the document and the decoder agree about each.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proto::Request;
use serde_json::{Value, json};

use crate::{LIMITS, document, samples};

/// Values that are at a bound, beyond it, or of another type.
fn odd() -> impl Strategy<Value = Value> {
    let position = |epoch: &str, seq: u64| json!({ "epoch": epoch, "seq": seq });
    let numbers = [0, 1, 200, 201, u64::from(u32::MAX), 1 << 32, (1 << 53) - 1, 1 << 53, u64::MAX];
    let texts = [0, 1, 64, 65, 120, 121, 128, 129].map(|length| json!("x".repeat(length)));
    let users = [120, 121].map(|length| json!(format!("@{}", "x".repeat(length))));
    let names = ["@me", "@", "{x}", "a b", "~x", "a\n", "@a|b@c+d=e/f", "team:1#a", "lobby\n"];
    let mut values =
        vec![json!(true), json!(false), json!([]), json!(["x"]), json!({}), json!(-1), json!(1.5)];
    values.extend([json!(i64::MIN), json!(1e30), json!({ "epoch": "e" }), json!({ "seq": 1 })]);
    values.extend([position("e", 0), position("", 1), position(&"e".repeat(65), 1), position("e", 1 << 53)]);
    values.push(json!({ "epoch": "e", "seq": 1, "later": true }));
    values.extend(numbers.map(Value::from));
    values.extend(texts.into_iter().chain(users).chain(names.map(Value::from)));
    prop::sample::select(values)
}

/// Of a request each field as it should be, or not there, or something else.
fn almost_request() -> impl Strategy<Value = Value> {
    let position = json!({ "epoch": "e", "seq": 1 });
    let good = [
        ("room", json!("lobby")),
        ("since", position.clone()),
        ("recent", json!(5)),
        ("target", position),
        ("data", json!({ "text": ["hello"] })),
        ("ref", json!(1)),
        ("id", json!("i")),
        ("echo", json!(true)),
        ("on", json!(true)),
        ("key", json!("k")),
        ("limit", json!(20)),
        ("before", json!(9)),
        ("after", json!(9)),
        ("token", json!("t")),
    ];
    let field = |(name, good): (&'static str, Value)| {
        let value = prop_oneof![8 => Just(Some(good)), 2 => Just(None), 2 => odd().prop_map(Some)];
        value.prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    let kinds: BTreeSet<_> = samples::requests()
        .iter()
        .map(|(_, text)| serde_json::from_str::<Value>(text).unwrap()["type"].clone())
        .collect::<Vec<_>>()
        .into_iter()
        .map(|kind| kind.as_str().unwrap().to_owned())
        .collect();
    let kind = prop::sample::select(kinds.into_iter().collect::<Vec<_>>());
    (kind, good.map(field)).prop_map(|(kind, fields)| {
        let mut frame: serde_json::Map<_, _> = fields.into_iter().flatten().collect();
        frame.insert("type".to_owned(), kind.into());
        frame.into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Null in the place of an optional field is taken for its absence, which no client should rely on, and the bytes
    /// of a text are not its letters, and data has its size: that the document says in words.
    #[test]
    fn what_it_allows_is_understood_and_what_it_forbids_is_refused(frame in almost_request()) {
        thread_local! {
            static VALIDATORS: BTreeMap<String, jsonschema::Validator> = {
                let document = document::read();
                let messages = document::received(&document).into_iter();
                messages.map(|message| {
                    let validator = document::validator(&document, &message);
                    (message, validator)
                }).collect()
            };
        }
        let message = format!("{}Request", frame["type"].as_str().unwrap());
        let text = frame.to_string();
        let allowed = VALIDATORS.with(|validators| validators[&message].is_valid(&frame));
        let decoded = Request::decode(&text, LIMITS);
        prop_assert_eq!(allowed, decoded.is_ok(), "{}: {:?}", text, decoded.err());
    }
}
