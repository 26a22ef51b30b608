//! The rooms that this node follows.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use dashmap::{DashMap, mapref::entry::Entry};
use parking_lot::Mutex;
use proto::{Epoch, Position, RoomName, server::ResetReason};
use tokio::time::Instant;

use super::{
    metric, panic,
    wire::{self, Payload},
};
use crate::{
    Follower, LogEvent,
    epoch::Head,
    follow::{Observation, Outcome, Slice, Step, Tracker},
};

/// Every followed room by its name, as text: that is how channels name it, for every event.
#[derive(Default)]
pub(super) struct Rooms {
    map: DashMap<Box<str>, Arc<Followed>>,
    next: AtomicU64,
}

/// One followed room.
pub(super) struct Followed {
    pub(super) name: RoomName,
    id: u64,
    /// The follower is called with this lock held, so its calls never overlap.
    state: Mutex<State>,
}

struct State {
    tracker: Tracker,
    /// None when the following has ended: nothing is handed on any more.
    follower: Option<Arc<dyn Follower>>,
    outcome: Outcome,
    /// What the follower must be told because it panicked when it was handed something.
    owed: Option<(Position, ResetReason)>,
    /// Whether a task reads the log for it.
    filling: bool,
    /// The tail when a probe last came by.
    visited: Option<u64>,
    opened: Instant,
}

/// What a room needs done for it.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// A task must be started that reads the log.
    pub(super) fill: bool,
    /// The probe must come by.
    pub(super) visit: bool,
}

impl Rooms {
    /// Registers a following and ends the one before, if there was one. Events that come from now on are held.
    pub(super) fn insert(&self, name: &RoomName, follower: Arc<dyn Follower>) -> Arc<Followed> {
        let followed = Arc::new(Followed {
            name: name.clone(),
            id: self.next.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(State {
                tracker: Tracker::new(),
                follower: Some(follower),
                outcome: Outcome::default(),
                owed: None,
                filling: false,
                visited: None,
                opened: Instant::now(),
            }),
        });
        if let Some(before) = self.map.insert(name.as_str().into(), Arc::clone(&followed)) {
            before.end();
        }
        followed
    }

    /// Ends a following; whether the room is now followed by nobody on this node.
    pub(super) fn remove(&self, followed: &Followed) -> bool {
        followed.end();
        match self.map.entry(followed.name.as_str().into()) {
            Entry::Occupied(entry) if entry.get().id == followed.id => {
                entry.remove();
                true
            }
            Entry::Occupied(_) => false,
            Entry::Vacant(_) => true,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Followed>> {
        self.map.get(name).map(|followed| Arc::clone(&followed))
    }

    pub(super) fn contains(&self, name: &RoomName) -> bool {
        self.map.contains_key(name.as_str())
    }

    pub(super) fn names(&self) -> Vec<RoomName> {
        self.map.iter().map(|entry| entry.name.clone()).collect()
    }
}

impl Followed {
    /// The room is followed from `head` on. None when another following has taken its place meanwhile.
    pub(super) fn start(&self, head: Head) -> Option<Need> {
        let mut started = false;
        let need = self.with(|state| {
            let Some(follower) = &state.follower else { return };
            follower.start(head.position());
            state.opened = Instant::now();
            state.tracker.started(head, &mut state.outcome);
            started = true;
        });
        started.then_some(need)
    }

    /// A payload came over the room's channel.
    pub(super) fn payload(&self, payload: &[u8]) -> Need {
        match wire::read_payload(payload) {
            Some(Payload::Event { epoch, seq, entry }) => {
                let Some((key, body)) = wire::read_entry(entry) else { return malformed() };
                self.with(|state| {
                    let known = state.tracker.epoch();
                    let epoch = if known.as_str() == epoch { Ok(known.clone()) } else { Epoch::parse(epoch) };
                    match epoch {
                        Ok(epoch) => {
                            let (key, trace) = wire::split_trace(key);
                            let event = LogEvent { position: Position { epoch, seq }, key, body, trace };
                            state.tracker.event(event, &mut state.outcome);
                        }
                        Err(_) => metric::malformed(1),
                    }
                })
            }
            Some(Payload::Ephemeral(frame)) => {
                let frame = Bytes::copy_from_slice(frame);
                self.with(|state| {
                    if let Some(follower) = &state.follower {
                        // It may be lost.
                        caught("follower", || follower.ephemeral(frame));
                    }
                })
            }
            Some(Payload::Presence { version, frame }) => {
                let frame = Bytes::copy_from_slice(frame);
                self.with(|state| {
                    if let Some(follower) = &state.follower {
                        caught("follower", || follower.presence(version, frame));
                    }
                })
            }
            _ => malformed(),
        }
    }

    /// Somebody saw the head.
    pub(super) fn observe(&self, observation: &Observation<'_>) -> Need {
        self.with(|state| state.tracker.observe(observation))
    }

    /// A probe's time has passed.
    pub(super) fn tick(&self) -> Need {
        self.with(|state| state.tracker.tick())
    }

    /// The tail, if nothing has come since this was asked last: a room that talks needs no probe.
    pub(super) fn quiet_tail(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let tail = state.tracker.tail();
        (state.visited.replace(tail) == Some(tail)).then_some(tail)
    }

    /// The number of the last event that was handed on.
    pub(super) fn tail(&self) -> u64 {
        self.state.lock().tracker.tail()
    }

    /// When its head was renewed.
    pub(super) fn opened(&self) -> Instant {
        self.state.lock().opened
    }

    pub(super) fn renewed(&self) {
        self.state.lock().opened = Instant::now();
    }

    /// Where to read from; none when nothing is to be read, and the task that fills may end.
    pub(super) fn begin_read(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let after = if state.follower.is_some() { state.tracker.begin_read() } else { None };
        state.filling = after.is_some();
        after
    }

    pub(super) fn page(&self, slice: Slice) {
        // The task that gave the page goes on, so it needs no other.
        let need = self.with(|state| {
            // It has been, even if looking at it fails.
            let taken = caught("tracker", || state.tracker.page(slice, &mut state.outcome));
            if taken.is_none() {
                state.tracker.read_failed();
            }
        });
        debug_assert!(!need.fill);
    }

    /// The log could not be read, and the task that tried ends.
    pub(super) fn read_failed(&self) {
        let mut state = self.state.lock();
        state.tracker.read_failed();
        state.filling = false;
    }

    /// Whether more is to be read, and the follower has yet to hand on what it was given.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state.lock();
        state.tracker.wants_read() && state.follower.as_ref().is_some_and(|follower| follower.is_busy())
    }

    fn end(&self) {
        let follower = self.state.lock().follower.take();
        // A follower may do anything when it is dropped.
        drop(follower);
    }

    /// Does something with the tracker and hands on what came of it. Neither a tracker nor a follower that panics
    /// may end the caller, who serves other rooms too.
    fn with(&self, act: impl FnOnce(&mut State)) -> Need {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if caught("tracker", || act(state)).is_none() {
            state.tracker.distrust();
        }
        state.hand_on();
        if state.follower.is_none() {
            return Need::default();
        }
        let fill = state.tracker.wants_read() && !state.filling;
        state.filling |= fill;
        Need { fill, visit: state.tracker.is_suspicious() }
    }
}

impl State {
    /// Tells the follower what the tracker found.
    ///
    /// One that panics may or may not have what it was handed. So it is told, as of a part of the log that is gone:
    /// at once, and as long as that panics too, again before anything else.
    fn hand_on(&mut self) {
        let Outcome { steps, filled, stale } = &mut self.outcome;
        if *filled > 0 {
            metric::filled(std::mem::take(filled));
        }
        if *stale > 0 {
            metric::stale(std::mem::take(stale));
        }
        let mut steps = steps.drain(..);
        let Some(follower) = &self.follower else { return };
        loop {
            if let Some((to, reason)) = self.owed.take()
                && caught("follower", || follower.reset(to.clone(), reason)).is_none()
            {
                // It will be told later, and then of everything until then.
                let last = steps.next_back().map_or(to, |step| step.position().clone());
                self.owed = Some((last, reason));
                return;
            }
            let Some(step) = steps.next() else { return };
            let (to, reason) = match &step {
                Step::Event(event) => (event.position.clone(), ResetReason::Trimmed),
                Step::Reset(to, reason) => {
                    metric::reset(*reason);
                    (to.clone(), *reason)
                }
            };
            let handed = caught("follower", || match step {
                Step::Event(event) => follower.event(event),
                Step::Reset(to, reason) => follower.reset(to, reason),
            });
            if handed.is_none() {
                self.owed = Some((to, reason));
            }
        }
    }
}

/// Does something that may panic; none when it did.
fn caught(what: &'static str, act: impl FnOnce()) -> Option<()> {
    let done = catch_unwind(AssertUnwindSafe(act)).ok();
    if done.is_none() {
        panic::tell(what);
    }
    done
}

fn malformed() -> Need {
    metric::malformed(1);
    Need::default()
}

#[cfg(test)]
pub(super) mod tests;
