//! The gateway as its users meet it: real processes, a real Redis, a real nginx, real clients.
//!
//! One binary, so that it is linked once. A module per subject; what several need is in `fixture`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "this is a test from the first line to the last"
)]

mod amend;
mod auth;
mod browser;
mod calls;
mod churn;
mod close;
mod cluster;
mod config;
mod dashboards;
mod documents;
mod drain;
mod embedded;
mod event_access;
mod events;
mod faults;
mod fixture;
mod floods;
mod forks;
mod frames;
mod k6;
mod keys;
mod limits;
mod logs;
mod moderation;
mod namespaces;
mod nginx;
mod nodes;
mod observe;
mod openapi;
mod presence;
mod receipts;
mod reload;
mod requests;
mod resume;
mod secrets;
mod slow;
mod start;
mod strangers;
mod talk;
mod tls;
mod tools;
mod traces;
mod upgrade;
