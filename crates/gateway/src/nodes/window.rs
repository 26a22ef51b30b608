//! Percentiles of the last seconds, from buckets that only grow.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::Latency;

/// How many looks back a percentile reaches: at one a second, ten seconds.
const LOOKS: usize = 10;

/// The buckets as they were at the last looks.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<(Instant, Vec<(f64, u64)>)>);

impl Window {
    /// Takes in the buckets as they are now, and tells of what came to them since the oldest look that is kept.
    pub(super) fn latency(&mut self, buckets: Vec<(f64, u64)>, now: Instant) -> Option<Latency> {
        self.0.push_back((now, buckets));
        if self.0.len() > LOOKS + 1 {
            self.0.pop_front();
        }
        let ((then, before), (_, after)) = (self.0.front()?, self.0.back()?);
        let counts =
            after.iter().zip(before).map(|((bound, now), (_, then))| (*bound, now.saturating_sub(*then)));
        latency(&counts.collect::<Vec<_>>(), now - *then)
    }
}

/// The percentiles of cumulated buckets; none of empty ones.
fn latency(counts: &[(f64, u64)], window: Duration) -> Option<Latency> {
    let count = counts.last()?.1;
    let at = |part| Some(Duration::from_secs_f64(quantile(counts, part)?).as_micros() as u64);
    let latency = Latency {
        p50_us: at(0.5)?,
        p99_us: at(0.99)?,
        p999_us: at(0.999)?,
        count,
        window_ms: window.as_millis() as u64,
    };
    (count > 0).then_some(latency)
}

/// As Prometheus reckons it: spread evenly between the bounds of its bucket. What lies past the last bound is told as that.
fn quantile(counts: &[(f64, u64)], part: f64) -> Option<f64> {
    let rank = part * counts.last()?.1 as f64;
    let index = counts.iter().position(|(_, upto)| *upto as f64 >= rank)?;
    let (low, below) = index.checked_sub(1).map_or((0.0, 0), |before| counts[before]);
    let (high, upto) = counts[index];
    if high.is_infinite() || upto == below {
        return Some(low);
    }
    Some(low + (high - low) * (rank - below as f64) / (upto - below) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 4] = [0.001, 0.01, 0.1, f64::INFINITY];

    fn buckets(counts: [u64; 4]) -> Vec<(f64, u64)> {
        let mut upto = 0;
        BOUNDS
            .into_iter()
            .zip(counts)
            .map(|(bound, count)| {
                upto += count;
                (bound, upto)
            })
            .collect()
    }

    #[test]
    fn percentiles_lie_in_their_buckets() {
        let Latency { p50_us, p99_us, p999_us, count, .. } =
            latency(&buckets([990, 0, 9, 1]), Duration::from_secs(10)).unwrap();
        assert_eq!((p50_us, count), (505, 1000));
        assert_eq!(p99_us, 1000, "the last of the first bucket");
        assert_eq!(p999_us, 100_000, "the last of the third");
        let all_late = latency(&buckets([0, 0, 0, 5]), Duration::from_secs(10)).unwrap();
        assert_eq!(all_late.p50_us, 100_000, "later than the last bound is told as the last bound");
        assert_eq!(latency(&buckets([0; 4]), Duration::from_secs(10)), None);
        assert_eq!(latency(&[], Duration::ZERO), None);
    }

    #[test]
    fn only_the_last_seconds_count() {
        let (mut window, start) = (Window::default(), Instant::now());
        let mut look =
            |second: u64, counts| window.latency(buckets(counts), start + Duration::from_secs(second));
        assert_eq!(look(0, [100, 0, 0, 0]), None, "what was there before the first look is of any age");
        let slow = look(1, [100, 0, 10, 0]).unwrap();
        assert_eq!((slow.count, slow.window_ms), (10, 1000));
        assert!((10_000..=100_000).contains(&slow.p50_us), "{slow:?}");
        for second in 2..=10 {
            assert_eq!(look(second, [100, 0, 10, 0]).map(|latency| latency.count), Some(10));
        }
        assert_eq!(look(11, [100, 0, 10, 0]), None, "it is forgotten");
        let quick = look(12, [101, 0, 10, 0]).unwrap();
        assert_eq!((quick.count, quick.window_ms), (1, 10_000));
        assert!(quick.p999_us <= 1000, "{quick:?}");
    }
}
