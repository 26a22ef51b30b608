//! What a panic may end: a fault of the program must cost one attempt, and not a room or a node.
//!
//! A task that waits for others' work ends with a guard that lets them go; one that must always run is started again.

use std::{future::Future, time::Duration};

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::metric;

/// How long a task that panicked rests, so that one that does so at once and always is no load.
const PAUSE: Duration = Duration::from_millis(500);

/// Cleans up, unless the work that it stands for was [finished](Self::finished).
pub(super) struct Unfinished<F: FnMut()> {
    what: &'static str,
    clean_up: Option<F>,
}

impl<F: FnMut()> Unfinished<F> {
    pub(super) fn new(what: &'static str, clean_up: F) -> Self {
        Self { what, clean_up: Some(clean_up) }
    }

    pub(super) fn finished(mut self) {
        self.clean_up = None;
    }
}

impl<F: FnMut()> Drop for Unfinished<F> {
    fn drop(&mut self) {
        if let Some(mut clean_up) = self.clean_up.take() {
            // It is dropped as well when the whole runtime ends.
            if std::thread::panicking() {
                tell(self.what);
            }
            clean_up();
        }
    }
}

/// Says that something panicked; what and where, the panic has said itself.
pub(super) fn tell(what: &'static str) {
    metric::panicked();
    tracing::error!(what, "the bus has a fault and goes on");
}

/// Runs a task, and again whenever it panics. The first one is made before this returns.
pub(super) fn keep_running<F>(
    tasks: &TaskTracker,
    what: &'static str,
    make: impl Fn() -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (first, own) = (make(), tasks.clone());
    tasks.spawn(async move {
        let mut run = own.spawn(first);
        while run.await.is_err_and(|error| error.is_panic()) {
            tell(what);
            sleep(PAUSE).await;
            run = own.spawn(make());
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn what_panics_is_started_again_and_what_ends_is_not() {
        let (tasks, starts) = (TaskTracker::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&starts);
        keep_running(&tasks, "test", move || {
            let turn = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(turn > 0, "the first one fails") }
        });
        tasks.close();
        tasks.wait().await;
        assert_eq!(starts.load(Ordering::Relaxed), 2);
    }
}
