//! Outcomes for people.

use crate::run::Outcome;

/// What stands above the lines.
pub const HEAD: &str = "   rate/s  deliveries/s   of expected    p50 ms    p99 ms  p99.9 ms  cpu µs/delivery  loader cpu  closed  wrong";

/// An outcome on a line.
pub fn line(outcome: &Outcome) -> String {
    let counts = &outcome.counts;
    let percent =
        if counts.expected == 0 { 100.0 } else { counts.delivered as f64 * 100.0 / counts.expected as f64 };
    let ms = |us: u64| us as f64 / 1000.0;
    format!(
        "{:>9.0} {:>13.0} {:>12.2}% {:>9.2} {:>9.2} {:>9.2} {:>16.3} {:>10.0}% {:>7} {:>6}",
        outcome.rate,
        outcome.per_second,
        percent,
        ms(outcome.latency.p50),
        ms(outcome.latency.p99),
        ms(outcome.latency.p999),
        outcome.cpu_us,
        counts.cpu_s * 100.0 / outcome.seconds,
        counts.closed,
        counts.wrong(),
    )
}
