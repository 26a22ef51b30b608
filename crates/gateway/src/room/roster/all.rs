//! What a node knows of who is in a room by way of all nodes, of how far they have read, and of who may not speak.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{MARKERS, Mute, RoomState};
use bytes::Bytes;
use proto::{
    Position, RoomName, ServerFrame, UserId,
    server::{self, Marker, ReadMarkers},
};
use serde_json::value::{RawValue, to_raw_value};

/// How many of those who left are remembered, for readers who have missed it. Whoever stays behind for longer than it takes
/// for more to leave may go on taking some of them for there.
const DEPARTED: usize = 1_000;

/// For so long they are remembered also when all readers are level: somebody who is about to be one may have been told
/// before that they are there.
const REMEMBERED: Duration = Duration::from_mins(1);

/// Of all nodes.
pub(super) struct All {
    pub(super) version: u64,
    pub(super) count: u64,
    /// In order; none when there are more than are told. Most rooms have one or two, in a list that is no larger.
    pub(super) members: Option<Vec<(UserId, Bytes)>>,
    pub(super) markers: BTreeMap<UserId, Position>,
    pub(super) mutes: BTreeMap<UserId, Mute>,
    /// Who left, and when, the last ones at the end.
    departed: VecDeque<(UserId, Bytes, Instant)>,
    /// The lists as they are given out, once they were asked for.
    members_text: Option<Arc<RawValue>>,
    markers_text: Option<Arc<RawValue>>,
}

impl All {
    /// What was read; who left is remembered from `before`.
    pub(super) fn of(read: RoomState, before: Option<&mut Self>) -> Self {
        Self {
            version: read.version,
            count: read.count,
            members: read.members.map(|mut members| {
                members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                members
            }),
            markers: read.markers.into_iter().collect(),
            mutes: read.mutes.into_iter().collect(),
            departed: before.map(|before| std::mem::take(&mut before.departed)).unwrap_or_default(),
            members_text: None,
            markers_text: None,
        }
    }

    /// Takes the members from `other`, which is newer as to them.
    pub(super) fn keep_members(&mut self, other: Self) {
        (self.version, self.count) = (other.version, other.count);
        (self.members, self.departed) = (other.members, other.departed);
        self.members_text = None;
    }

    /// Whether there are so many that only their number is told.
    pub(super) fn is_crowded(&self) -> bool {
        self.members.is_none()
    }

    /// Whether a user is known to be there.
    pub(super) fn has(&self, user: &UserId) -> bool {
        self.members.as_ref().is_some_and(|all| place(all, user).is_ok())
    }

    /// The members, as text.
    pub(super) fn members_text(&mut self) -> Option<Arc<RawValue>> {
        let members = self.members.as_ref()?;
        Some(Arc::clone(self.members_text.get_or_insert_with(|| list(members.iter().map(|(_, it)| it)))))
    }

    /// The markers, as text; none when there are too many people.
    pub(super) fn markers_text(&mut self, most: u64) -> Option<Arc<RawValue>> {
        if !self.shows_markers(most) {
            return None;
        }
        let markers = &self.markers;
        let text = self.markers_text.get_or_insert_with(|| {
            let markers: Vec<_> = markers.iter().map(|(user, place)| marker(user, place)).collect();
            to_raw_value(&markers).map_or_else(|_| nothing(), Arc::from)
        });
        Some(Arc::clone(text))
    }

    /// Moves a marker, unless it is there or beyond already; within a log, whatever server goes on with it.
    pub(super) fn mark(&mut self, user: &UserId, place: &Position) -> bool {
        let before = self.markers.get(user);
        let ahead =
            before.is_none_or(|before| !before.epoch.continues(&place.epoch) || before.seq < place.seq);
        if ahead {
            self.markers.insert(user.clone(), place.clone());
            self.markers_text = None;
            if self.markers.len() > MARKERS
                && let Some((last, _)) = self.markers.iter().min_by_key(|(_, place)| place.seq)
            {
                let last = last.clone();
                self.markers.remove(&last);
            }
        }
        ahead
    }

    /// Tells whoever has missed some of the frames what came of them.
    pub(super) fn news(&mut self, room: &RoomName) -> Vec<Bytes> {
        let mut frames = Vec::new();
        // In its first version nobody has ever come or gone.
        if self.version > 0 {
            let joined = self.members_text();
            let gone = self.departed.iter().filter(|(user, ..)| !self.has(user));
            let left = list(gone.map(|(_, member, _)| member));
            let lists = joined.map(|joined| format!(r#","joined":{joined},"left":{left}"#));
            frames.push(presence_frame(room, &lists.unwrap_or_default(), self.count));
        }
        if !self.markers.is_empty() {
            let markers = self.markers.iter().map(|(user, place)| marker(user, place)).collect();
            frames.push(server::encode(&ReadMarkers { room: room.clone(), markers }).into());
        }
        frames
    }

    /// Mutes a user, or takes that back.
    pub(super) fn set_mute(&mut self, user: &UserId, mute: Option<Mute>) {
        match mute {
            Some(mute) => self.mutes.insert(user.clone(), mute),
            None => self.mutes.remove(user),
        };
    }

    fn departs(&mut self, user: UserId, member: Bytes) {
        self.departed.retain(|(other, ..)| *other != user);
        self.departed.push_back((user, member, Instant::now()));
        self.departed.drain(..self.departed.len().saturating_sub(DEPARTED));
    }

    /// Forgets who left a while before `now`, as all readers have heard of it.
    pub(super) fn forget_departed(&mut self, now: Instant) {
        let young = |at: &Instant| now.saturating_duration_since(*at) < REMEMBERED;
        let old = self.departed.iter().position(|(.., at)| young(at)).unwrap_or(self.departed.len());
        if old > 0 {
            self.departed.drain(..old);
            self.departed.shrink_to(2 * self.departed.len());
        }
    }

    pub(super) fn shows_markers(&self, most: u64) -> bool {
        // Where nobody keeps note of who is there, those who read are all that is known.
        let no_presence = self.version == 0;
        self.members.is_some() && !(no_presence && self.markers.len() as u64 > most)
    }

    /// Follows a frame to its version, and gives those who left by it; none when it is no such frame, or what was known is not
    /// enough to follow it. A number says it all, whatever was missed; lists say what has changed since the version before.
    /// `known` gives the entry of whoever is there by way of this node: one for both is half the memory.
    pub(super) fn follow(
        &mut self,
        version: u64,
        frame: &[u8],
        known: impl Fn(&UserId) -> Option<(UserId, Bytes)>,
    ) -> Option<Vec<UserId>> {
        let Some(ServerFrame::Presence(change)) =
            std::str::from_utf8(frame).ok().and_then(|text| ServerFrame::decode(text).ok())
        else {
            return None;
        };
        let (mut gone, mut entries) = (Vec::new(), Vec::new());
        match (&mut self.members, change.joined, change.left) {
            (Some(members), Some(joined), Some(left)) if version == self.version + 1 => {
                for member in joined {
                    let text = server::encode(&member);
                    let entry = known(&member.user)
                        .filter(|(_, entry)| *entry == text)
                        .unwrap_or_else(|| (member.user.clone(), text.into_boxed_slice().into()));
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
                    entries.push(server::encode(&member).into_boxed_slice().into());
                    gone.push(member.user);
                }
            }
            (_, None, None) if version >= self.version => self.members = None,
            // Some were missed; or there are few enough again, and who they are has to be read.
            _ => return None,
        }
        gone.iter().zip(entries).for_each(|(user, entry)| self.departs(user.clone(), entry));
        self.members_text = None;
        self.version = version;
        self.count = change.count;
        Some(gone)
    }

    /// What the members are told when `now` takes the place of this: to them it is as if it had come in frames. With
    /// `only_markers` the rest stays as it was.
    pub(super) fn difference(&self, now: &mut Self, room: &RoomName, only_markers: bool) -> Vec<Bytes> {
        let mut frames = Vec::new();
        if only_markers {
            // Who is there has been told.
        } else if let Some(members) = &now.members {
            let before = self.members.as_deref().unwrap_or_default();
            let only_in = |one: &[(UserId, Bytes)], other: &[(UserId, Bytes)]| {
                let only = one.iter().filter(|(user, _)| place(other, user).is_err());
                only.cloned().collect::<Vec<_>>()
            };
            let (joined, left) = (only_in(members, before), only_in(before, members));
            if !joined.is_empty() || !left.is_empty() {
                left.iter().for_each(|(user, member)| now.departs(user.clone(), member.clone()));
                let texts = |all: Vec<(UserId, Bytes)>| list(all.iter().map(|(_, member)| member));
                let (joined, left) = (texts(joined), texts(left));
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
pub(super) fn list<'a>(members: impl Iterator<Item = &'a Bytes>) -> Arc<RawValue> {
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
