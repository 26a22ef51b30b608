//! What a client, an address and the node may use.

pub mod address;
pub mod admission;
pub mod bucket;
pub mod calls;
pub mod messages;

pub use address::client_address;
pub use admission::{Admission, Lobby, Permit};
pub use bucket::Bucket;
pub use calls::{Calls, Who};

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The node has as many as it may have.
    Node,
    /// The address has as many as it may have.
    Address,
    /// More came in this second than may.
    Rate,
    /// The page that it came from is not allowed, or a cookie came without a page.
    Origin,
    /// The request is not an upgrade as it must be.
    BadRequest,
    /// The node is about to end.
    Draining,
    /// The user has as many sessions as it may have.
    Sessions,
    /// The user is banned, or its token was revoked.
    Banned,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Node,
        Self::Address,
        Self::Rate,
        Self::Origin,
        Self::BadRequest,
        Self::Draining,
        Self::Sessions,
        Self::Banned,
    ];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Address => "address",
            Self::Rate => "rate",
            Self::Origin => "origin",
            Self::BadRequest => "bad_request",
            Self::Draining => "draining",
            Self::Sessions => "sessions",
            Self::Banned => "banned",
        }
    }
}
