//! A token bucket.

use std::time::Duration;

use tokio::time::Instant;

/// Lets `rate` units a second through in the long run, and `burst` at once.
///
/// One is part of every connection, so all it holds is the moment at which it will be full again: what is
/// missing until then is what was taken.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    full_at: Instant,
    rate: u32,
    burst: u32,
}

impl Bucket {
    /// A full bucket. Both numbers are at least 1.
    pub fn new(rate: u32, burst: u32, now: Instant) -> Self {
        Self { full_at: now, rate: rate.max(1), burst: burst.max(1) }
    }

    /// Takes `n` units, or says how long to wait before they can be taken.
    ///
    /// More than the bucket holds can be taken when it is full; it then takes accordingly longer to fill
    /// again.
    pub fn take(&mut self, n: u32, now: Instant) -> Result<(), Duration> {
        let missing = self.full_at.saturating_duration_since(now);
        let room = self.time_for(self.burst - n.min(self.burst));
        let wait = missing.saturating_sub(room);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = now + missing + self.time_for(n);
        Ok(())
    }

    /// Begins anew, full, if it was for another rate or burst: the configuration has changed.
    pub fn adapt(&mut self, rate: u32, burst: u32, now: Instant) {
        if (self.rate, self.burst) != (rate.max(1), burst.max(1)) {
            *self = Self::new(rate, burst, now);
        }
    }

    /// Whether nothing is missing.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// How long `n` units take to come back.
    fn time_for(&self, n: u32) -> Duration {
        Duration::from_nanos(u64::from(n) * 1_000_000_000 / u64::from(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Bucket>(), 24);
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(1, start), Ok(()));
        }
        assert_eq!(bucket.take(1, start), Err(ms(100)));
        assert_eq!(bucket.take(1, start + ms(99)), Err(ms(1)));
        assert_eq!(bucket.take(1, start + ms(100)), Ok(()));
        assert_eq!(bucket.take(2, start + ms(200)), Err(ms(100)));
        assert_eq!(bucket.take(2, start + ms(300)), Ok(()));
    }

    #[test]
    fn rest_fills_it_but_not_above_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3, start);
        let later = start + Duration::from_hours(1);
        for _ in 0..3 {
            assert_eq!(bucket.take(1, later), Ok(()));
        }
        assert_eq!(bucket.take(1, later), Err(ms(100)));
    }

    #[test]
    fn more_than_it_holds_goes_through_when_it_is_full_and_is_paid_for_afterwards() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, 100, start);
        assert_eq!(bucket.take(500, start), Ok(()));
        assert_eq!(bucket.take(1, start), Err(ms(401)));
        assert_eq!(bucket.take(500, start), Err(ms(500)));
        assert_eq!(bucket.take(500, start + ms(500)), Ok(()));
    }

    #[test]
    fn the_clock_may_stand_still() {
        let now = Instant::now();
        let mut bucket = Bucket::new(u32::MAX, u32::MAX, now);
        assert_eq!(bucket.take(u32::MAX, now), Ok(()));
        assert!(bucket.take(u32::MAX, now).is_err());
    }
}
