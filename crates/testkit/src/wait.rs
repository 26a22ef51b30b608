//! Waiting, with a deadline and a message that tells what was awaited.

use std::time::{Duration, Instant};

/// How long a test waits for anything that should happen at once: long enough for a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks of [`until`].
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until `look` gives a value, and returns it.
///
/// `look` says in its `Err` what it saw instead.
///
/// # Panics
/// After `deadline`, with `what` was awaited and what was seen last.
pub async fn until<T>(deadline: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        let seen = match tokio::time::timeout(deadline, look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => seen,
            Err(_) => "no answer".to_owned(),
        };
        assert!(began.elapsed() < deadline, "waited {deadline:?} for {what}, saw instead: {seen}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Awaits `future` for at most `deadline`.
///
/// # Panics
/// After `deadline`, naming `what` was awaited.
pub async fn within<T>(deadline: Duration, what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(deadline, future).await;
    outcome.unwrap_or_else(|_| panic!("waited {deadline:?} for {what}, in vain"))
}
