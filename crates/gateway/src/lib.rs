//! The gateway: WebSockets at one side, the bus at the other.
//!
//! The way of a message, by file name:
//!
//! ```text
//! socket ─► session ─► command ─► bus.append
//!                                     │
//! connection ◄── room (tail, members, flush) ◄─ relay ◄─┘
//! ```
//!
//! Start reading at [`session`], follow a message through `command/message.rs`, and come back by [`relay`],
//! [`room`] and [`connection`].

pub mod app;
pub mod auth;
pub mod clock;
pub mod command;
pub mod config;
pub mod connection;
pub mod connections;
pub mod descriptors;
pub mod dev;
pub mod drain;
mod fetch;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod moderation;
pub mod nodes;
pub mod pages;
pub mod plan;
pub mod posts;
pub mod presence;
pub mod receipts;
pub mod refusal;
pub mod relay;
pub mod reload;
pub mod room;
pub mod rooms;
pub mod serve;
pub mod session;
pub mod share;
pub mod site;
pub mod socket;
pub mod sse;
pub mod tls;
pub mod traces;
pub mod users;
