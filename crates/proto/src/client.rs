//! What clients send, and the one way to decode it.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

use crate::{ErrorCode, MAX_HISTORY_EVENTS, Position, Ref, RoomName, depth, position};

/// One frame from a client: what it asks for, and the `ref` by which it will know the answer.
#[derive(Clone, Debug, Serialize)]
pub struct Request<'a> {
    /// Given back in the reply. Without it no `ok` is sent; errors are.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Ref>,
    /// What is asked.
    #[serde(flatten)]
    pub frame: ClientFrame<'a>,
}

/// Every frame type that a client may send. Message `data` borrows the frame's text and is never re-parsed.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame<'a> {
    /// Authenticate, or renew the token.
    Auth(Auth<'a>),
    /// Follow a room.
    Join(Join),
    /// Stop following a room.
    Leave(InRoom),
    /// Append a message.
    Message(Message<'a>),
    /// Replace a message's data.
    Edit(Edit<'a>),
    /// Remove a message's data.
    Delete(Delete),
    /// Put a reaction on a message, or take it away.
    React(React),
    /// Move this user's read marker.
    Read(Read),
    /// Say that this user types, or stopped.
    Typing(Typing),
    /// Ask who is there.
    Presence(InRoom),
    /// Ask for a page of the log.
    History(History),
    /// Ask for a `pong`.
    Ping {},
}

/// Fields of `auth`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Auth<'a> {
    /// The JWT.
    #[serde(borrow)]
    pub token: Cow<'a, str>,
}

impl fmt::Debug for Auth<'_> {
    /// Never shows the token: it would end up in a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth { token: … }")
    }
}

/// Fields of `join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The room; `@me` stands for the user's own.
    pub room: RoomName,
    /// Replay what came after this position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Position>,
    /// Replay from the last so many messages on; also what is done when `since` can't be recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<u32>,
}

/// Fields of a frame that only names a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InRoom {
    /// The room.
    pub room: RoomName,
}

/// Fields of `message`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message<'a> {
    /// The room.
    pub room: RoomName,
    /// Any JSON, carried as it came.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Makes the message idempotent per user and room for [`crate::ID_TTL_MS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// Whether the sender's own connection gets the event; when not, the `ok` takes its place.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub echo: bool,
}

/// Fields of `edit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Edit<'a> {
    /// The room.
    pub room: RoomName,
    /// The message to edit.
    pub target: Position,
    /// Its new data.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Makes the edit idempotent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
}

/// Fields of `delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The room.
    pub room: RoomName,
    /// The message to delete.
    pub target: Position,
    /// Makes the deletion idempotent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
}

/// Fields of `react`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct React {
    /// The room.
    pub room: RoomName,
    /// The message to react to.
    pub target: Position,
    /// The reaction: an emoji or a name of 1 to 64 bytes.
    #[serde(deserialize_with = "reaction_key")]
    pub key: String,
    /// Put on, or taken away.
    pub on: bool,
    /// Makes the reaction idempotent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
}

/// Fields of `read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The room.
    pub room: RoomName,
    /// The last event read.
    pub target: Position,
}

/// Fields of `typing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// The room.
    pub room: RoomName,
    /// Typing, or stopped.
    pub on: bool,
}

/// Fields of `history`: at most one of `before` and `after`; without either, the newest page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The room.
    pub room: RoomName,
    /// Only events with a smaller `seq`; the page ends there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_seq")]
    pub before: Option<u64>,
    /// Only events with a larger `seq`; the page begins there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_seq")]
    pub after: Option<u64>,
    /// At most so many events: 1 to [`MAX_HISTORY_EVENTS`], 50 by default.
    #[serde(default = "page_limit", deserialize_with = "limit")]
    pub limit: u32,
}

/// A client's own id of a message: 1 to 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageId(Box<str>);

impl MessageId {
    /// The longest id, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Takes a text of 1 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        (1..=Self::MAX_BYTES).contains(&text.len()).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("an id is 1 to 64 bytes"))
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn page_limit() -> u32 {
    50
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let limit = Option::deserialize(deserializer)?.unwrap_or_else(page_limit);
    if (1..=MAX_HISTORY_EVENTS).contains(&limit) {
        Ok(limit)
    } else {
        Err(de::Error::custom(format_args!("limit is 1 to {MAX_HISTORY_EVENTS}")))
    }
}

fn maybe_seq<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Seq(#[serde(deserialize_with = "position::seq")] u64);
    Ok(Option::<Seq>::deserialize(deserializer)?.map(|seq| seq.0))
}

fn reaction_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let key = String::deserialize(deserializer)?;
    if (1..=64).contains(&key.len()) {
        Ok(key)
    } else {
        Err(de::Error::custom("a reaction's key is 1 to 64 bytes"))
    }
}

/// The bounds of a frame that can't be told from its type. The size of the frame itself is the socket's to hold.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// The largest `data`, in bytes of JSON text.
    pub data_bytes: usize,
    /// How deeply the frame's JSON may nest.
    pub json_depth: usize,
}

/// Why a frame could not be decoded, ready to be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct DecodeError {
    /// The frame's `ref`, if that much could be read.
    pub reference: Option<Ref>,
    /// What to answer.
    pub code: ErrorCode,
    /// What was wrong, for a developer's eyes.
    pub message: String,
}

impl<'a> Request<'a> {
    /// Decodes one text frame. Unknown fields are ignored; nothing borrows but `data` and `token`.
    pub fn decode(text: &'a str, limits: DecodeLimits) -> Result<Self, DecodeError> {
        let refused = |code, message: String| DecodeError { reference: None, code, message };
        // A derived struct would be read from an array too.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(refused(ErrorCode::BadRequest, "a frame is one JSON object".into()));
        }
        let Head { kind, reference } = serde_json::from_str(text)
            .map_err(|error| refused(ErrorCode::BadRequest, format!("not a frame: {error}")))?;
        if !depth::within(text.as_bytes(), limits.json_depth) {
            let message = format!("JSON may nest {} levels deep", limits.json_depth);
            return Err(DecodeError { reference, code: ErrorCode::TooLarge, message });
        }
        match ClientFrame::decode(&kind, text, limits) {
            Ok(frame) => Ok(Self { reference, frame }),
            Err((code, message)) => Err(DecodeError { reference, code, message }),
        }
    }

    /// The text of the frame, for clients written in Rust.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "ref")]
    reference: Option<Ref>,
}

type Refusal = (ErrorCode, String);

impl<'a> ClientFrame<'a> {
    fn decode(kind: &str, text: &'a str, limits: DecodeLimits) -> Result<Self, Refusal> {
        let frame = match kind {
            "auth" => Self::Auth(fields(text)?),
            "join" => Self::Join(fields(text)?),
            "leave" => Self::Leave(fields(text)?),
            "message" => Self::Message(fields(text)?),
            "edit" => Self::Edit(fields(text)?),
            "delete" => Self::Delete(fields(text)?),
            "react" => Self::React(fields(text)?),
            "read" => Self::Read(fields(text)?),
            "typing" => Self::Typing(fields(text)?),
            "presence" => Self::Presence(fields(text)?),
            "history" => Self::History(fields(text)?),
            "ping" => Self::Ping {},
            _ => return Err((ErrorCode::UnknownType, "this server knows no such frame type".into())),
        };
        frame.check(limits)?;
        Ok(frame)
    }

    fn check(&self, limits: DecodeLimits) -> Result<(), Refusal> {
        match self {
            Self::Message(Message { data, .. }) | Self::Edit(Edit { data, .. })
                if data.get().len() > limits.data_bytes =>
            {
                Err((ErrorCode::TooLarge, format!("data may have {} bytes", limits.data_bytes)))
            }
            Self::History(History { before: Some(_), after: Some(_), .. }) => {
                Err((ErrorCode::BadRequest, "history takes before or after, not both".into()))
            }
            _ => Ok(()),
        }
    }
}

/// Reads the fields of one frame type, and tells a bad room name from any other fault.
fn fields<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        room: Cow<'a, str>,
    }

    serde_json::from_str(text).map_err(|error| {
        let room = serde_json::from_str(text).map(|Named { room }| RoomName::parse(&room));
        match room {
            Ok(Err(bad_room)) => (ErrorCode::BadRoom, bad_room.to_string()),
            _ => (ErrorCode::BadRequest, error.to_string()),
        }
    })
}
