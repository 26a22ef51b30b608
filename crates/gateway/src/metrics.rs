//! What a node counts, and how Prometheus reads it.
//!
//! Every metric is described and registered at the start, so that one that never happened shows as 0. No
//! label holds anything a client sent: rooms and users are never labels.

use std::{sync::Arc, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use proto::{Close, ErrorCode, server::ResetReason};

use crate::{config::Config, limits::Refusal};

mod connections;
pub mod process;

pub use connections::{ConnectionGauge, ConnectionState, Transport};

/// Upper bounds in seconds. Below a millisecond is a quiet node with the memory bus; above a second is an
/// outage.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// The same of an append: these are what the percentiles that a node tells of are made of. A finer mesh costs what is
/// scraped, and nothing where it is recorded.
const APPEND_SECONDS: [f64; 27] = [
    0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015,
    0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0, 5.0,
];

/// Ready-made handles: counting is an atomic addition, and no name is looked up.
pub struct Metrics {
    /// Connections by their state; see [`Metrics::connection`].
    connections: connections::Gauges,
    /// Rooms that this node follows.
    pub rooms: Gauge,
    /// Memberships of this node's connections in them.
    pub members: Gauge,
    /// Bytes of events held in the rooms' tails.
    pub tail_bytes: Gauge,
    /// Connections that do not take what waits for them.
    pub slow_readers: Gauge,
    /// Frames from clients, before anything judged them.
    pub frames_received: Counter,
    /// Their payload in bytes.
    pub received_bytes: Counter,
    /// Frames to clients.
    pub frames_sent: Counter,
    /// Bytes written to clients' sockets.
    pub sent_bytes: Counter,
    /// Events that were appended, duplicates not counted.
    pub appends: Counter,
    /// Events handed to connections: one event in a room of a thousand is a thousand deliveries.
    pub deliveries: Counter,
    /// Joins that succeeded.
    pub joins: Counter,
    /// From a command to its `ok`.
    pub append_seconds: Histogram,
    /// From a message's `at` to the write to the last member of its room on this node.
    pub delivery_seconds: Histogram,
    refusals: [Counter; Refusal::ALL.len()],
    errors: [Counter; ErrorCode::ALL.len()],
    closes: [Counter; Close::ALL.len()],
    lost: Counter,
    /// Fetches of the keys of tokens that brought them, and that did not.
    jwks_refreshes: [Counter; 2],
    /// Handshakes of TLS that succeeded, and that did not.
    tls_handshakes: [Counter; 2],
    /// Certificates that were taken in the place of another, and attempts at one that could not be.
    tls_reloads: [Counter; 2],
    certificate_expiry: Gauge,
    connections_limit: Gauge,
    drain_limit: Gauge,
    draining_since: Gauge,
}

/// Makes this process' metrics. The second value renders them; [`upkeep`] must run beside it.
///
/// It can be done once in a process.
pub fn install() -> Result<(Arc<Metrics>, PrometheusHandle), BuildError> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(BuildError::FailedToSetGlobalRecorder)?;
    Ok((Arc::new(register()), handle))
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let append = Matcher::Full("chorus_append_seconds".to_owned());
    let builder =
        PrometheusBuilder::new().set_buckets(&SECONDS)?.set_buckets_for_metric(append, &APPEND_SECONDS)?;
    Ok(builder.build_recorder())
}

/// Describes and registers everything with the recorder in force.
fn register() -> Metrics {
    describe();
    register_others();
    process::describe();
    gauge!("chorus_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Metrics::new()
}

/// Folds what histograms have gathered. Without it they grow until somebody scrapes.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        handle.run_upkeep();
    }
}

impl Metrics {
    /// Handles of the installed recorder; without one (in a test) they count nothing.
    pub fn new() -> Self {
        Self {
            connections: connections::Gauges::new(),
            rooms: gauge!("chorus_rooms"),
            members: gauge!("chorus_members"),
            tail_bytes: gauge!("chorus_tail_bytes"),
            slow_readers: gauge!("chorus_slow_readers"),
            frames_received: counter!("chorus_frames_received_total"),
            received_bytes: counter!("chorus_received_bytes_total"),
            frames_sent: counter!("chorus_frames_sent_total"),
            sent_bytes: counter!("chorus_sent_bytes_total"),
            appends: counter!("chorus_appends_total"),
            deliveries: counter!("chorus_deliveries_total"),
            joins: counter!("chorus_joins_total"),
            append_seconds: histogram!("chorus_append_seconds"),
            delivery_seconds: histogram!("chorus_delivery_seconds"),
            refusals: Refusal::ALL
                .map(|refusal| counter!("chorus_refusals_total", "reason" => refusal.as_str())),
            errors: ErrorCode::ALL.map(|code| counter!("chorus_errors_total", "code" => code.as_str())),
            closes: Close::ALL.map(|close| {
                let code = close.code().to_string();
                counter!("chorus_closes_total", "code" => code, "reason" => close.reason())
            }),
            lost: counter!("chorus_closes_total", "code" => "1006", "reason" => "lost"),
            jwks_refreshes: ["ok", "failed"]
                .map(|result| counter!("chorus_jwks_refreshes_total", "result" => result)),
            tls_handshakes: ["ok", "failed"]
                .map(|result| counter!("chorus_tls_handshakes_total", "result" => result)),
            tls_reloads: ["ok", "failed"]
                .map(|result| counter!("chorus_tls_reloads_total", "result" => result)),
            certificate_expiry: gauge!("chorus_tls_certificate_expiry_timestamp_seconds"),
            connections_limit: gauge!("chorus_connections_limit"),
            drain_limit: gauge!("chorus_drain_limit_seconds"),
            draining_since: gauge!("chorus_draining_since_timestamp_seconds"),
        }
    }

    /// Tells what this node was configured to bear, so that an alert can say "nearly full" without knowing the number.
    pub fn limits(&self, config: &Config) {
        self.connections_limit.set(config.limits.connections as f64);
        self.drain_limit.set(config.drain_seconds as f64);
    }

    /// Tells since when, in milliseconds since 1970, the node drains.
    pub fn draining(&self, since_ms: u64) {
        self.draining_since.set(since_ms as f64 / 1000.0);
    }

    /// Counts a connection that was not taken.
    pub fn refused(&self, refusal: Refusal) {
        self.refusals[refusal as usize].increment(1);
    }

    /// Counts a request that failed.
    pub fn failed(&self, code: ErrorCode) {
        self.errors[code as usize].increment(1);
    }

    /// Counts a connection that this node closed, or whose close it answered.
    pub fn closed(&self, close: Close) {
        self.closes[close as usize].increment(1);
    }

    /// Counts a connection that ended without a close frame.
    pub fn lost(&self) {
        self.lost.increment(1);
    }

    /// Counts a fetch of the keys of tokens.
    pub fn jwks_refreshed(&self, ok: bool) {
        self.jwks_refreshes[usize::from(!ok)].increment(1);
    }

    /// Counts a handshake of TLS.
    pub fn tls_handshake(&self, ok: bool) {
        self.tls_handshakes[usize::from(!ok)].increment(1);
    }

    /// Counts a certificate that was read anew: `ok` when it is another one and shown now.
    pub fn certificate_read(&self, ok: bool) {
        self.tls_reloads[usize::from(!ok)].increment(1);
    }

    /// Tells when the certificate that is shown expires, in seconds since 1970.
    pub fn certificate_expires(&self, at: u64) {
        self.certificate_expiry.set(at as f64);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What the bus and the export of spans count by themselves, at 0.
fn register_others() {
    gauge!("chorus_bus_up").set(0.0);
    gauge!("chorus_bus_down_since_timestamp_seconds").set(0.0);
    for name in [
        "chorus_bus_holes_filled_total",
        "chorus_bus_reconnects_total",
        "chorus_bus_stale_total",
        "chorus_bus_malformed_total",
        "chorus_bus_panics_total",
    ] {
        counter!(name).absolute(0);
    }
    for outcome in ["sent", "lost"] {
        counter!("chorus_spans_total", "outcome" => outcome).absolute(0);
    }
    for reason in [ResetReason::Trimmed, ResetReason::Forked, ResetReason::New] {
        counter!("chorus_bus_resets_total", "reason" => reason.as_str()).absolute(0);
    }
}

fn describe() {
    let gauges = [
        ("chorus_build_info", Unit::Count, "Always 1; the version is in the label"),
        ("chorus_connections", Unit::Count, "Live WebSocket connections"),
        ("chorus_streams", Unit::Count, "Live event streams (Server-Sent Events)"),
        ("chorus_connections_by_state", Unit::Count, "Connections by how far they are, and by transport"),
        (
            "chorus_connections_limit",
            Unit::Count,
            "Connections that this node may have, of both transports (limits.connections)",
        ),
        ("chorus_drain_limit_seconds", Unit::Seconds, "How long a drain may take (drain_seconds)"),
        (
            "chorus_draining_since_timestamp_seconds",
            Unit::Seconds,
            "Unix time at which the drain began; 0 while the node is not draining",
        ),
        (
            "chorus_tls_certificate_expiry_timestamp_seconds",
            Unit::Seconds,
            "Unix time at which the certificate that clients are shown expires; 0 without TLS",
        ),
        ("chorus_rooms", Unit::Count, "Rooms that this node follows"),
        ("chorus_members", Unit::Count, "Memberships of this node's connections in rooms"),
        (
            "chorus_tail_bytes",
            Unit::Bytes,
            "Bytes of past events held in memory for readers that lag or come back",
        ),
        ("chorus_slow_readers", Unit::Count, "Connections that do not take what waits for them"),
        ("chorus_bus_up", Unit::Count, "1 while a probe proves that deliveries come through, else 0"),
        (
            "chorus_bus_down_since_timestamp_seconds",
            Unit::Seconds,
            "Since when deliveries are not known to come through: Unix time of the last proof that they did; 0 while up",
        ),
    ];
    for (name, unit, help) in gauges {
        describe_gauge!(name, unit, help);
    }
    let counters = [
        (
            "chorus_accepts_total",
            Unit::Count,
            "Connections that were taken, by transport, also those that were only told that there is no place",
        ),
        ("chorus_frames_received_total", Unit::Count, "Frames from clients"),
        ("chorus_received_bytes_total", Unit::Bytes, "Payload bytes of frames from clients"),
        ("chorus_frames_sent_total", Unit::Count, "Frames to clients"),
        ("chorus_sent_bytes_total", Unit::Bytes, "Bytes written to clients' sockets"),
        ("chorus_appends_total", Unit::Count, "Events appended by this node, duplicates not counted"),
        ("chorus_deliveries_total", Unit::Count, "Events handed to connections, each connection counted"),
        ("chorus_joins_total", Unit::Count, "Joins that succeeded"),
        ("chorus_refusals_total", Unit::Count, "Connections that were not taken, by reason"),
        ("chorus_errors_total", Unit::Count, "Requests that failed, by error code"),
        ("chorus_closes_total", Unit::Count, "Connections that ended, by close code and reason"),
        (
            "chorus_jwks_refreshes_total",
            Unit::Count,
            "Fetches of the keys of tokens (auth.jwks_url), by result: while they fail, the keys of before hold",
        ),
        ("chorus_tls_handshakes_total", Unit::Count, "Handshakes of TLS with clients, by result"),
        (
            "chorus_tls_reloads_total",
            Unit::Count,
            "Certificates read anew, by result: while one can't be used, the one of before is shown",
        ),
        (
            "chorus_bus_holes_filled_total",
            Unit::Count,
            "Holes in the stream of events that were filled from the log",
        ),
        (
            "chorus_bus_resets_total",
            Unit::Count,
            "Followed rooms whose events could not all be had, by reason",
        ),
        ("chorus_bus_reconnects_total", Unit::Count, "Connections to Redis that were made again"),
        ("chorus_bus_stale_total", Unit::Count, "Events refused because a server that was cut off sent them"),
        ("chorus_bus_malformed_total", Unit::Count, "Publications and log entries that could not be read"),
        (
            "chorus_bus_panics_total",
            Unit::Count,
            "Faults of the program that a task of the bus ended with; please report them",
        ),
        ("chorus_spans_total", Unit::Count, "Spans for the collector of traces (otlp.endpoint), by outcome"),
    ];
    for (name, unit, help) in counters {
        describe_counter!(name, unit, help);
    }
    let histograms = [
        ("chorus_append_seconds", "From a command to its event being in the log"),
        (
            "chorus_delivery_seconds",
            "From a message's time at its sender's node to the write to the last member on this node, by both \
             clocks",
        ),
    ];
    for (name, help) in histograms {
        describe_histogram!(name, Unit::Seconds, help);
    }
}

#[cfg(test)]
pub(crate) mod tests;
