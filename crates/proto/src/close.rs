//! Close codes: why a connection ended, and whether a client comes back.

/// Why a gateway closes a connection: one variant for each reason string of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The answer to a client's own close.
    Bye,
    /// The server is going away without a drain.
    GoingAway,
    /// Nothing came from the client for two heartbeats.
    HeartbeatTimeout,
    /// The peer broke RFC 6455.
    ProtocolViolation,
    /// A text frame was not UTF-8.
    NotUtf8,
    /// A binary frame on a JSON connection.
    BinaryUnsupported,
    /// Something else than `auth` came first.
    AuthRequired,
    /// The credential is not good.
    AuthFailed,
    /// No credential came in time.
    AuthTimeout,
    /// The client kept on sending past its rate.
    RateLimited,
    /// The user is banned.
    Banned,
    /// A moderator or the server API ended this connection.
    Kicked,
    /// Too many malformed frames in a row.
    BadRequest,
    /// A frame exceeds the limit.
    TooLarge,
    /// A fault of the server's own.
    Internal,
    /// The node drains; come back after `retry_after_ms`.
    Restart,
    /// The node or the address has too many connections, or a reply queue is full.
    Overloaded,
    /// The client reads too slowly; its position is still good for a resume.
    SlowConsumer,
    /// The token's time is over.
    TokenExpired,
}

/// Whether a client that was closed connects again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// It does not: the same would happen again.
    No,
    /// It does, with its usual backoff.
    Yes,
    /// It does, after the `retry_after_ms` of the `closing` frame.
    AfterHint,
    /// It does, with a new token.
    WithNewToken,
}

impl Close {
    /// Every reason, in the order of the protocol's page.
    pub const ALL: [Self; 19] = [
        Self::Bye,
        Self::GoingAway,
        Self::HeartbeatTimeout,
        Self::ProtocolViolation,
        Self::NotUtf8,
        Self::BinaryUnsupported,
        Self::AuthRequired,
        Self::AuthFailed,
        Self::AuthTimeout,
        Self::RateLimited,
        Self::Banned,
        Self::Kicked,
        Self::BadRequest,
        Self::TooLarge,
        Self::Internal,
        Self::Restart,
        Self::Overloaded,
        Self::SlowConsumer,
        Self::TokenExpired,
    ];

    /// The close code of RFC 6455, section 7.4, or one of our own from its private range.
    pub fn code(self) -> u16 {
        match self {
            Self::Bye => 1000,
            Self::GoingAway | Self::HeartbeatTimeout => 1001,
            Self::ProtocolViolation => 1002,
            Self::BinaryUnsupported => 1003,
            Self::NotUtf8 => 1007,
            Self::AuthRequired
            | Self::AuthFailed
            | Self::AuthTimeout
            | Self::RateLimited
            | Self::Banned
            | Self::Kicked
            | Self::BadRequest => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::Overloaded | Self::SlowConsumer => 1013,
            Self::TokenExpired => 4401,
        }
    }

    /// The reason string in the close frame.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::GoingAway => "going_away",
            Self::HeartbeatTimeout => "heartbeat_timeout",
            Self::ProtocolViolation => "protocol_violation",
            Self::NotUtf8 => "not_utf8",
            Self::BinaryUnsupported => "binary_unsupported",
            Self::AuthRequired => "auth_required",
            Self::AuthFailed => "auth_failed",
            Self::AuthTimeout => "auth_timeout",
            Self::RateLimited => "rate_limited",
            Self::Banned => "banned",
            Self::Kicked => "kicked",
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::Internal => "internal",
            Self::Restart => "restart",
            Self::Overloaded => "overloaded",
            Self::SlowConsumer => "slow_consumer",
            Self::TokenExpired => "token_expired",
        }
    }

    /// Whether the client's bytes broke the rules of the transport, so that nothing can be read after them.
    pub fn fails_connection(self) -> bool {
        matches!(self, Self::ProtocolViolation | Self::NotUtf8 | Self::TooLarge)
    }

    /// The rule for clients.
    pub fn reconnect(self) -> Reconnect {
        match self {
            Self::GoingAway
            | Self::HeartbeatTimeout
            | Self::Internal
            | Self::Overloaded
            | Self::SlowConsumer => Reconnect::Yes,
            Self::Restart => Reconnect::AfterHint,
            Self::TokenExpired => Reconnect::WithNewToken,
            Self::Bye
            | Self::ProtocolViolation
            | Self::NotUtf8
            | Self::BinaryUnsupported
            | Self::AuthRequired
            | Self::AuthFailed
            | Self::AuthTimeout
            | Self::RateLimited
            | Self::Banned
            | Self::Kicked
            | Self::BadRequest
            | Self::TooLarge => Reconnect::No,
        }
    }
}
