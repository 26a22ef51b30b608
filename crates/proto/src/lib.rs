//! The wire protocol of Chorus: what a client and a gateway say to each other.
//!
//! `docs/PROTOCOL.md` is the page for people; this crate is the same page for the compiler. Everything that
//! goes over a socket is a type from here, and what came over a socket is nothing until it has become one.
//! There is no I/O in this crate and nothing async.
//!
//! | module | subject |
//! | --- | --- |
//! | [`room`], [`user`] | validated names |
//! | [`position`] | `{epoch, seq}`: where a reader stands in a room's log |
//! | [`client`] | what clients send, and the one way to decode it |
//! | [`event`] | what stands in a room's log, encoded once for everyone |
//! | [`server`] | everything else that gateways send |
//! | [`error`], [`close`] | two vocabularies of failure: for a request, and for a connection |

#[macro_use]
mod text;

pub mod client;
pub mod close;
pub mod depth;
pub mod error;
pub mod event;
pub mod position;
pub mod reference;
pub mod room;
pub mod server;
pub mod user;

pub use client::{ClientFrame, DecodeError, DecodeLimits, MessageId, Request};
pub use close::{Close, Reconnect};
pub use error::ErrorCode;
pub use event::{Event, EventKind};
pub use position::{Epoch, Position};
pub use reference::Ref;
pub use room::RoomName;
pub use server::ServerFrame;
pub use user::UserId;

/// The WebSocket subprotocol that a gateway selects when a client offers it.
pub const SUBPROTOCOL: &str = "chorus.v1";

/// The largest frame that a gateway sends, in bytes.
pub const MAX_SERVER_FRAME: usize = 512 * 1024;

/// A page of history ends before its events exceed this many bytes; it then says `more`.
pub const MAX_HISTORY_PAGE: usize = 256 * 1024;

/// The most events in one page of history.
pub const MAX_HISTORY_EVENTS: u32 = 200;

/// How long an `id` makes a message idempotent, in milliseconds.
pub const ID_TTL_MS: u64 = 5 * 60 * 1000;
