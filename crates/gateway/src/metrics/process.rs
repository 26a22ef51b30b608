//! What the process uses of its machine, under the names that every Prometheus knows: `process_…`.

use std::sync::OnceLock;

use metrics_process::Collector;

use crate::clock::unix_ms;

/// When the metrics were made, which is when the process starts, in seconds since 1970.
static STARTED: OnceLock<f64> = OnceLock::new();

/// Describes them.
pub(super) fn describe() {
    started();
    Collector::default().describe();
}

/// Reads them anew, for whoever asks now: between two scrapes nobody looks, and a node with 100,000 sockets has as many
/// descriptors to count. It reads files of the system, so it is not for a task that others wait for.
pub fn collect() {
    Collector::default().collect();
    // The collector needs `/proc/stat` for this one, which a unit with `ProcSubset=pid` does not see.
    metrics::gauge!("process_start_time_seconds").set(started());
}

fn started() -> f64 {
    *STARTED.get_or_init(|| unix_ms() as f64 / 1000.0)
}
