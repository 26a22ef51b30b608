//! Error codes: why one request failed. The connection stays.

use serde::{Deserialize, Serialize};

/// The `code` of an `error` frame.
///
/// These are about one request; what ends a connection is a [`Close`](crate::Close).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The frame is malformed, or a field is missing or out of its bounds.
    BadRequest,
    /// This server does not know or serve this frame type.
    UnknownType,
    /// The room's name is not one.
    BadRoom,
    /// The token grants no such right in this room.
    Forbidden,
    /// The connection has not joined the room.
    NotJoined,
    /// The target was trimmed from the log, or stood in a branch that is gone.
    NotFound,
    /// A message, a frame or a number of things exceeds its limit.
    TooLarge,
    /// Too many requests; try again after `retry_after_ms`.
    RateLimited,
    /// Not known to be appended; the same `id` again is safe.
    Unavailable,
    /// A fault of the server's own.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the protocol's page.
    pub const ALL: [Self; 10] = [
        Self::BadRequest,
        Self::UnknownType,
        Self::BadRoom,
        Self::Forbidden,
        Self::NotJoined,
        Self::NotFound,
        Self::TooLarge,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The name on the wire, also good as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::UnknownType => "unknown_type",
            Self::BadRoom => "bad_room",
            Self::Forbidden => "forbidden",
            Self::NotJoined => "not_joined",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn the_names_on_the_wire_are_the_labels() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
