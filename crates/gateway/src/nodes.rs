//! What a node says of itself to the others, and to whoever runs the cluster.
//!
//! It is looked at once a second and nowhere else: what is counted is counted as it was before, and read from where
//! Prometheus reads it.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use utoipa::ToSchema;

use crate::{
    app::App,
    clock::{ms_since_1970, unix_ms},
};

mod figures;
mod hottest;
mod memory;
mod order;
mod window;

use figures::Figures;
pub use hottest::HotRoom;
use hottest::Thermometer;
pub use order::{drain, ordered};
use window::Window;

/// How often it is said anew.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a node says of itself. Totals are since it started; whoever wants a rate takes the difference of two by that of
/// `uptime_ms`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
// A node of an older version says less: that is no reason not to show it.
#[serde(default)]
pub struct NodeStatus {
    /// Its name, as configured.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// How long it had run when it said this, in milliseconds, by a clock that is never set.
    pub uptime_ms: u64,
    /// Its connections, sockets and event streams together.
    pub connections: u64,
    /// The users who have them.
    pub users: u64,
    /// The rooms that it follows.
    pub rooms: u64,
    /// Memberships of its connections in them.
    pub members: u64,
    /// Whether it is about to end.
    pub draining: bool,
    /// Since when, in milliseconds since 1970; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draining_since_ms: Option<u64>,
    /// Whether what is said comes through.
    pub bus: BusStatus,
    /// Events appended by its clients, in total.
    pub appends: u64,
    /// Events handed to connections, each connection counted, in total.
    pub deliveries: u64,
    /// From a command to its event being in the log, over the last seconds; absent when nothing was appended in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_latency: Option<Latency>,
    /// Connections that do not take what waits for them, now.
    pub slow_readers: u64,
    /// Connections that were closed for it, in total.
    pub slow_closes: u64,
    /// The memory that it holds, in bytes; absent where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// The rooms with the most deliveries, the hottest first, ten at most. Quiet ones are none of them.
    pub hottest: Vec<HotRoom>,
}

/// Whether what is said comes through, as a node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct BusStatus {
    /// Whether its last probe came back.
    pub up: bool,
    /// What it saw last.
    pub detail: String,
    /// Since when it is down, in milliseconds since 1970; absent while it is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_since_ms: Option<u64>,
    /// Holes in the stream of events that were filled from the log, in total.
    pub holes_filled: u64,
    /// Rooms whose events could not all be had, in total.
    pub resets: u64,
    /// Connections to Redis that were made again, in total.
    pub reconnects: u64,
}

/// Percentiles of a time, in microseconds. Each lies between two bounds of the metric `chorus_append_seconds`, and is
/// as exact as these are: by a third or so. Past the last of them, five seconds, it is five seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50_us: u64,
    /// 99 % of them took no longer.
    pub p99_us: u64,
    /// 99.9 % of them took no longer.
    pub p999_us: u64,
    /// How many there were.
    pub count: u64,
    /// Within how long, in milliseconds.
    pub window_ms: u64,
}

/// Says it, for as long as the node runs.
pub async fn describe(app: Arc<App>, metrics: PrometheusHandle) {
    let (started, started_at_ms) = (Instant::now(), unix_ms());
    let (mut thermometer, mut window) = (Thermometer::new(started), Window::default());
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        thermometer.measure(&app.rooms).await;
        let figures = Figures::read(&metrics.render());
        let (now, health) = (Instant::now(), app.bus.health());
        let status = NodeStatus {
            name: app.config.now().node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms,
            uptime_ms: (now - started).as_millis() as u64,
            connections: app.connections.count() as u64,
            users: app.moderation.users() as u64,
            rooms: app.rooms.count() as u64,
            members: figures.members,
            draining: app.is_draining(),
            draining_since_ms: app.draining_since_ms(),
            bus: BusStatus {
                up: health.up,
                detail: health.detail,
                down_since_ms: health.down_since.map(ms_since_1970),
                holes_filled: figures.holes_filled,
                resets: figures.resets,
                reconnects: figures.reconnects,
            },
            appends: figures.appends,
            deliveries: figures.deliveries,
            append_latency: window.latency(figures.append_seconds, now),
            slow_readers: figures.slow_readers,
            slow_closes: figures.slow_closes,
            rss_bytes: memory::resident(),
            hottest: thermometer.hottest().to_vec(),
        };
        app.bus.describe(proto::server::encode(&status).into());
        *app.status.lock() = Some(status);
    }
}
