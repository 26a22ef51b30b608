//! What only the connection's own task writes: a blocked socket, and events that the tails no longer hold.

use std::{collections::VecDeque, time::Duration};

use bus::{ReadFrom, Verdict};
use proto::{Close, server::ResetReason};
use tokio::time::{self, Instant};

use super::Session;
use crate::{
    connection::{End, membership::ReadOn},
    limits::Bucket,
    relay::{frame_of, frame_of_reset},
    room::{FIRST_PAGE, events_of},
};

/// Events in a page of the log that is read for one lagging reader, at most; it holds no more than that in memory.
const LARGEST_PAGE: usize = 64;

/// A page has no more events than are of about so many bytes.
const PAGE_BYTES: usize = 128 * 1024;

/// The wait after a read that failed, or that found nothing the tail knows of yet.
const RETRY: Duration = Duration::from_millis(50);

/// How often a blocked socket is tried before its client is given up.
const NUDGES: u32 = 4;

impl Session {
    /// Writes on where the rooms' flushers could not, for as long as the connection lasts.
    pub(super) async fn write_on(&self) {
        let replay_rate = self.terms.limits.replay_bytes_per_second;
        let mut replayed = Bucket::new(replay_rate, replay_rate, Instant::now());
        let mut page = FIRST_PAGE;
        while self.connection.ending().is_none() {
            if self.connection.is_blocked() {
                Box::pin(self.wait_for_socket()).await;
            } else if let Some(read) = self.connection.read_on() {
                Box::pin(self.read_on(read, &mut page, &mut replayed)).await;
            } else {
                self.connection.wait_for_work().await;
            }
        }
    }

    /// Waits until the socket takes more; a client that takes nothing at all for too long is closed.
    async fn wait_for_socket(&self) {
        let patience = Duration::from_millis(self.terms.limits.slow_consumer_ms);
        let mut deadline = Instant::now() + patience;
        while self.connection.is_blocked() && self.connection.ending().is_none() {
            let nudge_at = Instant::now() + patience / NUDGES;
            tokio::select! {
                opened = self.connection.unblock() => {
                    if opened.is_err() {
                        self.connection.end(End::Lost);
                    }
                    return;
                }
                () = self.connection.wait_for_work() => {}
                () = time::sleep_until(nudge_at.min(deadline)) => {
                    if self.connection.nudge() {
                        deadline = Instant::now() + patience;
                    } else if Instant::now() >= deadline {
                        self.connection.end(End::Close(Close::SlowConsumer, None));
                    }
                }
            }
        }
    }

    /// Reads a page of the log, of `limit` events, for a membership that its room's tail no longer reaches back to. By their
    /// size it sets the limit of the next.
    async fn read_on(&self, read: ReadOn, limit: &mut u32, replayed: &mut Bucket) {
        let from = ReadFrom::After(read.from.clone());
        let Ok(page) = self.app.bus.read(&read.room.name, from, *limit).await else {
            return self.pause(RETRY * 4).await;
        };
        let mut frames = VecDeque::new();
        match page.verdict {
            Verdict::Holds => {}
            Verdict::Reset { reason: ResetReason::Trimmed, .. } => {
                // It fell behind the log. Its position is still what it says: a resume will be told the rest.
                return self.connection.end(End::Close(Close::SlowConsumer, None));
            }
            Verdict::Reset { to, reason } => frames.push_back(frame_of_reset(&read.room, to, reason)),
        }
        frames.extend(page.events.iter().map(frame_of));
        if frames.is_empty() {
            // Nothing to read, and yet the tail does not know the place: it goes by another name there, or the
            // tail has yet to hear what the log knows.
            self.connection.replay(&read, frames, Some(page.head));
            return self.pause(RETRY).await;
        }
        let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        *limit = events_of(PAGE_BYTES, frames.len(), bytes).clamp(1, LARGEST_PAGE) as u32;
        while let Err(wait) = replayed.take(bytes as u32, Instant::now()) {
            if self.connection.ending().is_some() {
                return;
            }
            self.pause(wait).await;
        }
        self.connection.replay(&read, frames, None);
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = time::sleep(wait) => {}
            () = self.connection.wait_for_work() => {}
        }
    }
}
