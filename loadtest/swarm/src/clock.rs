//! The system's monotonic clock: the same in every process of this machine.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the system started.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // Neither is negative on this clock.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
