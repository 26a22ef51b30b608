//! Whether what was told of who is in a room, and of how far people have read, was so all along. Pure: histories in,
//! violations out. That it is so in the end is asked while everybody is still there: see `audit`.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::checker::{Kind, Violation};
use super::history::{Entry, History, Loss, Place, What};

/// Who has been in a room for so long, in milliseconds, was there: who comes back by another node is said to have left
/// the first one a moment later, and a busy machine makes more of that.
const SETTLED_MS: u64 = 3000;

/// A node that was away for less than three heartbeats, in milliseconds, is not taken for dead.
pub const ALIVE_MS: u64 = 6000;

/// After a time in which somebody may have been taken for dead, that is told within so long: the three heartbeats, the next
/// one, and what a busy machine adds.
pub const TOLD_MS: u64 = 12_000;

/// After a loss, a node has read again what is left within so long. Until then, whoever joins is told what it knew before.
const REREAD_MS: u64 = 5_000;

/// What is wrong with what the clients were told. Nobody is blamed for a leave that was told in one of the times `excused`,
/// in which nodes may have been taken for dead.
pub fn check(histories: &[History], losses: &[Loss], excused: &[Range<u64>]) -> Vec<Violation> {
    let stays = stays(histories);
    let mut violations = Vec::new();
    for history in histories {
        let mut found = |kind, entry: &Entry, what| {
            violations.push(Violation { kind, at: entry.at, who: Arc::clone(&history.user), what });
        };
        // How far each has read, by room, user and log; and when that was told.
        let mut marks: HashMap<(&str, &str, &str), (u64, u64)> = HashMap::new();
        let (mut joined, mut prompt) = (HashSet::new(), true);
        for entry in &history.entries {
            match &entry.what {
                What::Joined { room, .. } => drop(joined.insert(room)),
                What::Left { room } => drop(joined.remove(room)),
                What::Disconnected { .. } => joined.clear(),
                What::Pace { prompt: is } => prompt = *is,
                What::Listed { room, users } => {
                    let mut seen = HashSet::new();
                    for user in users.iter().filter(|user| !seen.insert(*user)) {
                        found(Kind::NamedTwice, entry, format!("{room}: {user} is listed twice"));
                    }
                }
                What::Moved { room, joined: come, left } => {
                    if !joined.contains(room) {
                        found(Kind::Ghost, entry, format!("{room}: presence of a room that was not joined"));
                    }
                    for user in left.iter().filter(|user| come.contains(user)) {
                        found(Kind::NamedTwice, entry, format!("{room}: {user} came and went at once"));
                    }
                    // Who reads at leisure hears late.
                    let judged = prompt && !excused.iter().any(|times| times.contains(&entry.at));
                    for user in left.iter().filter(|_| judged) {
                        if was_there(stays.get(&(&**room, &**user)), entry.at) {
                            let what = format!("{room}: {user} left, who was there");
                            found(Kind::FalseLeave, entry, what);
                        }
                    }
                }
                What::Marked { room, user, place } => {
                    let now = (place.seq, entry.at);
                    let before = marks.insert((&**room, &**user, Place::base(place)), now);
                    let lost = |since: u64| {
                        let gone = |loss: &Loss| loss.from <= entry.at && since <= loss.until + REREAD_MS;
                        losses.iter().any(gone)
                    };
                    if let Some((seq, since)) = before
                        && place.seq < seq
                        && !lost(since)
                    {
                        let what = format!("{room}: {user} had read up to {seq}, and now up to {place}");
                        found(Kind::WentBack, entry, what);
                    }
                }
                _ => {}
            }
        }
    }
    violations
}

/// When each user was in each room, by room and user.
fn stays(histories: &[History]) -> HashMap<(&str, &str), Vec<Range<u64>>> {
    let mut stays: HashMap<_, Vec<_>> = HashMap::new();
    for history in histories {
        let mut since: HashMap<&str, u64> = HashMap::new();
        // Who reads at leisure, or has just done so, hears late that it has left: it may have been any time since then.
        let mut leisure = 0..0;
        let mut end = |room, stay| stays.entry((room, &*history.user)).or_default().push(stay);
        for entry in &history.entries {
            match &entry.what {
                What::Joined { room, .. } => drop(since.entry(room).or_insert(entry.at)),
                What::Left { room } => {
                    if let Some((room, from)) = since.remove_entry(&**room) {
                        end(room, from..left_at(entry.at, &leisure));
                    }
                }
                What::Disconnected { .. } => {
                    let until = left_at(entry.at, &leisure);
                    since.drain().for_each(|(room, from)| end(room, from..until));
                }
                What::Pace { prompt: false } => leisure = entry.at..u64::MAX,
                What::Pace { prompt: true } => leisure.end = entry.at + SETTLED_MS,
                _ => {}
            }
        }
        since.drain().for_each(|(room, from)| end(room, from..u64::MAX));
    }
    stays
}

/// When somebody who heard of it at `at` had left at the earliest.
fn left_at(at: u64, leisure: &Range<u64>) -> u64 {
    if leisure.contains(&at) { leisure.start } else { at }
}

fn was_there(stays: Option<&Vec<Range<u64>>>, at: u64) -> bool {
    stays.into_iter().flatten().any(|stay| stay.start + SETTLED_MS <= at && at < stay.end)
}
