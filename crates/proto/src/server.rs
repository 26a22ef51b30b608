//! What gateways send besides logged events.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Close, Epoch, ErrorCode, Event, MessageId, Position, Ref, RoomName, UserId, position};

/// Every frame type that a gateway sends, logged events included.
///
/// Gateways make events with [`crate::event::write_frame`] and pages with [`write_history`], which don't parse
/// again what is JSON already; the variants here are for whoever reads.
#[derive(Clone, Debug)]
pub enum ServerFrame<'a> {
    /// The first frame after authentication.
    Welcome(Welcome),
    /// A request succeeded.
    Ok(Box<Success<'a>>),
    /// A request failed.
    Error(Failure<'a>),
    /// A logged event.
    Event(Position, Box<Event<'a>>),
    /// Read markers moved.
    Read(ReadMarkers),
    /// Somebody types, or stopped.
    Typing(Typing),
    /// Members came or went.
    Presence(PresenceChange<'a>),
    /// The client stands elsewhere now.
    Reset(Reset),
    /// The token is about to expire.
    Expiring(Expiring),
    /// The socket is about to be closed.
    Closing(Closing<'a>),
    /// The answer to `ping`.
    Pong(Pong),
    /// A type from a later version: to be ignored, but for its position.
    Unknown(Option<Position>),
}

/// Fields of `welcome`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "welcome")]
pub struct Welcome {
    /// This connection's id.
    pub session: String,
    /// Who the client is.
    pub user: UserId,
    /// The node it is connected to.
    pub node: String,
    /// How often the server pings, in milliseconds; two of them without a sign of life end the connection.
    pub heartbeat_ms: u64,
    /// The limits in force.
    pub limits: Limits,
}

/// The limits that a client is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long an `id` makes a message idempotent, in milliseconds.
    pub id_ttl_ms: u64,
    /// The largest `data`, in bytes.
    pub data_bytes: usize,
    /// The largest frame from a client, in bytes.
    pub frame_bytes: usize,
    /// How deeply JSON may nest.
    pub json_depth: usize,
    /// Rooms a connection may be in.
    pub rooms_per_connection: usize,
    /// Requests in flight before the socket is not read.
    pub requests_in_flight: usize,
    /// Frames a second.
    pub frames_per_second: u32,
    /// Frames at once.
    pub frame_burst: u32,
    /// Replayed bytes a second.
    pub replay_bytes_per_second: u64,
}

/// Fields of `ok`; which are there depends on the request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename = "ok")]
pub struct Success<'a> {
    /// The request's `ref`.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Ref>,
    /// The room, for requests about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// With `seq`, a position: of the event, or just before the next one after a join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// See `epoch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The room's newest `seq` at the join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
    /// Whether `since` holds, so that nothing was missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// How many events a join replays; or, in the answer to `presence`, how many members there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The event's `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// Whether the `id` was known, so that nothing was appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// A page of history, ascending.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<&'a RawValue>>,
    /// Whether the page has a sequel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
    /// How far everybody has read: a list of [`Marker`]s, as text. Absent in rooms above the presence size.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub markers: Option<&'a RawValue>,
    /// Who is there: a list of [`Member`]s, as text. Absent in rooms above the presence size.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub members: Option<&'a RawValue>,
}

/// Fields of `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "error")]
pub struct Failure<'a> {
    /// The request's `ref`.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Ref>,
    /// Why.
    pub code: ErrorCode,
    /// Why, for a developer's eyes.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The room that the client is not in, when that is what the error tells: it then has no `ref`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
}

/// Fields of `read` from a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "read")]
pub struct ReadMarkers {
    /// The room.
    pub room: RoomName,
    /// The markers that moved.
    pub markers: Vec<Marker>,
}

/// How far a user has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Who.
    pub user: UserId,
    /// With `seq`, the last event read.
    pub epoch: Epoch,
    /// See `epoch`.
    #[serde(deserialize_with = "position::seq")]
    pub seq: u64,
}

/// Fields of `typing` from a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "typing")]
pub struct Typing {
    /// The room.
    pub room: RoomName,
    /// Who.
    pub from: UserId,
    /// Typing, or stopped.
    pub on: bool,
}

/// Fields of `presence` from a server: who came and went since the one before, several at once.
///
/// A frame with neither list is of a room above the presence size: who is there is not told there any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "presence")]
pub struct PresenceChange<'a> {
    /// The room.
    pub room: RoomName,
    /// Who came; absent in rooms above the presence size.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Vec<Member<'a>>>,
    /// Who went; absent in rooms above the presence size.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Vec<Member<'a>>>,
    /// How many are there now.
    pub count: u64,
}

/// A user who is in a room, however many sessions it has there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member<'a> {
    /// Who.
    pub user: UserId,
    /// The display name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The token's `info`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a RawValue>,
}

/// Fields of `reset`: the client now stands at `{epoch, seq}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "reset")]
pub struct Reset {
    /// The room.
    pub room: RoomName,
    /// With `seq`, where the client stands now.
    pub epoch: Epoch,
    /// See `epoch`.
    #[serde(deserialize_with = "position::seq")]
    pub seq: u64,
    /// Why.
    pub reason: ResetReason,
}

/// Why a reader no longer stands where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The log no longer holds what the reader missed.
    Trimmed,
    /// A server was lost, and what the reader saw after `seq` with it.
    Forked,
    /// The log began again.
    New,
}

impl ResetReason {
    /// The name on the wire, also good as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Forked => "forked",
            Self::New => "new",
        }
    }
}

/// Fields of `expiring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "expiring")]
pub struct Expiring {
    /// Time left, in milliseconds.
    pub in_ms: u64,
}

/// Fields of `closing`: what a browser could not read from the close frame alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "closing")]
pub struct Closing<'a> {
    /// The close code that will follow.
    pub code: u16,
    /// Its reason string.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// When to connect again, in milliseconds; already jittered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What the moderator who banned or disconnected the user has to say to it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'a, str>>,
}

impl Closing<'_> {
    /// The announcement of a close.
    pub fn of(close: Close, retry_after_ms: Option<u64>) -> Self {
        Self { code: close.code(), reason: Cow::Borrowed(close.reason()), retry_after_ms, message: None }
    }
}

/// Fields of `pong`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename = "pong")]
pub struct Pong {
    /// The `ping`'s `ref`.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Ref>,
}

/// The text of a frame. The types of this module are all plain structs, so encoding cannot fail.
pub fn encode<T: Serialize>(frame: &T) -> Vec<u8> {
    serde_json::to_vec(frame).unwrap_or_default()
}

/// The text of the `ok` that answers `history`; each of `events` is a whole frame's text already.
pub fn write_history(
    reference: Option<&Ref>,
    room: &RoomName,
    events: &[Vec<u8>],
    more: bool,
    markers: Option<&RawValue>,
) -> Vec<u8> {
    let room = Some(room.clone());
    let head = Success { reference: reference.cloned(), room, markers, ..Success::default() };
    let mut out = encode(&head);
    out.pop();
    out.extend_from_slice(b",\"events\":[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event);
    }
    out.extend_from_slice(b"],\"more\":");
    out.extend_from_slice(if more { b"true}" } else { b"false}" });
    out
}

impl<'a> ServerFrame<'a> {
    /// Decodes a frame from a gateway, for clients written in Rust. Unknown fields and types are ignored.
    pub fn decode(text: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
        }

        let read = serde_json::from_str::<Head<'a>>(text)?;
        Ok(match &*read.kind {
            "welcome" => Self::Welcome(serde_json::from_str(text)?),
            "ok" => Self::Ok(serde_json::from_str(text)?),
            "error" => Self::Error(serde_json::from_str(text)?),
            "message" | "edit" | "delete" | "reaction" => {
                Self::Event(serde_json::from_str(text)?, serde_json::from_str(text)?)
            }
            "read" => Self::Read(serde_json::from_str(text)?),
            "typing" => Self::Typing(serde_json::from_str(text)?),
            "presence" => Self::Presence(serde_json::from_str(text)?),
            "reset" => Self::Reset(serde_json::from_str(text)?),
            "expiring" => Self::Expiring(serde_json::from_str(text)?),
            "closing" => Self::Closing(serde_json::from_str(text)?),
            "pong" => Self::Pong(serde_json::from_str(text)?),
            _ => Self::Unknown(serde_json::from_str(text).ok()),
        })
    }
}
