//! The line in the log with which a connection ends: what became of it, and what went through it.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use proto::{Close, UserId};
use tokio::time::Instant;

use super::Session;
use crate::{connection::End, limits::Bucket, share::Share};

/// Lines a second, and at once: whoever connects again and again must not fill the disk.
const LINES_PER_SECOND: u32 = 200;
const LINES_AT_ONCE: u32 = 2_000;

/// Which of this node's connections have their end told.
pub struct Ends {
    share: Share,
    pace: Mutex<Bucket>,
    left_out: AtomicU64,
}

/// What came through a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    /// Frames of any kind.
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Default for Ends {
    fn default() -> Self {
        let pace = Mutex::new(Bucket::new(LINES_PER_SECOND, LINES_AT_ONCE, Instant::now()));
        Self { share: Share::default(), pace, left_out: AtomicU64::new(0) }
    }
}

impl Ends {
    /// Whether there is a line for this one: for a `share` of those that end as they should, and for all others. Gives how
    /// many were left out since the last line, because there were too many of them at once.
    fn admit(&self, as_it_should: bool, share: f64, now: Instant) -> Option<u64> {
        if as_it_should && !self.share.picks(share) {
            return None;
        }
        if self.pace.lock().take(1, now).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }
}

/// Whether it is an end that nobody need look into: the client's own, or a node's that was told to end. A stream's client
/// has no word for going, and just goes.
fn as_it_should(end: End, is_stream: bool) -> bool {
    match end {
        End::Close(close, _) => matches!(close, Close::Bye | Close::Restart),
        End::Client(code) => matches!(code, None | Some(1000 | 1001)),
        End::Lost => is_stream,
    }
}

impl Session {
    /// Tells of the end of the connection, which was in so many rooms.
    pub(super) fn tell_the_end(&self, end: End, rooms: usize, received: Received) {
        let connection = &self.connection;
        let as_it_should = as_it_should(end, connection.is_stream());
        let share = self.app.config.now().log_connections;
        let Some(left_out) = self.app.ends.admit(as_it_should, share, Instant::now()) else { return };
        let (code, reason) = match end {
            End::Close(close, _) => (close.code(), close.reason()),
            // What RFC 6455, 7.1.5, calls a close without a code, and none at all.
            End::Client(code) => (code.unwrap_or(1005), "client"),
            End::Lost => (1006, "lost"),
        };
        let user = self.identity().map(|identity| identity.user.clone());
        let sent = connection.sent();
        tracing::info!(
            node = self.terms.node,
            session = self.app.session_name(connection.id),
            user = user.as_ref().map(UserId::as_str),
            address = %self.address,
            transport = if connection.is_stream() { "sse" } else { "ws" },
            duration_ms = connection.age().as_millis() as u64,
            frames_in = received.frames,
            bytes_in = received.bytes,
            frames_out = sent.frames,
            bytes_out = sent.bytes,
            rooms,
            code,
            reason,
            left_out = Some(left_out).filter(|count| *count > 0),
            "connection ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ends_that_are_wrong_are_told_whatever_the_share() {
        let (ends, now) = (Ends::default(), Instant::now());
        assert_eq!((0..100).filter(|_| ends.admit(true, 0.1, now).is_some()).count(), 10);
        assert_eq!((0..100).filter(|_| ends.admit(true, 0.0, now).is_some()).count(), 0);
        assert_eq!((0..100).filter(|_| ends.admit(false, 0.0, now).is_some()).count(), 100);
    }

    #[test]
    fn a_flood_of_ends_is_counted_and_not_told() {
        let (ends, now) = (Ends::default(), Instant::now());
        let told = (0..LINES_AT_ONCE + 50).filter(|_| ends.admit(false, 1.0, now) == Some(0)).count();
        assert_eq!(told, LINES_AT_ONCE as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!(ends.admit(false, 1.0, later), Some(50));
        assert_eq!(ends.admit(false, 1.0, later), Some(0));
    }

    #[test]
    fn who_goes_by_itself_goes_as_it_should() {
        for end in [End::Client(None), End::Client(Some(1001)), End::Close(Close::Restart, None)] {
            assert!(as_it_should(end, false), "{end:?}");
        }
        for end in
            [End::Client(Some(1002)), End::Client(Some(4000)), End::Close(Close::Kicked, None), End::Lost]
        {
            assert!(!as_it_should(end, false), "{end:?}");
        }
        assert!(as_it_should(End::Lost, true));
    }
}
