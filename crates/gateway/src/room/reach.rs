//! Reading back from the log into the tail, once for everybody who comes back.
//!
//! After a restart every client resumes within a second or two, most of them from about the same place, and the tail
//! of a room that was not followed a moment ago is empty. So the first who asks for what the tail does not hold reads
//! it into the tail, and the others find it there: the log is read by room and not by client. Where that is too much for the
//! tail, it is found out once.

use std::{sync::atomic::Ordering, time::Instant};

use bus::{Bus, BusError, ReadFrom, Verdict};
use proto::Position;

use super::Room;
use crate::relay::frame_of;

/// Events that are asked of the log first, which tells how large they are.
pub const FIRST_PAGE: u32 = 16;

/// Events that are asked of the log at once, at most.
const LARGEST_PAGE: usize = 500;

/// Whether a position can be read on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The tail holds what follows.
    Tail,
    /// The log does, but it is too much for the tail.
    Log,
    /// It does not hold any more.
    Gone,
}

/// How many events have about so many bytes, if they are like `events` of `bytes`.
pub fn events_of(size: usize, events: usize, bytes: usize) -> usize {
    size * events / bytes.max(1)
}

impl Room {
    /// Makes the tail reach back to a position, if that holds and is near enough.
    pub async fn reach_back(&self, bus: &dyn Bus, to: &Position) -> Result<Reach, BusError> {
        if self.find(to).is_some() {
            return Ok(Reach::Tail);
        }
        let mut too_far = self.reaching.lock().await;
        if self.find(to).is_some() {
            return Ok(Reach::Tail);
        }
        if too_far.as_ref().is_some_and(|far| far.epoch == to.epoch && far.seq >= to.seq) {
            drop(too_far);
            // Whether it holds is all there is to find out, and those who ask at the same time find it out together.
            let page = bus.read(&self.name, ReadFrom::After(to.clone()), 1).await?;
            return Ok(if page.verdict == Verdict::Holds { Reach::Log } else { Reach::Gone });
        }
        // Half of the tail: the other half is for what comes now.
        let most = self.shared.tail.bytes / 2;
        let deletions = self.deletions();
        let (mut frames, mut bytes, mut at, mut limit) = (Vec::new(), 0, to.clone(), FIRST_PAGE);
        loop {
            let page = bus.read(&self.name, ReadFrom::After(at.clone()), limit).await?;
            if page.verdict != Verdict::Holds {
                return Ok(Reach::Gone);
            }
            let Some(last) = page.events.last() else { break };
            at.clone_from(&last.position);
            for event in &page.events {
                let frame = frame_of(event);
                bytes += frame.bytes.len();
                frames.push(frame);
            }
            if bytes > most {
                *too_far = Some(to.clone());
                return Ok(Reach::Log);
            }
            if at.seq >= self.with_tail(|tail| tail.before().seq) {
                break;
            }
            // As many as fit if they are like those so far, and one more to find out that there are too many.
            limit = (events_of(most - bytes, frames.len(), bytes) + 1).min(LARGEST_PAGE) as u32;
        }
        let mut tail = self.tail.lock();
        // What was read may hold what is gone since.
        if self.deletions() != deletions {
            return Ok(Reach::Log);
        }
        let before = tail.bytes();
        let joined = tail.reach_back(to.clone(), frames, Instant::now());
        self.shared.tail_bytes.fetch_add(tail.bytes() - before, Ordering::Relaxed);
        Ok(if joined { Reach::Tail } else { Reach::Log })
    }
}
