//! What stands in a room's log.
//!
//! The sender's gateway encodes an event once, as the frame's text *without its opening brace*. That body is
//! what Redis stores and publishes; every other hop only puts the position in front:
//!
//! ```text
//! body                              "type":"message","room":"lobby","at":…,"from":"alice","data":…}
//! frame  {"epoch":"k3x.0","seq":17, "type":"message","room":"lobby","at":…,"from":"alice","data":…}
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{MessageId, Position, RoomName, UserId};

/// The types of logged events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody said something.
    Message,
    /// A message's data was replaced.
    Edit,
    /// A message's data was removed.
    Delete,
    /// A reaction was put on a message, or taken away.
    Reaction,
}

/// One event of a room's log, without its position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event<'a> {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Where.
    pub room: RoomName,
    /// When, by the clock of the sender's gateway, in milliseconds since 1970. Order by `seq`, never by it.
    pub at: u64,
    /// Who.
    pub from: UserId,
    /// The sender's display name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The sender's own id of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// The message that an edit, a deletion or a reaction is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Position>,
    /// A reaction's key.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// Whether a reaction was put on or taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// True on a message that was deleted since; it then has no `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// The data of a message or an edit, as the sender wrote it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub data: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// A message.
    pub fn message(room: RoomName, from: UserId, at: u64, data: &'a RawValue) -> Self {
        Self {
            kind: EventKind::Message,
            room,
            at,
            from,
            name: None,
            id: None,
            target: None,
            key: None,
            on: None,
            deleted: None,
            data: Some(data),
        }
    }

    /// The body: the frame's text without its opening brace.
    pub fn encode_body(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        if !text.is_empty() {
            text.remove(0);
        }
        text
    }
}

/// What is left of a body when its event is deleted: all but its `data`, and the word that it was. None when there is no
/// data in it.
///
/// Whatever stands before it is ours or a text, in which a quote is escaped: so the first `,"data":` is the field, and it
/// is the last one. `amend.lua` does the same.
pub fn redact(body: &[u8]) -> Option<Vec<u8>> {
    const FIELD: &[u8] = b",\"data\":";
    let end = body.windows(FIELD.len()).position(|window| window == FIELD)?;
    Some([&body[..end], b",\"deleted\":true}"].concat())
}

/// The `at` of a body, read without parsing the rest of it; none if the body is not one of ours.
///
/// Type and room come first in every body and hold no quotes, so the first `,"at":` is the field.
pub fn peek_at(body: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = b",\"at\":";
    let start = body.windows(FIELD.len()).take(256).position(|window| window == FIELD)? + FIELD.len();
    let digits = body[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&body[start..start + digits]).ok()?.parse().ok()
}

/// `null` is data like any other: only an absent field is none.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Appends to `out` the whole frame: the position, and the body behind it.
pub fn write_frame(out: &mut Vec<u8>, position: &Position, body: &[u8]) {
    out.reserve(frame_len_bound(position, body));
    out.extend_from_slice(b"{\"epoch\":");
    write_json(out, position.epoch.as_str());
    out.extend_from_slice(b",\"seq\":");
    write_json(out, &position.seq);
    out.push(b',');
    out.extend_from_slice(body);
}

/// No less than what [`write_frame`] appends for an epoch that needs no escapes, in bytes.
pub fn frame_len_bound(position: &Position, body: &[u8]) -> usize {
    const FIXED: usize = r#"{"epoch":"","seq":9007199254740991,"#.len();
    FIXED + position.epoch.as_str().len() + body.len()
}

/// JSON into a `Vec` fails only for maps with odd keys, and none is written here.
fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_event_lacks_its_data_and_says_so() {
        let data = serde_json::value::to_raw_value(&serde_json::json!({ ",\"data\":": 1 })).unwrap();
        let mut event =
            Event::message(RoomName::parse("lobby").unwrap(), UserId::parse("alice").unwrap(), 7, &data);
        event.name = Some(",\"data\":".into());
        event.id = MessageId::parse(",\"data\":");
        let left = redact(&event.encode_body()).unwrap();
        let text = format!("{{{}", String::from_utf8(left.clone()).unwrap());
        let read: Event<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((read.name, read.id, read.at), (event.name, event.id, 7));
        assert_eq!((read.data.is_some(), read.deleted), (false, Some(true)));
        assert_eq!(redact(&left), None);
    }
}
