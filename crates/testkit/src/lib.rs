//! Real parts for tests: `redis-server`, nginx and gateways as child processes, and a WebSocket client that checks
//! the promises of the protocol while it reads.
//!
//! Nothing here is a double. A test that needs Redis gets a `redis-server` of its own on a free loopback port, with
//! its own directory; everything is ended and removed when its handle is dropped, and when a test fails the
//! handles print the last lines of what their processes logged.
//!
//! Helpers panic instead of returning errors: a panic that says what was awaited and what was seen *is* a test's
//! result. The only way to wait is [`until`] (or a read with a deadline); there is no fixed sleep to tune.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

mod certificates;
pub mod chaos;
mod client;
mod cluster;
mod gateway;
mod http;
mod issuer;
mod metrics;
mod nginx;
mod ports;
mod process;
mod prometheus;
mod proxy;
mod raw;
mod redis;
mod secure;
mod storm;
mod stream;
mod token;
mod wait;

pub use certificates::Certificates;
pub use client::{Client, Close, Dial, Event, Ledger, Refusal};
pub use cluster::Cluster;
pub use gateway::{Gateway, GatewayOptions};
pub use http::{Request, Response};
pub use issuer::{Answer, Issuer, SigningKey, jwks};
pub use metrics::Metrics;
pub use nginx::{Nginx, NginxOptions};
pub use ports::free_port;
pub use process::{Process, find_program};
pub use prometheus::Prometheus;
pub use proxy::{Fate, Proxy};
pub use raw::{RawFrame, RawSocket};
pub use redis::{Redis, RedisCluster, RedisSentinel, Snapshot, Synced};
pub use rustix::process::Signal;
pub use secure::shake_hands;
pub use storm::{Storm, storm};
pub use stream::{EventStream, Stand, StreamDial, StreamEnd};
pub use token::{SECRET, expiring, sign, sign_with, token};
pub use wait::{PATIENCE, until, within};
