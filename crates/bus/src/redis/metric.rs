//! What is counted. None of it is on the way of an ordinary event, so the recorder is asked each time.

use std::time::UNIX_EPOCH;

use proto::server::ResetReason;

use crate::Health;

/// Whether the bus is up, and since when it is not.
pub(super) fn health(health: &Health) {
    let since = health.down_since.and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    metrics::gauge!("chorus_bus_up").set(if health.up { 1.0 } else { 0.0 });
    metrics::gauge!("chorus_bus_down_since_timestamp_seconds").set(since.unwrap_or_default().as_secs_f64());
}

/// Events that came from the log because the channel had lost them.
pub(super) fn filled(count: u64) {
    metrics::counter!("chorus_bus_holes_filled_total").increment(count);
}

pub(super) fn reset(reason: ResetReason) {
    let reason = match reason {
        ResetReason::Trimmed => "trimmed",
        ResetReason::Forked => "forked",
        ResetReason::New => "new",
    };
    metrics::counter!("chorus_bus_resets_total", "reason" => reason).increment(1);
}

pub(super) fn reconnected() {
    metrics::counter!("chorus_bus_reconnects_total").increment(1);
}

/// Events from a server that was cut off, or that the log never knew.
pub(super) fn stale(count: u64) {
    metrics::counter!("chorus_bus_stale_total").increment(count);
}

/// Payloads and entries that are none of ours.
pub(super) fn malformed(count: u64) {
    metrics::counter!("chorus_bus_malformed_total").increment(count);
}

/// Faults of the program.
pub(super) fn panicked() {
    metrics::counter!("chorus_bus_panics_total").increment(1);
}
