//! What a node knows of a room beside its log: who is there by way of this node, and of all nodes who is there, how far
//! each has read, and who may not speak.
//!
//! The first half is the truth, and is told to the bus a little later, several changes at once. The second is a copy that
//! follows the versions of the bus' own: each frame of it leads from one version to the next, and whoever misses one has
//! the whole read again. A room of thousands that all come back reads it once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{Mute, PresenceUpdate, RoomState};
use bytes::Bytes;
use parking_lot::Mutex;
use proto::{
    Position, RoomName, ServerFrame, UserId,
    server::{self, Marker, ReadMarkers},
};
use serde_json::value::{RawValue, to_raw_value};

/// The most changes that are told at once.
const CHANGES: usize = 1_000;

/// What a node knows of a room beside its log.
#[derive(Default)]
pub struct Roster {
    state: Mutex<State>,
    /// Whoever reads it anew: one at a time, and the others find what it brought.
    pub(crate) loading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Who is there by way of this node.
    here: HashMap<UserId, Here>,
    /// Whose coming or going has yet to be told.
    changed: Vec<UserId>,
    /// Nodes that are gone, of which the bus has yet to be told.
    gone: Vec<String>,
    /// Everybody is to be told of, not only what changed.
    whole: bool,
    /// Somebody is about to tell.
    telling: bool,
    /// What is known of all nodes, once it was read.
    all: Option<All>,
    /// The version that was heard of last.
    heard: u64,
    /// Somebody reads it again.
    astray: bool,
}

/// A user by way of this node.
struct Here {
    sessions: usize,
    member: Bytes,
    /// Whether the bus knows.
    told: bool,
    /// When the last session went.
    left_at: Instant,
}

/// What is to be told.
#[derive(Debug)]
pub enum Changes {
    /// Nothing: whoever tells may go.
    None,
    /// Nothing yet.
    Later,
    /// This.
    Now(PresenceUpdate),
}

/// Of all nodes.
struct All {
    version: u64,
    count: u64,
    /// In order; none when there are more than are told. Most rooms have one or two, in a list that is no larger.
    members: Option<Vec<(UserId, Bytes)>>,
    markers: BTreeMap<UserId, Position>,
    mutes: BTreeMap<UserId, Mute>,
    /// The lists as they are given out, once they were asked for.
    members_text: Option<Arc<RawValue>>,
    markers_text: Option<Arc<RawValue>>,
}

/// What is to be done about a presence frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is the next one: the members get it.
    Next,
    /// It is not, and somebody is to be sent to read the whole again.
    Astray,
    /// It is not, and somebody is at it.
    Known,
}

/// Who is there, for a client.
#[derive(Clone, Debug, Default)]
pub struct Company {
    /// How many.
    pub count: u64,
    /// Who: a list of members, as text; none when they are too many.
    pub members: Option<Arc<RawValue>>,
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster").finish_non_exhaustive()
    }
}

impl Roster {
    // ---- by way of this node ----

    /// A session of a user is there. True when somebody is to be sent to tell of it.
    pub fn enter(&self, user: &UserId, member: impl FnOnce() -> Bytes) -> bool {
        let mut state = self.state.lock();
        let new = || Here { sessions: 0, member: member(), told: false, left_at: Instant::now() };
        let here = state.here.entry(user.clone()).or_insert_with(new);
        here.sessions += 1;
        here.sessions == 1 && state.note(user)
    }

    /// A session of a user is there no more. True when somebody is to be sent to tell of it.
    pub fn leave(&self, user: &UserId) -> bool {
        let mut state = self.state.lock();
        let Some(here) = state.here.get_mut(user) else { return false };
        here.sessions = here.sessions.saturating_sub(1);
        here.left_at = Instant::now();
        here.sessions == 0 && state.note(user)
    }

    /// What was told may be lost. True when somebody is to be sent to tell all of it.
    pub fn tell_all(&self) -> bool {
        let mut state = self.state.lock();
        state.whole = true;
        state.begin_telling()
    }

    /// Nodes are gone. True when somebody is to be sent to tell of it.
    pub fn tell_gone(&self, nodes: &[String]) -> bool {
        let mut state = self.state.lock();
        state.gone.extend_from_slice(nodes);
        state.begin_telling()
    }

    /// What is to be told in a room where at most `most` are told of, and where whoever left is told of after `patience`:
    /// it may have come by another node meanwhile, which tells that only a moment later.
    ///
    /// What is taken must be given to [`Roster::told`].
    pub fn take_changes(&self, most: u64, patience: Duration) -> Changes {
        let mut state = self.state.lock();
        let State { here, changed, gone, whole, telling, .. } = &mut *state;
        let whole = std::mem::take(whole);
        let mut update =
            PresenceUpdate { whole, most, gone: std::mem::take(gone), ..PresenceUpdate::default() };
        if whole {
            *changed = here.keys().cloned().collect();
            here.values_mut().for_each(|here| here.told = false);
        }
        let limit = if whole { usize::MAX } else { CHANGES };
        let mut early = Vec::new();
        while update.joined.len() + update.left.len() < limit
            && let Some(user) = changed.pop()
        {
            match here.get_mut(&user) {
                Some(it) if it.sessions > 0 && !it.told => {
                    // Before it is: whoever leaves meanwhile is then a change again.
                    it.told = true;
                    update.joined.push((user, it.member.clone()));
                }
                Some(it) if it.sessions == 0 && it.told && it.left_at.elapsed() < patience => {
                    early.push(user);
                }
                Some(it) if it.sessions == 0 && it.told => {
                    it.told = false;
                    update.left.push(user);
                }
                Some(it) if it.sessions == 0 => drop(here.remove(&user)),
                _ => {}
            }
        }
        changed.append(&mut early);
        if changed.is_empty() {
            changed.shrink_to_fit();
        }
        if whole || !update.joined.is_empty() || !update.left.is_empty() || !update.gone.is_empty() {
            return Changes::Now(update);
        }
        *telling = !changed.is_empty();
        if *telling { Changes::Later } else { Changes::None }
    }

    /// What was taken has been told, or not.
    pub fn told(&self, update: PresenceUpdate, success: bool) {
        let mut state = self.state.lock();
        let State { here, changed, gone, whole, .. } = &mut *state;
        if !success {
            *whole |= update.whole;
            gone.extend(update.gone);
            for (user, _) in update.joined {
                here.entry(user.clone()).and_modify(|here| here.told = false);
                changed.push(user);
            }
            for user in update.left {
                // Whoever came back meanwhile is then no change.
                here.entry(user.clone()).and_modify(|here| here.told = true);
                changed.push(user);
            }
            return;
        }
        for user in update.left {
            if here.get(&user).is_some_and(|here| here.sessions == 0 && !here.told) {
                here.remove(&user);
            }
        }
    }

    // ---- by way of all nodes ----

    /// Whether it is known.
    pub fn is_loaded(&self) -> bool {
        self.state.lock().all.is_some()
    }

    /// Whether there are so many that only their number is told.
    pub fn is_crowded(&self) -> bool {
        self.state.lock().all.as_ref().is_some_and(|all| all.members.is_none())
    }

    /// Takes in a presence frame that leads to a version; `tell` hands it on if it is the next.
    pub fn hear(&self, version: u64, frame: &[u8], tell: impl FnOnce()) -> Heard {
        let mut state = self.state.lock();
        state.heard = version;
        let next = state.all.as_mut().filter(|all| all.version + 1 == version);
        match next.is_some_and(|all| all.follow(frame)) {
            true => {
                tell();
                Heard::Next
            }
            false if std::mem::replace(&mut state.astray, true) => Heard::Known,
            false => Heard::Astray,
        }
    }

    /// Something may have been missed. True when somebody is to be sent to read the whole again.
    pub fn lose_way(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().astray, true)
    }

    /// Whether what was read is what was heard of last; nobody is at it any more then.
    pub fn has_found_way(&self) -> bool {
        let mut state = self.state.lock();
        let found = state.all.as_ref().is_some_and(|all| all.version >= state.heard);
        state.astray = !found;
        found
    }

    /// Takes in markers that have moved, and leaves out those that have not: two nodes' frames may come in another order
    /// than their markers moved. `tell` hands on the rest.
    pub fn hear_markers(&self, mut moved: ReadMarkers, tell: impl FnOnce(&ReadMarkers)) {
        let mut state = self.state.lock();
        let Some(all) = &mut state.all else { return };
        moved.markers.retain(|marker| {
            let place = Position { epoch: marker.epoch.clone(), seq: marker.seq };
            let before = all.markers.get(&marker.user);
            let ahead = before.is_none_or(|before| before.epoch != place.epoch || before.seq < place.seq);
            if ahead {
                all.markers.insert(marker.user.clone(), place);
            }
            ahead
        });
        if !moved.markers.is_empty() {
            all.markers_text = None;
            tell(&moved);
        }
    }

    /// Takes in all that there is, and hands on the frames that tell the members what they may have missed.
    pub fn load(&self, room: &RoomName, read: RoomState, tell: impl FnMut(Bytes)) {
        let mut state = self.state.lock();
        let all = All {
            version: read.version,
            count: read.count,
            members: read.members.map(|mut members| {
                members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                members
            }),
            markers: read.markers.into_iter().collect(),
            mutes: read.mutes.into_iter().collect(),
            members_text: None,
            markers_text: None,
        };
        let frames = state.all.as_ref().map(|before| before.difference(&all, room)).unwrap_or_default();
        state.all = Some(all);
        // Under the lock: a frame that follows on this must not come before it.
        frames.into_iter().for_each(tell);
    }

    /// Who is there, and `own`, who asks and of whom the bus may not have heard yet. No names when there are more than
    /// `most`.
    ///
    /// Others of whom it has not heard are not there yet: should they go before it has, nobody would be told.
    pub fn company(&self, most: u64, own: Option<&UserId>) -> Company {
        let mut state = self.state.lock();
        let State { here, all, .. } = &mut *state;
        let Some(all) = all else { return Company::default() };
        let Some(members) = &all.members else { return Company { count: all.count, members: None } };
        let own = own.filter(|user| place(members, user).is_err()).and_then(|user| here.get(user));
        let count = members.len() as u64 + u64::from(own.is_some());
        let members = (count <= most).then(|| match own {
            Some(own) => list(members.iter().map(|(_, member)| member).chain([&own.member])),
            None => {
                let text = || list(members.iter().map(|(_, member)| member));
                Arc::clone(all.members_text.get_or_insert_with(text))
            }
        });
        Company { count, members }
    }

    /// Whether a user may be one of at most `most` members.
    pub fn has_room(&self, user: &UserId, most: u64) -> bool {
        let state = self.state.lock();
        let here = state.here.values().filter(|here| here.sessions > 0).count() as u64;
        let is_there = state.here.contains_key(user);
        let all = state.all.as_ref();
        let is_known =
            || all.and_then(|all| all.members.as_ref()).is_some_and(|all| place(all, user).is_ok());
        is_there || is_known() || all.map_or(0, |all| all.count).max(here) < most
    }

    /// Whether it is told how far everybody has read: not when more than `most` are there, or have read.
    pub fn shows_markers(&self, most: u64) -> bool {
        self.state.lock().all.as_ref().is_some_and(|all| all.shows_markers(most))
    }

    /// How far everybody has read, as text; none when there are too many people.
    pub fn markers(&self, most: u64) -> Option<Arc<RawValue>> {
        let mut state = self.state.lock();
        let all = state.all.as_mut().filter(|all| all.shows_markers(most))?;
        let markers = &all.markers;
        let text = all.markers_text.get_or_insert_with(|| {
            let markers: Vec<_> = markers.iter().map(|(user, place)| marker(user, place)).collect();
            to_raw_value(&markers).map_or_else(|_| nothing(), Arc::from)
        });
        Some(Arc::clone(text))
    }

    /// The user's mute, if it still holds at `now_ms`.
    pub fn mute(&self, user: &UserId, now_ms: u64) -> Option<Mute> {
        let state = self.state.lock();
        state.all.as_ref()?.mutes.get(user).filter(|mute| mute.until_ms > now_ms).cloned()
    }

    /// Mutes a user, or takes that back.
    pub fn set_mute(&self, user: &UserId, mute: Option<Mute>) {
        if let Some(all) = &mut self.state.lock().all {
            match mute {
                Some(mute) => all.mutes.insert(user.clone(), mute),
                None => all.mutes.remove(user),
            };
        }
    }
}

impl State {
    /// Notes a change; true when nobody is about to tell.
    fn note(&mut self, user: &UserId) -> bool {
        self.changed.push(user.clone());
        self.begin_telling()
    }

    fn begin_telling(&mut self) -> bool {
        !std::mem::replace(&mut self.telling, true)
    }
}

impl All {
    fn shows_markers(&self, most: u64) -> bool {
        // Where nobody keeps note of who is there, those who read are all that is known.
        let no_presence = self.version == 0;
        self.members.is_some() && !(no_presence && self.markers.len() as u64 > most)
    }

    /// Follows a frame to the next version; false when it is none, or what was known is not enough to follow it.
    fn follow(&mut self, frame: &[u8]) -> bool {
        let Some(ServerFrame::Presence(change)) =
            std::str::from_utf8(frame).ok().and_then(|text| ServerFrame::decode(text).ok())
        else {
            return false;
        };
        match (&mut self.members, change.joined, change.left) {
            (Some(members), Some(joined), Some(left)) => {
                for member in joined {
                    let entry = (member.user.clone(), server::encode(&member).into());
                    match place(members, &member.user) {
                        Ok(index) => members[index] = entry,
                        Err(index) => {
                            members.reserve_exact(1);
                            members.insert(index, entry);
                        }
                    }
                }
                for member in left {
                    if let Ok(index) = place(members, &member.user) {
                        members.remove(index);
                    }
                }
            }
            // There are few enough again, and who they are has to be read.
            (None, Some(_), Some(_)) => return false,
            _ => self.members = None,
        }
        self.members_text = None;
        self.version += 1;
        self.count = change.count;
        true
    }

    /// What the members are told when `now` takes the place of this: to them it is as if it had come in frames.
    fn difference(&self, now: &Self, room: &RoomName) -> Vec<Bytes> {
        let mut frames = Vec::new();
        if let Some(members) = &now.members {
            let before = self.members.as_deref().unwrap_or_default();
            let only_in = |one: &[(UserId, Bytes)], other: &[(UserId, Bytes)]| {
                one.iter()
                    .filter(|(user, _)| place(other, user).is_err())
                    .map(|(_, it)| it.clone())
                    .collect::<Vec<_>>()
            };
            let (joined, left) = (only_in(members, before), only_in(before, members));
            if !joined.is_empty() || !left.is_empty() {
                let (joined, left) = (list(joined.iter()), list(left.iter()));
                let lists = format!(r#","joined":{joined},"left":{left}"#);
                frames.push(presence_frame(room, &lists, now.count));
            }
        } else if self.members.is_some() || self.count != now.count {
            frames.push(presence_frame(room, "", now.count));
        }
        let moved = now.markers.iter().filter(|(user, place)| self.markers.get(*user) != Some(*place));
        let markers: Vec<_> = moved.map(|(user, place)| marker(user, place)).collect();
        if !markers.is_empty() {
            frames.push(server::encode(&ReadMarkers { room: room.clone(), markers }).into());
        }
        frames
    }
}

/// Where a user stands in a list that is in order, or should.
fn place(members: &[(UserId, Bytes)], user: &UserId) -> Result<usize, usize> {
    members.binary_search_by(|(other, _)| other.cmp(user))
}

fn presence_frame(room: &RoomName, lists: &str, count: u64) -> Bytes {
    format!(r#"{{"type":"presence","room":"{room}"{lists},"count":{count}}}"#).into()
}

fn marker(user: &UserId, place: &Position) -> Marker {
    Marker { user: user.clone(), epoch: place.epoch.clone(), seq: place.seq }
}

fn nothing() -> Arc<RawValue> {
    Arc::from(RawValue::NULL.to_owned())
}

/// A list of what is JSON already. One that is not, which only a stranger can have put there, makes it no list.
fn list<'a>(members: impl Iterator<Item = &'a Bytes>) -> Arc<RawValue> {
    let mut text = vec![b'['];
    for (index, member) in members.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(member);
    }
    text.push(b']');
    let text = String::from_utf8(text).ok().and_then(|text| RawValue::from_string(text).ok());
    text.map_or_else(nothing, Arc::from)
}
