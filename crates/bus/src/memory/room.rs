//! A room's log in memory, and who follows it.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::{
    Epoch, Position, RoomName, UserId,
    event::redact,
    server::{self, Marker, ReadMarkers},
};
use tokio::time::{Duration, Instant};

use super::{here::Here, ids::Ids, marks::AllMarks};
use crate::{
    Append, Appended, BusError, Effect, Follower, LogEvent, MOST_EVENTS, Marked, Mute, NodeId, Page,
    PresenceUpdate, ReadFrom, Retention, RoomState, Told, Verdict,
    epoch::{self, Head, Lineage},
};

/// A log in memory ends with its only server, so it has one generation.
const GENERATION: &str = "0";

/// How a message's body begins.
const MESSAGE: &[u8] = b"\"type\":\"message\"";

/// A following: a later one of the same node replaces it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FollowerId {
    pub(super) node: u64,
    pub(super) follow: u64,
}

pub(super) struct Room {
    base: Arc<str>,
    epoch: Epoch,
    /// Followers are called with this lock held: that makes the order of appends the order of deliveries.
    state: Mutex<State>,
}

struct State {
    retention: Retention,
    seq: u64,
    /// The newest events; the last one has number `seq`.
    log: VecDeque<LogEvent>,
    ids: Ids,
    marks: AllMarks,
    here: Here,
    followers: Vec<(FollowerId, Arc<dyn Follower>)>,
    last_append: Instant,
    last_use: Instant,
}

impl Room {
    pub(super) fn new(retention: Retention) -> Self {
        let base: Arc<str> = epoch::random_id().into();
        let now = Instant::now();
        let state = State {
            retention,
            seq: 0,
            log: VecDeque::new(),
            ids: Ids::new(now),
            marks: AllMarks::default(),
            here: Here::default(),
            followers: Vec::new(),
            last_append: now,
            last_use: now,
        };
        Self { epoch: epoch::epoch(&base, GENERATION), base, state: Mutex::new(state) }
    }

    /// Keeps so much from now on.
    pub(super) fn retain(&self, retention: Retention) {
        self.state.lock().retention = retention;
    }

    pub(super) fn append(&self, append: Append) -> Result<Appended, BusError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if let Some(seq) = state.ids.get(&append.key, now) {
            return Ok(Appended { position: self.at(seq), duplicate: true });
        }
        state.expire(now);
        if let Some(seq) = state.settled(&append.effect, &self.epoch)? {
            return Ok(Appended { position: self.at(seq), duplicate: true });
        }
        state.seq += 1;
        state.last_append = now;
        state.last_use = now;
        let position = self.at(state.seq);
        state.ids.insert(append.key.clone(), position.seq);
        let event = LogEvent { position: position.clone(), key: append.key, body: append.body, trace: None };
        state.log.push_back(event.clone());
        state.trim();
        state.apply(append.effect);
        for (_, follower) in &state.followers {
            follower.event(LogEvent { trace: append.trace.clone(), ..event.clone() });
        }
        Ok(Appended { position, duplicate: false })
    }

    pub(super) fn follow(&self, id: FollowerId, follower: Arc<dyn Follower>) {
        let mut state = self.state.lock();
        follower.start(self.at(state.seq));
        let replaced = match state.followers.iter_mut().find(|(known, _)| known.node == id.node) {
            Some(known) => Some(std::mem::replace(known, (id, follower))),
            None => {
                state.followers.push((id, follower));
                None
            }
        };
        drop(state);
        // A follower may do anything when it is dropped, also use this room.
        drop(replaced);
    }

    pub(super) fn unfollow(&self, id: FollowerId) {
        let mut state = self.state.lock();
        state.last_use = Instant::now();
        let index = state.followers.iter().position(|(known, _)| *known == id);
        let removed = index.map(|index| state.followers.swap_remove(index));
        drop(state);
        drop(removed);
    }

    pub(super) fn publish(&self, frame: &Bytes) {
        for (_, follower) in &self.state.lock().followers {
            follower.ephemeral(frame.clone());
        }
    }

    pub(super) fn head(&self) -> Position {
        self.at(self.state.lock().seq)
    }

    pub(super) fn read(&self, from: &ReadFrom, limit: u32) -> Page {
        let mut state = self.state.lock();
        state.expire(Instant::now());
        let head =
            Head { base: Arc::clone(&self.base), seq: state.seq, lineage: Lineage::single(GENERATION) };
        let first = state.first();
        let verdict = match from {
            ReadFrom::After(position) => epoch::judge(position, &head, first),
            _ => Verdict::Holds,
        };
        let limit = u64::from(limit.min(MOST_EVENTS));
        let newest = |before: u64| before.saturating_sub(limit)..before;
        let wanted = match (&verdict, from) {
            (Verdict::Reset { to, .. }, _) => to.seq + 1..to.seq + 1 + limit,
            (_, ReadFrom::After(Position { seq, .. }) | ReadFrom::AfterSeq(seq)) => {
                let next = seq.saturating_add(1).max(first);
                next..next.saturating_add(limit)
            }
            (_, ReadFrom::BeforeSeq(seq)) => newest((*seq).min(head.seq + 1)),
            (_, ReadFrom::Newest) => newest(head.seq + 1),
        };
        let index = |seq: u64| seq.clamp(first, head.seq + 1) - first;
        let events = state.log.range(index(wanted.start) as usize..index(wanted.end) as usize);
        Page { verdict, events: events.cloned().collect(), first, head: head.position() }
    }

    /// What reading gives where there is no room: reading creates nothing.
    pub(super) fn read_unused(from: &ReadFrom) -> Page {
        let head = Head::none();
        let verdict = match from {
            ReadFrom::After(position) => epoch::judge(position, &head, 1),
            _ => Verdict::Holds,
        };
        Page { verdict, events: Vec::new(), first: 1, head: head.position() }
    }

    /// Lets go of a log that has expired. Returns when the room was used last, if nobody follows it.
    pub(super) fn tidy(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.expire(Instant::now());
        (state.followers.is_empty() && !state.here.is_in_use()).then_some(state.last_use)
    }

    pub(super) fn tell_presence(&self, name: &RoomName, node: &NodeId, update: &PresenceUpdate) -> Told {
        let mut state = self.state.lock();
        let (told, frame) = state.here.update(name, node, update);
        if let Some((version, frame)) = frame {
            for (_, follower) in &state.followers {
                follower.presence(version, frame.clone());
            }
        }
        told
    }

    pub(super) fn state(&self, most: u64, now_ms: u64) -> RoomState {
        self.state.lock().here.state(most, now_ms)
    }

    pub(super) fn mark_read(
        &self,
        name: &RoomName,
        markers: &[(UserId, Position)],
        tell: bool,
    ) -> Vec<Marked> {
        let mut state = self.state.lock();
        let head = self.at(state.seq);
        let marked: Vec<_> =
            markers.iter().map(|(user, place)| state.here.mark(user, place, &head)).collect();
        let moved = markers.iter().zip(&marked).filter(|(_, marked)| **marked == Marked::Moved);
        let moved: Vec<_> = moved
            .map(|((user, Position { epoch, seq }), _)| Marker {
                user: user.clone(),
                epoch: epoch.clone(),
                seq: *seq,
            })
            .collect();
        if tell && !moved.is_empty() {
            let frame = Bytes::from(server::encode(&ReadMarkers { room: name.clone(), markers: moved }));
            state.followers.iter().for_each(|(_, follower)| follower.ephemeral(frame.clone()));
        }
        marked
    }

    pub(super) fn mute(&self, user: &UserId, mute: Option<&Mute>, now_ms: u64) {
        self.state.lock().here.mute(user, mute, now_ms);
    }

    fn at(&self, seq: u64) -> Position {
        Position { epoch: self.epoch.clone(), seq }
    }
}

impl State {
    /// The log goes when nothing was appended for its age; numbers go on.
    fn expire(&mut self, now: Instant) {
        if now.duration_since(self.last_append) > Duration::from_millis(self.retention.age_ms) {
            self.log = VecDeque::new();
            self.marks = AllMarks::default();
        }
    }

    /// Drops what is more than is to be kept: one event, or many after it was made less.
    fn trim(&mut self) {
        let excess = (self.log.len() as u64).saturating_sub(self.retention.length);
        if excess > 0 {
            self.log.drain(..excess as usize);
            let first = self.first();
            self.marks.trim(first);
        }
    }

    /// The number of the oldest event that is left; one above the newest when none is.
    fn first(&self) -> u64 {
        self.seq + 1 - self.log.len() as u64
    }

    fn event(&mut self, seq: u64) -> Option<&mut LogEvent> {
        let first = self.log.front()?.position.seq;
        self.log.get_mut(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Where it was done, when there is nothing left to do.
    fn settled(&mut self, effect: &Effect, epoch: &Epoch) -> Result<Option<u64>, BusError> {
        let Some(target) = effect.target() else { return Ok(None) };
        let event = self.event(target.seq).filter(|_| target.epoch == *epoch);
        let event = event.filter(|event| event.body.starts_with(MESSAGE)).ok_or(BusError::Gone)?;
        let seq = event.position.seq;
        match (effect, self.marks.deleted(seq)) {
            (Effect::Delete(_), deleted) => Ok(deleted),
            (_, Some(_)) => Err(BusError::Gone),
            (Effect::React { what, on, .. }, None) => Ok(match self.marks.reaction(seq, what) {
                Some((at, was)) => (was == *on).then_some(at),
                None => (!*on).then_some(seq),
            }),
            _ => Ok(None),
        }
    }

    /// Does what the newest event does besides being there.
    fn apply(&mut self, effect: Effect) {
        let seq = self.seq;
        match effect {
            Effect::None => {}
            Effect::Edit(target) => self.marks.edited(target.seq, seq),
            Effect::React { target, what, on } => self.marks.reacted(target.seq, what, seq, on),
            Effect::Delete(target) => {
                let edits = self.marks.delete(target.seq, seq);
                for gone in edits.into_iter().chain([target.seq]) {
                    if let Some(event) = self.event(gone)
                        && let Some(left) = redact(&event.body)
                    {
                        event.body = left.into();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    #[test]
    fn an_expired_log_keeps_its_numbers() {
        let room = Room::new(Retention { length: 10, age_ms: 0 });
        let append = |key: &'static str| {
            let key = Key::from_bytes(Bytes::from_static(key.as_bytes()));
            room.append(Append::message(Bytes::new(), key)).expect("a message has no target")
        };
        let old = append("a").position;
        std::thread::sleep(Duration::from_millis(2));
        let page = room.read(&ReadFrom::AfterSeq(0), 10);
        assert_eq!((page.events.len(), page.first, page.head), (0, 2, old.clone()));
        assert_eq!(room.read(&ReadFrom::After(old), 10).verdict, Verdict::Holds);
        assert_eq!(append("b").position.seq, 2);
        assert!(append("a").duplicate, "keys have a life of their own");
    }
}
