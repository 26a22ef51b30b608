//! What is known of a room beside its log.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto::{Position, RoomName, UserId};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{MARKERS, Marked, Mute, NodeId, PresenceUpdate, RoomState, Told};

/// A frame of more is only a number.
const MOST_BYTES: usize = 256 * 1024;

/// Who is in a room, how far each has read, and who may not speak.
#[derive(Default)]
pub(super) struct Here {
    version: u64,
    users: BTreeMap<UserId, Present>,
    /// When a crowd was told its number.
    told_at: Option<Instant>,
    /// Whether that has changed since then.
    owed: bool,
    markers: BTreeMap<UserId, Position>,
    mutes: BTreeMap<UserId, Mute>,
}

struct Present {
    /// The nodes by way of which the user is there: hardly ever more than one.
    nodes: SmallVec<[NodeId; 1]>,
    member: Bytes,
}

impl Here {
    /// Whether there is something that a restart alone may forget.
    pub(super) fn is_in_use(&self) -> bool {
        !self.users.is_empty() || !self.mutes.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.users.len() as u64
    }

    /// Takes in what a node says. Gives the version and the frame that tell of it, if anything changed and is told now.
    pub(super) fn update(
        &mut self,
        room: &RoomName,
        node: &NodeId,
        update: &PresenceUpdate,
    ) -> (Told, Option<(u64, Bytes)>) {
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        let stays: BTreeSet<&UserId> = update.joined.iter().map(|(user, _)| user).collect();
        self.users.retain(|user, present| {
            let leaves = update.left.contains(user) || (update.whole && !stays.contains(user));
            let is_gone = |other: &NodeId| update.gone.iter().any(|gone| gone == other.as_str());
            present.nodes.retain(|other| !(is_gone(other) || leaves && other == node));
            if present.nodes.is_empty() {
                left.push(present.member.clone());
            }
            !present.nodes.is_empty()
        });
        for (user, member) in &update.joined {
            let present = self.users.entry(user.clone()).or_insert_with(|| {
                joined.push(member.clone());
                Present { nodes: SmallVec::new(), member: member.clone() }
            });
            if !present.nodes.contains(node) {
                present.nodes.push(node.clone());
            }
        }
        let changed = !joined.is_empty() || !left.is_empty();
        if !changed && !self.owed {
            return (Told::All, None);
        }
        self.version += u64::from(changed);
        let mut frame = format!(r#"{{"type":"presence","room":"{room}""#).into_bytes();
        let bytes: usize = joined.iter().chain(&left).map(|member| member.len() + 1).sum();
        if self.count() <= update.most && bytes <= MOST_BYTES {
            for (name, members) in [("joined", joined), ("left", left)] {
                frame.extend_from_slice(format!(r#","{name}":["#).as_bytes());
                frame.extend_from_slice(&members.join(&b',')[..]);
                frame.push(b']');
            }
        } else if self.told_at.is_some_and(|at| at.elapsed() < update.pause_of(self.count())) {
            self.owed = true;
            return (Told::Withheld { version: self.version, count: self.count() }, None);
        } else {
            self.told_at = Some(Instant::now());
        }
        frame.extend_from_slice(format!(r#","count":{}}}"#, self.count()).as_bytes());
        // Lists in which nothing has changed do not say what was owed, and whoever has not heard of it must see that.
        self.version += u64::from(!changed);
        self.owed = false;
        (Told::All, Some((self.version, frame.into())))
    }

    pub(super) fn state(&self, most: u64, now_ms: u64) -> RoomState {
        let told = self.count() <= most;
        let members = || self.users.iter().map(|(user, present)| (user.clone(), present.member.clone()));
        let mut markers: Vec<_> = if told { self.markers.iter().collect() } else { Vec::new() };
        markers.sort_by_key(|(_, place)| std::cmp::Reverse(place.seq));
        let markers = markers.into_iter().take(MARKERS).map(|(user, place)| (user.clone(), place.clone()));
        let mutes = self.mutes.iter().filter(|(_, mute)| mute.until_ms > now_ms);
        RoomState {
            version: self.version,
            count: self.count(),
            members: told.then(|| members().collect()),
            markers: markers.collect(),
            mutes: mutes.map(|(user, mute)| (user.clone(), mute.clone())).collect(),
            gone: Vec::new(),
        }
    }

    /// Moves a marker in a log whose newest place is `head`.
    pub(super) fn mark(&mut self, user: &UserId, place: &Position, head: &Position) -> Marked {
        const MOST: usize = 10_000;
        if place.epoch != head.epoch || place.seq > head.seq {
            return Marked::Gone;
        }
        let before = self.markers.get(user);
        if before.is_some_and(|before| before.epoch == place.epoch && before.seq >= place.seq)
            || (before.is_none() && self.markers.len() >= MOST)
        {
            return Marked::Behind;
        }
        self.markers.insert(user.clone(), place.clone());
        Marked::Moved
    }

    pub(super) fn mute(&mut self, user: &UserId, mute: Option<&Mute>, now_ms: u64) {
        self.mutes.retain(|_, mute| mute.until_ms > now_ms);
        match mute {
            Some(mute) => self.mutes.insert(user.clone(), mute.clone()),
            None => self.mutes.remove(user),
        };
    }
}
