//! What a node knows of a room beside its log: who is there by way of this node, and of all nodes who is there, how far
//! each has read, and who may not speak.
//!
//! The first half is the truth, and is told to the bus a little later, several changes at once. The second is a copy that
//! follows the versions of the bus' own: each frame of it leads from one version to the next, and whoever misses one has
//! the whole read again; but for a number, which is the whole. A room of thousands that all come back reads it once.

mod all;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{Mute, PresenceUpdate, RoomState, Told};
use bytes::Bytes;
use parking_lot::Mutex;
use proto::{Position, RoomName, UserId, server::ReadMarkers};
use serde_json::value::RawValue;

use all::{All, list};

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
#[expect(clippy::struct_excessive_bools, reason = "each of them comes and goes by itself")]
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
    /// The bus withheld a number, and is to be asked whether it has been told since.
    owed: bool,
    /// The version that was heard of last.
    heard: u64,
    /// Somebody reads it again.
    astray: bool,
    /// How many presence frames were heard since it was begun to read.
    frames: u64,
    /// What else was heard while it is read: it may be newer than what is read.
    meanwhile: Option<Box<Meanwhile>>,
}

/// What was heard while all was read.
#[derive(Default)]
struct Meanwhile {
    markers: HashMap<UserId, Position>,
    mutes: HashMap<UserId, Option<Mute>>,
}

/// A user by way of this node.
struct Here {
    sessions: u32,
    member: Bytes,
    /// Whether the bus knows.
    told: bool,
    /// It is among the changes: whoever comes and goes all the time is there once.
    noted: bool,
    /// When the last session went.
    left_at: Instant,
}

/// What came of a session's wish to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It is.
    Done,
    /// It is, and somebody is to be sent to tell of it.
    ToBeTold,
    /// It is not: there are as many as may be.
    Full,
}

/// What is to be told.
#[derive(Debug)]
pub enum Changes {
    /// Nothing: whoever tells may go.
    None,
    /// Nothing yet.
    Later,
    /// This.
    Now {
        /// For the bus.
        update: PresenceUpdate,
        /// Whether more waits than can be told at once.
        more: bool,
    },
}

/// What is to be done about a presence frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It can be followed: the members get it.
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

    /// A session of a user is there, unless it is one user more than `most`, where that is not 0.
    pub fn enter(&self, user: &UserId, most: u64, member: impl FnOnce() -> Bytes) -> Entry {
        let mut state = self.state.lock();
        if most > 0 && !state.has_place(user, most) {
            return Entry::Full;
        }
        let new =
            || Here { sessions: 0, member: member(), told: false, noted: false, left_at: Instant::now() };
        let here = state.here.entry(user.clone()).or_insert_with(new);
        here.sessions += 1;
        if here.sessions == 1 && state.note(user) { Entry::ToBeTold } else { Entry::Done }
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

    /// The bus has withheld a number. True when somebody is to be sent to ask for it.
    pub fn owe(&self) -> bool {
        let mut state = self.state.lock();
        state.owed = true;
        state.begin_telling()
    }

    /// Nodes are gone. True when somebody is to be sent to tell of it.
    pub fn tell_gone(&self, nodes: &[String]) -> bool {
        let mut state = self.state.lock();
        state.gone.extend_from_slice(nodes);
        state.begin_telling()
    }

    /// What is to be told, by an update that holds the room's rules and nothing else. Whoever left is told of after
    /// `patience`: it may have come by another node meanwhile, which tells that only a moment later.
    ///
    /// What is taken must be given to [`Roster::told`].
    pub fn take_changes(&self, mut update: PresenceUpdate, patience: Duration) -> Changes {
        let mut state = self.state.lock();
        let State { here, changed, gone, whole, telling, owed, .. } = &mut *state;
        let whole = std::mem::take(whole);
        (update.whole, update.gone) = (whole, std::mem::take(gone));
        if whole {
            *changed = here.keys().cloned().collect();
            here.values_mut().for_each(|here| (here.told, here.noted) = (false, true));
        }
        let limit = if whole { usize::MAX } else { CHANGES };
        let mut early = Vec::new();
        while update.joined.len() + update.left.len() < limit
            && let Some(user) = changed.pop()
        {
            let Some(it) = here.get_mut(&user) else { continue };
            it.noted = false;
            match (it.sessions > 0, it.told) {
                (true, false) => {
                    // Before it is: whoever leaves meanwhile is then a change again.
                    it.told = true;
                    update.joined.push((user, it.member.clone()));
                }
                (true, true) => {}
                (false, true) if it.left_at.elapsed() < patience => {
                    it.noted = true;
                    early.push(user);
                }
                (false, true) => {
                    it.told = false;
                    update.left.push(user);
                }
                (false, false) => drop(here.remove(&user)),
            }
        }
        let more = !changed.is_empty();
        changed.append(&mut early);
        if changed.is_empty() {
            changed.shrink_to_fit();
        }
        let changes = update.joined.len() + update.left.len() + update.gone.len();
        if whole || *owed || changes > 0 {
            return Changes::Now { update, more };
        }
        *telling = !changed.is_empty();
        if *telling { Changes::Later } else { Changes::None }
    }

    /// What was taken has been told, or not.
    pub fn told(&self, update: PresenceUpdate, told: Option<Told>) {
        let mut state = self.state.lock();
        let State { here, changed, gone, whole, all, owed, .. } = &mut *state;
        let Some(told) = told else {
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
        };
        *owed = told != Told::All;
        if let Told::Withheld { version, count } = told
            && let Some(all) = all
            && all.is_crowded()
            && all.version < version
        {
            // Those of this node are in it, as all of whom the bus was told have to be.
            all.count = count;
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
        self.state.lock().all.as_ref().is_some_and(All::is_crowded)
    }

    /// It is about to be read. What is heard from now on is newer than what is read, or in it.
    pub fn begin_reading(&self) {
        let mut state = self.state.lock();
        (state.frames, state.meanwhile) = (0, Some(Box::default()));
    }

    /// Takes in a presence frame that leads to a version; `tell` hands it on if it can be followed.
    pub fn hear(&self, version: u64, frame: &[u8], tell: impl FnOnce()) -> Heard {
        let mut state = self.state.lock();
        state.heard = version;
        state.frames += 1;
        let State { here, all, .. } = &mut *state;
        let known =
            |user: &UserId| here.get_key_value(user).map(|(user, here)| (user.clone(), here.member.clone()));
        match all.as_mut().and_then(|all| all.follow(version, frame, known)) {
            Some(left) => {
                tell();
                left.iter().for_each(|user| state.contradict(user));
                Heard::Next
            }
            None if std::mem::replace(&mut state.astray, true) => Heard::Known,
            None => Heard::Astray,
        }
    }

    /// Whether somebody is to be sent to tell, because others take those for gone who are there by way of this node.
    pub fn is_contradicted(&self) -> bool {
        let mut state = self.state.lock();
        !state.changed.is_empty() && state.begin_telling()
    }

    /// Something may have been missed. True when somebody is to be sent to read the whole again.
    pub fn lose_way(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().astray, true)
    }

    /// Whether what was read is what was heard of last; nobody is at it any more then.
    ///
    /// When nothing was heard while it was read, it is the last: versions begin again where Redis has forgotten them.
    pub fn has_found_way(&self) -> bool {
        let mut state = self.state.lock();
        let last = state.heard;
        let found = state.all.as_ref().is_some_and(|all| all.version >= last) || state.frames == 0;
        state.astray = !found;
        found
    }

    /// Takes in markers that have moved, and leaves out those that have not: what was read may be ahead of what is heard.
    /// `tell` hands on the rest.
    pub fn hear_markers(&self, mut moved: ReadMarkers, tell: impl FnOnce(&ReadMarkers)) {
        let mut state = self.state.lock();
        let State { all, meanwhile, .. } = &mut *state;
        let place = |epoch: &proto::Epoch, seq| Position { epoch: epoch.clone(), seq };
        if let Some(meanwhile) = meanwhile {
            let heard = moved.markers.iter().map(|it| (it.user.clone(), place(&it.epoch, it.seq)));
            meanwhile.markers.extend(heard);
        }
        let Some(all) = all else { return };
        moved.markers.retain(|it| all.mark(&it.user, &place(&it.epoch, it.seq)));
        if !moved.markers.is_empty() {
            tell(&moved);
        }
    }

    /// Takes in all that there is, and hands on the frames that tell the members what they may have missed.
    pub fn load(&self, room: &RoomName, read: RoomState, tell: impl FnMut(Bytes)) {
        let mut state = self.state.lock();
        let State { here, all, meanwhile, heard, frames, .. } = &mut *state;
        let mut before = all.take();
        let mut now = All::of(read, before.as_mut());
        if let Some(meanwhile) = meanwhile.take() {
            for (user, place) in &meanwhile.markers {
                now.mark(user, place);
            }
            meanwhile.mutes.into_iter().for_each(|(user, mute)| now.set_mute(&user, mute));
        }
        let mut news = Vec::new();
        if let Some(before) = before {
            // Of a crowd more may have been read than is told yet.
            let is_older = before.is_crowded() && before.version < now.version;
            let has_followed = *frames > 0 && before.version == *heard && !is_older;
            news = before.difference(&mut now, room, has_followed);
            if has_followed {
                // It has followed what came after it was read.
                now.keep_members(before);
            }
        }
        let missing = |user: &&UserId| now.members.is_some() && !now.has(user);
        let missing: Vec<UserId> = here.keys().filter(missing).cloned().collect();
        *all = Some(now);
        missing.iter().for_each(|user| state.contradict(user));
        // Under the lock: a frame that follows on this must not come before it.
        news.into_iter().for_each(tell);
    }

    /// What tells somebody who has missed frames how it stands now.
    pub fn news(&self, room: &RoomName) -> Vec<Bytes> {
        self.state.lock().all.as_mut().map(|all| all.news(room)).unwrap_or_default()
    }

    /// Those who read here have all heard of who left, and need not be told again.
    pub fn forget_departed(&self, now: Instant) {
        if let Some(all) = &mut self.state.lock().all {
            all.forget_departed(now);
        }
    }

    /// Who is there, and `own`, who asks and of whom the bus may not have heard yet. No names when there are more than
    /// `most`.
    ///
    /// Others of whom it has not heard are not there yet: should they go before it has, nobody would be told.
    pub fn company(&self, most: u64, own: Option<&UserId>) -> Company {
        let mut state = self.state.lock();
        let State { here, all, .. } = &mut *state;
        let Some(all) = all else { return Company::default() };
        let text = all.members_text();
        let own = own.filter(|user| !all.has(user)).and_then(|user| here.get(user));
        let Some(members) = &all.members else { return Company { count: all.count, members: None } };
        let count = members.len() as u64 + u64::from(own.is_some());
        let with_own = own.map(|own| list(members.iter().map(|(_, member)| member).chain([&own.member])));
        Company { count, members: with_own.or(text).filter(|_| count <= most) }
    }

    /// Whether it is told how far everybody has read: not when more than `most` are there, or have read.
    pub fn shows_markers(&self, most: u64) -> bool {
        self.state.lock().all.as_ref().is_some_and(|all| all.shows_markers(most))
    }

    /// How far everybody has read, as text; none when there are too many people.
    pub fn markers(&self, most: u64) -> Option<Arc<RawValue>> {
        self.state.lock().all.as_mut()?.markers_text(most)
    }

    /// The user's mute, if it still holds at `now_ms`.
    pub fn mute(&self, user: &UserId, now_ms: u64) -> Option<Mute> {
        let state = self.state.lock();
        state.all.as_ref()?.mutes.get(user).filter(|mute| mute.until_ms > now_ms).cloned()
    }

    /// Mutes a user, or takes that back.
    pub fn set_mute(&self, user: &UserId, mute: Option<Mute>) {
        let mut state = self.state.lock();
        if let Some(meanwhile) = &mut state.meanwhile {
            meanwhile.mutes.insert(user.clone(), mute.clone());
        }
        if let Some(all) = &mut state.all {
            all.set_mute(user, mute);
        }
    }
}

impl State {
    /// Whether a user is there already, or may be where at most `most` may. Those of whom the bus has yet to hear count.
    ///
    /// Above the presence size it is known only of this node's users that they are there already.
    fn has_place(&self, user: &UserId, most: u64) -> bool {
        let here = |user: &UserId| self.here.get(user).filter(|here| here.sessions > 0);
        let all = self.all.as_ref();
        if here(user).is_some() || all.is_some_and(|all| all.has(user)) {
            return true;
        }
        let known = all.map_or(0, |all| all.count);
        // More than these there can not be; each is looked at only where the room is nearly full.
        if known + (self.here.len() as u64) < most {
            return true;
        }
        let untold = self.here.iter().filter(|(user, here)| {
            let listed = all.filter(|all| all.members.is_some());
            let known = listed.map_or(here.told, |all| all.has(user));
            here.sessions > 0 && !known
        });
        known + (untold.count() as u64) < most
    }

    /// Notes a change; true when nobody is about to tell.
    fn note(&mut self, user: &UserId) -> bool {
        let noted = self.here.get_mut(user).is_some_and(|here| std::mem::replace(&mut here.noted, true));
        if !noted {
            self.changed.push(user.clone());
        }
        self.begin_telling()
    }

    fn begin_telling(&mut self) -> bool {
        !std::mem::replace(&mut self.telling, true)
    }

    /// Others take somebody for gone who is there by way of this node: it is told again.
    fn contradict(&mut self, user: &UserId) {
        if let Some(here) = self.here.get_mut(user).filter(|here| here.sessions > 0 && here.told) {
            here.told = false;
            self.changed.push(user.clone());
        }
    }
}

#[cfg(test)]
mod tests;
