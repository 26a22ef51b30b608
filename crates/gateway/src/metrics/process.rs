//! What the process uses of its machine, under the names that every Prometheus knows: `process_…`.

use metrics_process::Collector;

/// Describes them.
pub(super) fn describe() {
    Collector::default().describe();
}

/// Reads them anew, for whoever asks now: between two scrapes nobody looks, and a node with 100,000 sockets has as many
/// descriptors to count. It reads files of the system, so it is not for a task that others wait for.
pub fn collect() {
    Collector::default().collect();
}
