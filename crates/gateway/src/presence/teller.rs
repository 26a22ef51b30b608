//! Who tells the bus who came and went: one for all rooms of the node, a few at a time. A task for each room would be ten
//! thousand at once when a client leaves as many.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{RETRY, Rule};
use crate::{
    room::Changes,
    rooms::{Claim, Rooms},
};

/// How many rooms are told of at the same time.
const AT_ONCE: usize = 32;

/// The rooms of which there is something to tell, by when it is to be told.
#[derive(Default)]
pub(crate) struct Tellings {
    due: Mutex<BinaryHeap<Reverse<Telling>>>,
    sooner: Notify,
}

struct Telling {
    at: Instant,
    claim: Claim,
}

impl Tellings {
    /// Has it told of a room, when changes have been gathered for as long as they are there.
    pub(crate) fn add(&self, claim: Claim) {
        let rule = Rule::of(&claim.rooms().config(), &claim.room().name);
        self.add_after(rule.gather_in(&claim.room().roster), claim);
    }

    fn add_after(&self, wait: Duration, claim: Claim) {
        let at = Instant::now() + wait;
        let mut due = self.due.lock();
        let sooner = due.peek().is_none_or(|Reverse(first)| at < first.at);
        due.push(Reverse(Telling { at, claim }));
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// The next that is due, or when it will be.
    fn next(&self, now: Instant) -> Result<Claim, Option<Instant>> {
        let mut due = self.due.lock();
        match due.peek() {
            Some(Reverse(first)) if first.at <= now => {
                due.pop().map(|Reverse(first)| first.claim).ok_or(None)
            }
            first => Err(first.map(|Reverse(first)| first.at)),
        }
    }
}

/// Tells what is to be told, for as long as the node runs.
pub(super) async fn run(rooms: &Rooms) {
    let mut telling = JoinSet::new();
    loop {
        if telling.len() >= AT_ONCE {
            telling.join_next().await;
            continue;
        }
        match rooms.tellings().next(Instant::now()) {
            Ok(claim) => {
                telling.spawn(tell(claim));
            }
            Err(at) => {
                let due = async {
                    match at {
                        Some(at) => sleep_until(at.into()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => {}
                    () = rooms.tellings().sooner.notified() => {}
                    Some(_) = telling.join_next() => {}
                }
            }
        }
    }
}

/// Tells of one room, and comes back to it while there may be more.
async fn tell(claim: Claim) {
    let (rooms, room) = (claim.rooms().clone(), claim.room());
    let rule = Rule::of(&rooms.config(), &room.name);
    // Whose sessions end in a drain comes back by way of another node, and was never away; those who do not come
    // back are gone with this node.
    if rooms.is_draining() {
        return;
    }
    let (update, more) = match room.roster.take_changes(rule.update(), rule.gather_in(&room.roster) * 2) {
        Changes::None => return,
        Changes::Later => return rooms.tellings().add(claim),
        Changes::Now { update, more } => (update, more),
    };
    let told = rooms.bus().tell_presence(&room.name, &update).await.ok();
    room.roster.told(update, told);
    if told.is_none() {
        // It keeps its place meanwhile: a bus that is away is not asked any faster.
        sleep(RETRY).await;
    }
    // A crowd that all comes at once need not wait for its number as long as one that comes bit by bit.
    let wait = if more { rule.gather } else { rule.gather_in(&room.roster) };
    rooms.tellings().add_after(wait, claim);
}

impl PartialEq for Telling {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Telling {}

impl PartialOrd for Telling {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Telling {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
