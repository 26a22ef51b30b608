//! What the system knows about processes: CPU time, memory, context switches, sockets.

use std::fs;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The size of a page of kernel memory, in bytes, as `/proc/net/sockstat` counts.
const PAGE: u64 = 4096;

/// A process at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// CPU time of all its threads, in seconds (`/proc/PID/task/*/schedstat`; that of threads that have ended is gone).
    pub cpu_s: f64,
    /// Resident memory, in bytes.
    pub rss: u64,
    /// The same with shared pages divided among those who share them, in bytes.
    pub pss: u64,
    /// Context switches of all its threads, both kinds.
    pub switches: u64,
}

/// Looks at a process. What cannot be read counts as nothing: it has ended, and the run says so elsewhere.
pub fn process(pid: u32) -> Sample {
    let mut sample = Sample::default();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let nanoseconds = read("schedstat").split(' ').next().and_then(|it| it.parse::<f64>().ok());
        sample.cpu_s += nanoseconds.unwrap_or_default() / 1e9;
        let status = read("status");
        sample.switches +=
            field(&status, "voluntary_ctxt_switches:") + field(&status, "nonvoluntary_ctxt_switches:");
    }
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    sample.rss = field(&rollup, "Rss:") * 1024;
    sample.pss = field(&rollup, "Pss:") * 1024;
    sample
}

/// Memory of all TCP sockets in the kernel, in bytes.
pub fn socket_memory() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let pages = tcp.rsplit_once("mem ").and_then(|(_, pages)| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * PAGE
}

/// Memory of the whole machine that is not to be had, in bytes: processes', the kernel's, sockets' themselves.
pub fn memory_in_use() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    (field(&text, "MemTotal:").saturating_sub(field(&text, "MemAvailable:"))) * 1024
}

/// The number behind a name that begins a line.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// CPU time of this process, in seconds.
pub fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Keeps this process on one core.
///
/// # Errors
/// When there is no such core.
pub fn stay_on(core: usize) -> Result<(), String> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| format!("core {core}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        // Enough work for the scheduler's clock to show it.
        let work: u64 = (0..50_000_000_u64).fold(0, |sum, it| std::hint::black_box(sum ^ it));
        std::hint::black_box(work);
        let sample = process(std::process::id());
        assert!(sample.cpu_s > 0.0 && own_cpu() > 0.0);
        assert!(sample.rss >= sample.pss && sample.pss > 100_000);
    }
}
