//! Whether what the clients saw is what was promised. Pure: histories in, violations out.
//!
//! Per room and receiver: every acknowledged event is there once, in the order of `seq`, without a hole; what is
//! missing was told by a `reset` (or a join that was not `recovered`), and only where a server was lost. Positions
//! mean the same event to everyone and to Redis, and what was never sent, or to a room that was not joined, is
//! never seen. "Once" counts anew after a `reset` that took events back.

mod reader;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::history::{History, Log, Loss, Place, What};
use reader::Reader;

/// After Redis came back, an `ok` from before may still be on its way to a client, in milliseconds.
pub(super) const LATE_OK_MS: u64 = 1000;

/// What is known of a run.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What each client did and saw.
    pub histories: &'a [History],
    /// The logs, as read before each fault that loses something, and at the end, in that order.
    pub logs: &'a [Log],
    /// When Redis was made to lose something.
    pub losses: &'a [Loss],
}

/// A way in which a promise can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An acknowledged event did not reach a receiver.
    Lost,
    /// An event that nobody knows an `ok` of is missing, and the receiver was not told.
    Hole,
    /// An event came twice, or was appended twice.
    Duplicate,
    /// Events came, or were appended, in another order than they should.
    Reordered,
    /// An event of a room that was not joined, or one that nobody sent.
    Ghost,
    /// An `ok` for what is not in the log.
    FalseOk,
    /// One position, two events.
    Disagreement,
    /// A receiver still holds what was lost with a server, or stands in another log, and does not know.
    Untold,
    /// A `reset`, or a join that was not recovered, although nothing was lost.
    NeedlessReset,
    /// A close that tells a client which did nothing wrong to stay away.
    Expelled,
    /// What was acknowledged did not come through, and the node's health said that all is well.
    Deaf,
    /// Deliveries came through, and the node's health said that they did not.
    FalseAlarm,
    /// Since when deliveries do not come through is told wrongly.
    WrongSince,
    /// After a fault, live delivery was not seen again in time.
    NotRecovered,
    /// Somebody who was in a room all the time was said to have left it.
    FalseLeave,
    /// Somebody was named twice where everybody is named once.
    NamedTwice,
    /// Somebody had read less than was told before.
    WentBack,
    /// The nodes, or one of them and Redis, tell different things of what was said and how far it was read.
    Divided,
    /// What was deleted can still be read.
    NotDeleted,
    /// Who was banned is there, or who was muted was heard.
    LetIn,
    /// A fault that did no harm: what came of it shows nothing.
    NoFault,
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub kind: Kind,
    /// When it was seen, in milliseconds since the run began.
    pub at: u64,
    /// By whom: a user or a node.
    pub who: Arc<str>,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ms, {}: {}", self.kind, self.at, self.who, self.what)
    }
}

/// Everything that is wrong with a run.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut checker = Checker { facts: Facts::gather(evidence), evidence, violations: Vec::new() };
    checker.logs();
    checker.positions();
    checker.acknowledgements();
    checker.order_of_senders();
    checker.readers();
    checker.violations.sort_by_key(|violation| violation.at);
    checker.violations
}

/// A room and a position in it.
type Spot<'a> = (&'a str, &'a str, u64);

/// Who sent an event, and under which id.
type Name<'a> = (&'a str, &'a str);

/// What a log holds.
type Names<'a> = HashMap<&'a Place, Name<'a>>;

/// A log, and what it holds by number.
type Branch<'a> = (&'a Log, HashMap<u64, &'a Place>);

/// What must be looked up.
struct Facts<'a> {
    /// The `ok`s, by room, base and number.
    acked: HashMap<Spot<'a>, Name<'a>>,
    /// What was sent, to which room, and when first.
    sent: HashMap<(&'a str, Name<'a>), u64>,
    /// What the last log of each room and base holds, by number.
    branches: HashMap<(&'a str, &'a str), Branch<'a>>,
    /// Each room's log as it was after everything that Redis lost.
    last: HashMap<&'a str, &'a Log>,
}

impl<'a> Facts<'a> {
    fn gather(evidence: &Evidence<'a>) -> Self {
        let (mut sent, mut acked) = (HashMap::new(), HashMap::new());
        let (mut branches, mut last) = (HashMap::new(), HashMap::new());
        for history in evidence.histories {
            for entry in &history.entries {
                match &entry.what {
                    What::Sent { room, id } => {
                        sent.entry((&**room, (&*history.user, &**id))).or_insert(entry.at);
                    }
                    What::Acked { room, id, place } => {
                        acked.insert((&**room, place.base(), place.seq), (&*history.user, &**id));
                    }
                    _ => {}
                }
            }
        }
        for log in evidence.logs {
            let places = log.events.iter().map(|logged| (logged.place.seq, &logged.place)).collect();
            branches.insert((&*log.room, log.head.base()), (log, places));
            // One from before a loss is not what is left in the end.
            if evidence.losses.iter().all(|loss| log.at >= loss.until) {
                last.insert(&*log.room, log);
            }
        }
        Self { acked, sent, branches, last }
    }
}

struct Checker<'a> {
    evidence: &'a Evidence<'a>,
    facts: Facts<'a>,
    violations: Vec<Violation>,
}

impl Checker<'_> {
    fn found(&mut self, kind: Kind, at: u64, who: &str, what: String) {
        self.violations.push(Violation { kind, at, who: who.into(), what });
    }

    /// Each log holds every id once, in numbers without a hole.
    fn logs(&mut self) {
        for log in self.evidence.logs {
            let mut names = HashSet::new();
            for logged in &log.events {
                if !names.insert((&logged.from, &logged.id)) {
                    let what =
                        format!("{}: {} was appended twice, again at {}", log.room, logged.id, logged.place);
                    self.found(Kind::Duplicate, log.at, "redis", what);
                }
            }
            for pair in log.events.windows(2) {
                if pair[1].place.seq != pair[0].place.seq + 1 {
                    let what = format!("{}: {} follows {}", log.room, pair[1].place, pair[0].place);
                    self.found(Kind::Hole, log.at, "redis", what);
                }
            }
        }
    }

    /// A position means one event, to all receivers and in every log.
    fn positions(&mut self) {
        let mut known: HashMap<(&str, &Place), Name<'_>> = HashMap::new();
        for log in self.evidence.logs {
            for logged in &log.events {
                let name = (&*logged.from, &*logged.id);
                let first = *known.entry((&*log.room, &logged.place)).or_insert(name);
                if first != name {
                    let what = format!("{}: {} was {first:?} and is {name:?}", log.room, logged.place);
                    self.found(Kind::Disagreement, log.at, "redis", what);
                }
            }
        }
        for history in self.evidence.histories {
            for entry in &history.entries {
                let What::Event { room, place, from, id } = &entry.what else { continue };
                let name = (&**from, &**id);
                let first = *known.entry((&**room, place)).or_insert(name);
                if first != name {
                    let what = format!("{room}: {place} is {first:?} to others and {name:?} here");
                    self.found(Kind::Disagreement, entry.at, &history.user, what);
                }
            }
        }
        for history in self.evidence.histories {
            for entry in &history.entries {
                let What::Acked { room, id, place } = &entry.what else { continue };
                let name = (&*history.user, &**id);
                if known.get(&(&**room, place)).is_some_and(|other| *other != name) {
                    let what = format!("{room}: ok for {id} at {place}, where another event stands");
                    self.found(Kind::FalseOk, entry.at, &history.user, what);
                }
            }
        }
    }

    /// Every `ok` is in the next log that was read, unless Redis was made to lose it before.
    fn acknowledgements(&mut self) {
        let mut logs: HashMap<&str, Vec<(&Log, Names<'_>)>> = HashMap::new();
        for log in self.evidence.logs {
            let names = log.events.iter().map(|it| (&it.place, (&*it.from, &*it.id))).collect();
            logs.entry(&log.room).or_default().push((log, names));
        }
        for history in self.evidence.histories {
            for entry in &history.entries {
                let What::Acked { room, id, place } = &entry.what else { continue };
                let sent = self.facts.sent.get(&(&**room, (&*history.user, &**id)));
                // What was first said when Redis was there again cannot have gone with what it lost before.
                let excused = |loss: &Loss| {
                    loss.acknowledged
                        && entry.at >= loss.from
                        && entry.at <= loss.until + LATE_OK_MS
                        && sent.is_some_and(|sent| *sent <= loss.until)
                };
                let next = logs.get(&**room).and_then(|logs| logs.iter().find(|(log, _)| log.at >= entry.at));
                let Some((log, names)) = next else {
                    let read = self.evidence.logs.iter().any(|log| log.at >= entry.at);
                    if read && !self.evidence.losses.iter().any(excused) {
                        let what = format!("{room}: ok for {id} at {place}, and the room has no log");
                        self.found(Kind::FalseOk, entry.at, &history.user, what);
                    }
                    continue;
                };
                let first = log.events.first().map_or(log.head.seq + 1, |event| event.place.seq);
                let trimmed = place.base() == log.head.base() && place.seq < first;
                let there = names.get(place);
                if there == Some(&(&*history.user, &**id))
                    || trimmed
                    || self.evidence.losses.iter().any(excused)
                {
                    continue;
                }
                let what = format!("{room}: ok for {id} at {place}, where the log has {there:?}");
                self.found(Kind::FalseOk, entry.at, &history.user, what);
            }
        }
    }

    /// What one connection sent once, without a retry, stands in the order it was sent in.
    fn order_of_senders(&mut self) {
        let mut attempts: HashMap<(&str, Name<'_>), usize> = HashMap::new();
        for history in self.evidence.histories {
            for entry in &history.entries {
                if let What::Sent { room, id } = &entry.what {
                    *attempts.entry((&**room, (&*history.user, &**id))).or_default() += 1;
                }
            }
        }
        let mut places = HashMap::new();
        for log in self.evidence.logs {
            for logged in &log.events {
                // The first, should it be there twice.
                places.entry((&*log.room, (&*logged.from, &*logged.id))).or_insert(&logged.place);
            }
        }
        for history in self.evidence.histories {
            let mut newest: HashMap<&str, &Place> = HashMap::new();
            for entry in &history.entries {
                match &entry.what {
                    What::Connected { .. } => newest.clear(),
                    What::Sent { room, id } if attempts[&(&**room, (&*history.user, &**id))] == 1 => {
                        let Some(place) = places.get(&(&**room, (&*history.user, &**id))) else { continue };
                        if let Some(before) = newest.insert(room, place)
                            && before.epoch == place.epoch
                            && before.seq > place.seq
                        {
                            let what = format!("{room}: {id} went to {place}, before what was sent earlier");
                            self.found(Kind::Reordered, entry.at, &history.user, what);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// What each client saw, in each room.
    fn readers(&mut self) {
        for history in self.evidence.histories {
            let mut readers: HashMap<&str, Reader<'_>> = HashMap::new();
            for entry in &history.entries {
                match &entry.what {
                    What::Disconnected { code, reason } => {
                        readers.values_mut().for_each(Reader::away);
                        if matches!(code, 1002 | 1003 | 1007 | 1008 | 1009) {
                            self.found(Kind::Expelled, entry.at, &history.user, format!("{code} {reason}"));
                        }
                    }
                    What::Joined { room, .. }
                    | What::Left { room }
                    | What::Event { room, .. }
                    | What::Reset { room, .. } => {
                        let new = || Reader::new(&history.user, room);
                        let reader = readers.entry(room).or_insert_with(new);
                        reader.take(entry, &self.facts, self.evidence.losses, &mut self.violations);
                    }
                    _ => {}
                }
            }
            let end = history.entries.last().map_or(0, |entry| entry.at);
            for (_, reader) in readers {
                reader.end(end, &self.facts, &mut self.violations);
            }
        }
    }
}
