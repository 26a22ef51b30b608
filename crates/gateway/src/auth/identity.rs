//! What is known of a client once its credential was good.

use proto::{RoomName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::rights::{Grants, Rights, rights};

/// A client's identity. It lives as long as a connection, so it is kept small.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Who.
    pub user: UserId,
    /// The display name; at most [`Identity::MAX_NAME_BYTES`], without control characters.
    pub name: Option<Box<str>>,
    /// JSON shown to others; at most [`Identity::MAX_INFO_BYTES`].
    pub info: Option<Box<RawValue>>,
    /// When the token's time is over, in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// When the token was issued, in milliseconds since 1970, if it says so.
    #[serde(default)]
    pub issued_at_ms: Option<u64>,
    /// Whether it is no user's but a server's, with all rights everywhere.
    #[serde(skip)]
    pub(super) server: bool,
    /// The token's `rooms`, if it had them.
    pub(super) rooms: Option<Grants>,
}

impl Identity {
    /// The longest display name.
    pub const MAX_NAME_BYTES: usize = 128;
    /// The longest `info`.
    pub const MAX_INFO_BYTES: usize = 1024;
    /// How deeply `info` may nest.
    pub const MAX_INFO_DEPTH: usize = 16;

    /// Whom a server's calls are from that do not say it.
    pub const SERVER: &str = "server";

    /// A server that speaks in the name of a user, or in its own.
    pub fn server(user: UserId, name: Option<Box<str>>) -> Self {
        let expires_at_ms = u64::MAX;
        Self { user, name, info: None, expires_at_ms, issued_at_ms: None, server: true, rooms: None }
    }

    /// Whether a server speaks, and no user by itself.
    pub fn is_server(&self) -> bool {
        self.server
    }

    /// Whether a text can be a display name.
    pub fn is_name(text: &str) -> bool {
        (1..=Self::MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
    }

    /// What this user may do in `room`; `default` is what the configuration says for tokens without `rooms`.
    pub fn rights(&self, room: &RoomName, default: Rights) -> Rights {
        if self.server {
            return Rights::ALL;
        }
        rights(&self.user, self.rooms.as_ref(), room, default)
    }

    /// Whether the token's time is over, at `now_ms` since 1970.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms <= now_ms
    }
}
