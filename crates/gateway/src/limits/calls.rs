//! How fast the HTTP API may be called.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use proto::UserId;
use tokio::time::Instant;

use super::Bucket;
use crate::config::LimitsConfig;

/// Past so many callers those are forgotten who have not called for a while.
const CALLERS: usize = 10_000;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// A server, by the number of its API key.
    Server(usize),
    /// Whoever sits at a machine in development mode: a server without a key.
    Here,
    /// A user.
    User(UserId),
}

/// How fast each caller may go on, on this node.
#[derive(Debug, Default)]
pub struct Calls {
    buckets: Mutex<HashMap<Who, Bucket>>,
}

impl Calls {
    /// Lets a call pass by the limits of now, or says when it may.
    ///
    /// # Errors
    /// When the caller is too fast.
    pub fn take(&self, who: &Who, limits: &LimitsConfig, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= CALLERS && !buckets.contains_key(who) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let rate = match who {
            Who::Server(_) | Who::Here => limits.server_calls_per_second,
            Who::User(_) => limits.calls_per_second,
        };
        let burst = rate.saturating_mul(2);
        let bucket = buckets.entry(who.clone()).or_insert_with(|| Bucket::new(rate, burst, now));
        bucket.adapt(rate, burst, now);
        bucket.take(1, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_its_own_and_the_idle_are_forgotten() {
        let limits =
            LimitsConfig { calls_per_second: 1, server_calls_per_second: 2, ..LimitsConfig::default() };
        let (calls, start) = (Calls::default(), Instant::now());
        let user = |number: usize| Who::User(UserId::parse(&number.to_string()).unwrap());
        let burst = |who: &Who| (0..10).take_while(|_| calls.take(who, &limits, start).is_ok()).count();
        assert_eq!((burst(&user(0)), burst(&user(1)), burst(&Who::Server(0))), (2, 2, 4));
        assert!(calls.take(&user(0), &limits, start).is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert!((2..CALLERS + 10).all(|number| calls.take(&user(number), &limits, start).is_ok()));
        assert!(calls.take(&user(0), &limits, start + Duration::from_secs(1)).is_ok());
        let later = start + Duration::from_secs(9);
        assert!((0..10).all(|number| calls.take(&user(2 * CALLERS + number), &limits, later).is_ok()));
        assert!(calls.buckets.lock().len() < 20);

        let wider = LimitsConfig { calls_per_second: 2, ..limits };
        assert_eq!((0..10).take_while(|_| calls.take(&user(2 * CALLERS), &wider, later).is_ok()).count(), 4);
    }
}
