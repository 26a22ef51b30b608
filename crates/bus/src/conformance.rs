//! The contract as code: what every backend must do, checked from outside.
//!
//! [`check`] runs all of it against whatever a [`Cluster`] gives, in rooms of its own, and panics with the first
//! promise that was not kept. What only a real server can do to a log (forget it, come back older) is checked by
//! the tests of that backend, with the same [`Recorder`].
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a broken promise is told by a panic"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use proto::{MessageId, Position, RoomName, UserId};

use crate::{Append, Appended, Bus, Key, Page, ReadFrom};

mod amending;
mod appending;
mod following;
mod gathering;
mod reading;
mod recorder;
mod sharing;
mod tracing;

pub use recorder::Recorder;

/// How long anything may take that should happen at once: a machine that runs tests is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The length of the logs that [`check`] expects.
pub const LENGTH: u64 = 200;

/// Gives nodes that share a log.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Another node. Logs keep [`LENGTH`] events, and a hundred more at most.
    async fn node(&self) -> Arc<dyn Bus>;
}

/// Checks every promise.
pub async fn check(cluster: &dyn Cluster) {
    let nodes = Nodes { cluster, one: cluster.node().await, other: cluster.node().await };
    appending::check(&nodes).await;
    reading::check(&nodes).await;
    amending::check(&nodes).await;
    following::check(&nodes).await;
    sharing::check(&nodes).await;
    gathering::check(&nodes).await;
    tracing::check(&nodes).await;
    nodes.one.close().await;
    nodes.other.close().await;
}

/// Two nodes of a cluster.
struct Nodes<'a> {
    cluster: &'a dyn Cluster,
    one: Arc<dyn Bus>,
    other: Arc<dyn Bus>,
}

/// A room that no other check uses.
pub fn room(what: &str) -> RoomName {
    RoomName::parse(&format!("{what}-{}", unique())).expect("a room's name")
}

/// A number that no other check uses.
fn unique() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// An append by alice; `id` is its key as well as its body.
pub fn message(id: &str) -> Append {
    let user = UserId::parse("alice").expect("a user's name");
    let key = Key::of_client(&user, &MessageId::parse(id).expect("a message's id"));
    Append::message(Bytes::from(id.to_owned()), key)
}

/// Appends one event.
pub async fn append(bus: &dyn Bus, room: &RoomName, id: &str) -> Appended {
    let appended = bus.append(room, message(id)).await;
    appended.unwrap_or_else(|error| panic!("{room}: {id} was not appended: {error}"))
}

/// Appends events `<what>1` to `<what><count>`, all at once.
pub async fn append_many(bus: &dyn Bus, room: &RoomName, what: &str, count: u64) -> Position {
    let appending: Vec<_> =
        (1..=count).map(|number| bus.append(room, message(&format!("{what}{number}")))).collect();
    let mut last = None;
    for appending in appending {
        last = Some(appending.await.unwrap_or_else(|error| panic!("{room}: not appended: {error}")).position);
    }
    last.expect("at least one event")
}

/// Reads a page.
pub async fn read(bus: &dyn Bus, room: &RoomName, from: ReadFrom, limit: u32) -> Page {
    let page = bus.read(room, from.clone(), limit).await;
    page.unwrap_or_else(|error| panic!("{room}: {from:?} could not be read: {error}"))
}

/// Follows a room with a new recorder.
pub async fn follow(bus: &dyn Bus, room: &RoomName) -> (Arc<Recorder>, crate::Following) {
    let recorder = Recorder::new();
    let following = bus.follow(room, Arc::clone(&recorder) as Arc<dyn crate::Follower>).await;
    let following = following.unwrap_or_else(|error| panic!("{room} could not be followed: {error}"));
    assert!(recorder.started().is_some(), "{room}: followed, but start was not called");
    (recorder, following)
}

/// The bodies of events, as text.
pub fn bodies<'a>(events: impl IntoIterator<Item = &'a crate::LogEvent>) -> Vec<String> {
    events.into_iter().map(|event| String::from_utf8_lossy(&event.body).into_owned()).collect()
}

/// Looks until `look` finds something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    const PAUSE: Duration = Duration::from_millis(5);
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(began.elapsed() < PATIENCE, "waited for {what}, saw instead: {seen}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
