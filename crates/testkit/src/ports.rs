//! Free loopback ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The kernel takes source ports from 32768 on (by default). A server's port must lie below: while Redis is down its
/// gateways keep dialling that port, and a source port equal to the one dialled connects a socket to *itself*; the
/// restarted Redis could then not bind.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A loopback port nobody listens on now. No two calls in a process give the same one until the range is used up.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = RANGE.end - RANGE.start;
    // Processes that run at the same time begin far apart.
    let origin = (std::process::id().wrapping_mul(1_987) % u32::from(width)) as u16;
    for _ in 0..width {
        let port = RANGE.start + (origin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % width;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free loopback port in {RANGE:?}");
}
