//! Why a request is not done, ready to be answered.

use std::{borrow::Cow, time::Duration};

use proto::{ErrorCode, Ref, server::Failure};

/// A request that is not done, with the words for its `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for a program.
    pub code: ErrorCode,
    /// Why, for its developer.
    pub message: Cow<'static, str>,
    /// When it may succeed.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The client has not joined the room.
    pub const NOT_JOINED: Self = Self::new(ErrorCode::NotJoined, "join the room first");
    /// It may not read there.
    pub const MAY_NOT_READ: Self =
        Self::new(ErrorCode::Forbidden, "the token grants no right to read this room");
    /// It may not post there.
    pub const MAY_NOT_WRITE: Self =
        Self::new(ErrorCode::Forbidden, "the token grants no right to post in this room");
    /// Only moderators post there.
    pub const MEMBERS_MAY_NOT_POST: Self =
        Self::new(ErrorCode::Forbidden, "only moderators and the server API post in this room's namespace");
    /// The connection is in as many rooms as it may be.
    pub const TOO_MANY_ROOMS: Self =
        Self::new(ErrorCode::TooLarge, "this connection is in as many rooms as it may be: leave one first");
    /// The room has as many members as it may.
    pub const FULL: Self = Self::new(ErrorCode::TooLarge, "the room is full").after(10_000);
    /// Nobody knows who is there.
    pub const NO_PRESENCE: Self = Self::new(ErrorCode::Forbidden, "this room's namespace keeps no presence");
    /// What it is about is not there.
    pub const NOT_FOUND: Self = Self::new(
        ErrorCode::NotFound,
        "the target is not in this room's log: trimmed, deleted, or of a branch that is gone",
    );
    /// Somebody else said it.
    pub const NOT_YOURS: Self = Self::new(
        ErrorCode::Forbidden,
        "the message is another user's, and the token grants no right to moderate this room",
    );
    /// The bus is away.
    pub const UNAVAILABLE: Self =
        Self::new(ErrorCode::Unavailable, "the log can't be reached now: try again").after(1000);

    /// The node drains, and its rooms are nowhere else.
    pub const ENDING: Self =
        Self::new(ErrorCode::Unavailable, "this node ends, and its rooms with it: try again").after(1000);

    /// The user may not speak in the room for a while.
    pub fn muted(for_ms: u64, reason: &str) -> Self {
        let colon = if reason.is_empty() { "" } else { ": " };
        let message = format!("this user may not speak in this room for a while{colon}{reason}").into();
        Self { code: ErrorCode::Forbidden, message, retry_after: Some(Duration::from_millis(for_ms)) }
    }

    /// One without a time.
    pub const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message), retry_after: None }
    }

    /// The same that may succeed after so many milliseconds.
    #[must_use]
    pub const fn after(mut self, ms: u64) -> Self {
        self.retry_after = Some(Duration::from_millis(ms));
        self
    }

    /// The frame that says so.
    pub fn frame(self, reference: Option<Ref>) -> Failure<'static> {
        let retry_after_ms = self.retry_after.map(|wait| wait.as_millis().max(1) as u64);
        Failure { reference, code: self.code, message: self.message, retry_after_ms, room: None }
    }
}
