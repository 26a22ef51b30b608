//! What is counted. None of it is on the way of an ordinary event, so the recorder is asked each time.

use proto::server::ResetReason;

pub(super) fn up(up: bool) {
    metrics::gauge!("chorus_bus_up").set(if up { 1.0 } else { 0.0 });
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
