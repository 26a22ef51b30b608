//! One lane per room: appends leave in the order they came, one batch at a time.
//!
//! What waits while a batch is under way is the next batch, so a busy room costs one call for many events. A room
//! without appends owns nothing: its lane begins with the first append and ends when the last is answered.

use std::{collections::VecDeque, future::Future, sync::Arc};

use dashmap::{DashMap, mapref::entry::Entry};
use proto::RoomName;
use tokio::sync::oneshot;

use super::{Core, panic::Unfinished};
use crate::{Append, Appended, Appending, BusError, Effect, follow::Observation};

/// Events in one call of the function: at 64 it gains nothing more (81k/s against 70k/s at 16).
const BATCH_EVENTS: usize = 64;

/// Bytes of bodies in one call; one event may be more.
const BATCH_BYTES: usize = 256 * 1024;

/// Appends that may wait in a lane.
const WAITING_EVENTS: usize = 4096;

/// Bytes of bodies that may wait in a lane.
const WAITING_BYTES: usize = 8 * 1024 * 1024;

type Answer = oneshot::Sender<Result<Appended, BusError>>;

#[derive(Default)]
pub(super) struct Lanes(DashMap<RoomName, Lane>);

#[derive(Default)]
struct Lane {
    waiting: VecDeque<(Append, Answer)>,
    bytes: usize,
}

impl Lanes {
    /// Whether every append has its answer.
    pub(super) fn are_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts an append at the end of its lane. The second value says whether the lane is new and must be driven.
    fn push(&self, room: &RoomName, append: Append) -> (Appending, bool) {
        let (answer, appending) = oneshot::channel();
        let new = match self.0.entry(room.clone()) {
            Entry::Vacant(entry) => {
                let bytes = append.body.len();
                entry.insert(Lane { waiting: VecDeque::from([(append, answer)]), bytes });
                true
            }
            Entry::Occupied(mut entry) => {
                let lane = entry.get_mut();
                let full = lane.waiting.len() >= WAITING_EVENTS
                    || lane.bytes.saturating_add(append.body.len()) > WAITING_BYTES;
                if full {
                    // The receiver is here, so this can't fail.
                    let _ =
                        answer.send(Err(BusError::unavailable("too much waits to be appended to this room")));
                } else {
                    lane.bytes += append.body.len();
                    lane.waiting.push_back((append, answer));
                }
                false
            }
        };
        (Appending(appending), new)
    }

    /// Ends a lane that nobody drives any more.
    fn abandon(&self, room: &RoomName) {
        let lane = self.0.remove(room);
        for (_, answer) in lane.into_iter().flat_map(|(_, lane)| lane.waiting) {
            // Whoever asked may have gone.
            let _ = answer.send(Err(BusError::unavailable("the appends before it failed")));
        }
    }

    /// The next batch; none when nothing waits, and the lane has ended.
    fn next(&self, room: &RoomName) -> Option<(Vec<Append>, Vec<Answer>)> {
        let Entry::Occupied(mut entry) = self.0.entry(room.clone()) else { return None };
        let lane = entry.get_mut();
        let (mut appends, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((append, _)) = lane.waiting.front() {
            let more = bytes + append.body.len();
            // What has a target goes by itself, to another function.
            let alone = append.effect != Effect::None;
            if appends.len() >= BATCH_EVENTS || ((more > BATCH_BYTES || alone) && !appends.is_empty()) {
                break;
            }
            bytes = more;
            if let Some((append, answer)) = lane.waiting.pop_front() {
                appends.push(append);
                answers.push(answer);
            }
            if alone {
                break;
            }
        }
        lane.bytes -= bytes;
        if appends.is_empty() {
            entry.remove();
            return None;
        }
        Some((appends, answers))
    }
}

/// Appends through the room's lane.
pub(super) fn append(core: &Arc<Core>, room: &RoomName, append: Append) -> Appending {
    let (appending, new) = core.lanes.push(room, append);
    if new {
        let (core, room) = (Arc::clone(core), room.clone());
        tokio::spawn(async move { guarded(&core.lanes, &room, drive(&core, &room)).await });
    }
    appending
}

/// Drives a lane. One whose driver panics ends, and whoever waits in it is told; the next append begins another.
async fn guarded(lanes: &Lanes, room: &RoomName, drive: impl Future<Output = ()>) {
    let unfinished = Unfinished::new("lane", || lanes.abandon(room));
    drive.await;
    unfinished.finished();
}

async fn drive(core: &Arc<Core>, room: &RoomName) {
    while let Some((appends, answers)) = core.lanes.next(room) {
        // As it was before the request: a fork since then must be seen.
        let followed = core.rooms.get(room.as_str());
        let tail = followed.as_ref().map(|followed| followed.tail());
        let result = core.link.append(room, &appends).await;
        match result {
            Ok(batch) => {
                let newest = batch.appended.iter().flatten().rev().find(|appended| !appended.duplicate);
                if let (Some(followed), Some(tail), Some(newest)) = (&followed, tail, newest) {
                    let observation =
                        Observation { head: Some(&newest.position), least: tail + 1, eager: false };
                    core.observe(followed, &observation);
                }
                for (answer, appended) in answers.into_iter().zip(batch.appended) {
                    // Whoever asked may have gone; the event is in the log all the same.
                    let _ = answer.send(appended);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Key;

    fn append(bytes: usize) -> Append {
        Append::message(Bytes::from(vec![b'x'; bytes]), Key::from_bytes(Bytes::from_static(b"k")))
    }

    #[test]
    fn what_waits_leaves_in_batches_and_the_lane_ends() {
        let (lanes, room) = (Lanes::default(), RoomName::parse("r").unwrap());
        let (_first, new) = lanes.push(&room, append(1));
        assert!(new);
        let waiting: Vec<_> = (0..BATCH_EVENTS).map(|_| lanes.push(&room, append(1))).collect();
        assert!(waiting.iter().all(|(_, new)| !new));
        assert_eq!(lanes.next(&room).unwrap().0.len(), BATCH_EVENTS);
        assert_eq!(lanes.next(&room).unwrap().0.len(), 1);
        assert!(lanes.next(&room).is_none());
        assert!(lanes.are_empty());
    }

    #[test]
    fn batches_and_lanes_are_bounded_in_bytes() {
        let (lanes, room) = (Lanes::default(), RoomName::parse("r").unwrap());
        let _large = lanes.push(&room, append(BATCH_BYTES + 1));
        let _small = lanes.push(&room, append(1));
        assert_eq!(lanes.next(&room).unwrap().0.len(), 1, "one event may be more than a batch");
        assert_eq!(lanes.next(&room).unwrap().0.len(), 1);

        let kept: Vec<_> =
            (0..WAITING_BYTES / BATCH_BYTES).map(|_| lanes.push(&room, append(BATCH_BYTES))).collect();
        let (mut refused, _) = lanes.push(&room, append(BATCH_BYTES));
        assert!(matches!(refused.0.try_recv(), Ok(Err(BusError::Unavailable { .. }))));
        drop(kept);
    }

    /// A room whose lane died used to take appends for ever, and never to answer.
    #[tokio::test]
    async fn a_lane_that_panics_answers_and_the_next_append_begins_another() {
        let (lanes, room) = (Arc::new(Lanes::default()), RoomName::parse("r").unwrap());
        let (first, _) = lanes.push(&room, append(1));
        let (own, own_room) = (Arc::clone(&lanes), room.clone());
        let driver = tokio::spawn(async move {
            let drive = async {
                let _batch = own.next(&own_room);
                let (second, new) = own.push(&own_room, append(1));
                assert!(!new, "{second:?}");
                panic!("a fault");
            };
            guarded(&own, &own_room, drive).await;
        });
        assert!(driver.await.is_err());
        assert!(matches!(first.await, Err(BusError::Unavailable { .. })));
        assert!(lanes.are_empty());
        let (_third, new) = lanes.push(&room, append(1));
        assert!(new, "somebody drives it");
    }
}
