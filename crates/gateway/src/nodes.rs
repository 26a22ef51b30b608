//! What a node says of itself to the others.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{app::App, clock::unix_ms};

/// How often it is said anew.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// Its name, as configured.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// Its connections, sockets and event streams together.
    pub connections: u64,
    /// The users who have them.
    pub users: u64,
    /// The rooms that it follows.
    pub rooms: u64,
    /// Whether it is about to end.
    pub draining: bool,
}

/// Says it, for as long as the node runs.
pub async fn describe(app: Arc<App>) {
    let started_at_ms = unix_ms();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let status = NodeStatus {
            name: app.config.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms,
            connections: app.connections.count() as u64,
            users: app.moderation.users() as u64,
            rooms: app.rooms.count() as u64,
            draining: app.is_draining(),
        };
        app.bus.describe(proto::server::encode(&status).into());
    }
}
