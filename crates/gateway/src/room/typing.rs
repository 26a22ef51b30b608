//! Who types in a room, as far as its members were told. It ends by itself: whoever's gateway dies, or whose network does,
//! does not type for ever.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proto::{UserId, server};
use tokio::time::sleep;

use super::Room;
use crate::relay::ephemeral_frame;

/// After so long without another word somebody does not type any more.
const TYPING_LIFE: Duration = Duration::from_secs(6);

/// Whoever goes on typing says so at every key; the others hear of it once in this time.
const TYPING_REPEAT: Duration = Duration::from_secs(3);

/// How often those are looked for who stopped without a word.
const LOOK: Duration = Duration::from_secs(1);

/// How many at once are told of in one room. Nobody reads more names than that.
const MOST: usize = 100;

/// Who types, and when that was said last.
#[derive(Debug, Default)]
pub struct Typists {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<UserId, Instant>,
    /// Somebody is on the way to see when it ends.
    watched: bool,
}

impl Typists {
    /// A session here says that its user types, or stopped. Whether the others need to hear it.
    pub fn say(&self, user: &UserId, on: bool, now: Instant) -> bool {
        let known = &mut self.state.lock().known;
        if !on {
            return known.remove(user).is_some();
        }
        let fresh = known.get(user).is_some_and(|said| now.duration_since(*said) < TYPING_REPEAT);
        if !fresh && (known.len() < MOST || known.contains_key(user)) {
            known.insert(user.clone(), now);
            return true;
        }
        false
    }

    /// The room is told so. Whether its members here are to be, and whether somebody is to be sent to see when it ends.
    fn hear(&self, user: &UserId, on: bool, now: Instant) -> (bool, bool) {
        let mut state = self.state.lock();
        let State { known, watched } = &mut *state;
        if !on {
            known.remove(user);
            return (true, false);
        }
        let room = known.len() < MOST || known.contains_key(user);
        if room {
            known.insert(user.clone(), now);
        }
        (room, !std::mem::replace(watched, true))
    }

    /// Those who have not said it again in time; none when nobody is left.
    fn overdue(&self, now: Instant) -> Option<Vec<UserId>> {
        let mut state = self.state.lock();
        let State { known, watched } = &mut *state;
        let overdue = known.extract_if(|_, said| now.duration_since(*said) >= TYPING_LIFE);
        let overdue: Vec<_> = overdue.map(|(user, _)| user).collect();
        *watched = !known.is_empty() || !overdue.is_empty();
        watched.then_some(overdue)
    }
}

impl Room {
    /// The members are told that somebody types, or stopped; not when they are behind with what matters more.
    pub fn hear_typing(self: &Arc<Self>, typing: &server::Typing) {
        let (told, first) = self.typists.hear(&typing.from, typing.on, Instant::now());
        if told && !(typing.on && self.is_behind()) {
            self.push(ephemeral_frame(&server::encode(typing)));
        }
        if first {
            tokio::spawn(stop_typing(Arc::downgrade(self)));
        }
    }
}

/// Tells the members of those who have stopped without a word, until nobody types.
async fn stop_typing(room: std::sync::Weak<Room>) {
    loop {
        sleep(LOOK).await;
        let Some(room) = room.upgrade() else { return };
        let Some(overdue) = room.typists.overdue(Instant::now()) else { return };
        for from in overdue {
            let typing = server::Typing { room: room.name.clone(), from, on: false };
            room.push(ephemeral_frame(&server::encode(&typing)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_knows_is_not_said_again() {
        let (typists, start) = (Typists::default(), Instant::now());
        let alice = UserId::parse("alice").unwrap();
        assert!(!typists.say(&alice, false, start), "nobody thought she did");
        assert!(typists.say(&alice, true, start));
        assert!(!typists.say(&alice, true, start + TYPING_REPEAT / 2));
        assert!(typists.say(&alice, true, start + TYPING_REPEAT));
        assert!(typists.say(&alice, false, start + TYPING_REPEAT));
        assert!(typists.say(&alice, true, start + TYPING_REPEAT));
    }

    #[test]
    fn it_ends_by_itself() {
        let (typists, start) = (Typists::default(), Instant::now());
        let (alice, bob) = (UserId::parse("alice").unwrap(), UserId::parse("bob").unwrap());
        assert_eq!(typists.hear(&alice, true, start), (true, true));
        assert_eq!(typists.hear(&bob, true, start + LOOK), (true, false));
        assert_eq!(typists.overdue(start + TYPING_LIFE), Some(vec![alice]));
        assert_eq!(typists.overdue(start + TYPING_LIFE), Some(vec![]));
        assert_eq!(typists.overdue(start + TYPING_LIFE + LOOK), Some(vec![bob]));
        assert_eq!(typists.overdue(start + TYPING_LIFE + LOOK), None);
        let later = start + 2 * TYPING_LIFE;
        let bob = UserId::parse("bob").unwrap();
        assert_eq!(typists.hear(&bob, true, later), (true, true), "anew");
        assert_eq!(typists.hear(&bob, false, later), (true, false));
        assert_eq!(typists.hear(&bob, true, later), (true, false), "somebody is on the way already");
    }

    #[test]
    fn there_is_an_end_to_them() {
        let (typists, start) = (Typists::default(), Instant::now());
        let user = |number: usize| UserId::parse(&number.to_string()).unwrap();
        assert!((0..MOST).all(|number| typists.hear(&user(number), true, start).0));
        assert!(!typists.hear(&user(MOST), true, start).0);
        assert!(!typists.say(&user(MOST), true, start));
        assert!(typists.hear(&user(0), true, start).0);
    }
}
