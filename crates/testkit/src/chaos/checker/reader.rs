//! One client in one room.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{Facts, Kind, Loss, Place, Violation, What};
use crate::chaos::history::Entry;

/// By then a node has heard that a server lost something, in milliseconds.
const HEARD_MS: u64 = 2000;

/// What a client holds of a room: events behind a start, and what it was told.
pub(super) struct Reader<'a> {
    user: &'a str,
    room: &'a str,
    joined: bool,
    /// Where it stands.
    stand: Option<&'a Place>,
    /// Its events follow on this number.
    start: u64,
    seen: BTreeMap<u64, &'a Place>,
    /// When each event that counts was seen, by sender and id, at which number.
    names: HashMap<(&'a str, &'a str), u64>,
    /// When it joined first, or was last told that something is gone.
    told: u64,
    /// Logs that it was told are gone, by their bases.
    left: HashSet<&'a str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(user: &'a str, room: &'a str) -> Self {
        Self {
            user,
            room,
            joined: false,
            stand: None,
            start: 0,
            seen: BTreeMap::new(),
            names: HashMap::new(),
            told: 0,
            left: HashSet::new(),
        }
    }

    /// Its connection has ended.
    pub(super) fn away(&mut self) {
        self.joined = false;
    }

    pub(super) fn take(
        &mut self,
        entry: &'a Entry,
        facts: &Facts<'a>,
        losses: &[Loss],
        out: &mut Vec<Violation>,
    ) {
        let at = entry.at;
        match &entry.what {
            What::Joined { place, since, recovered: true, .. } => {
                let stood = self.stand.map(|stand| stand.seq);
                if since.as_ref() != Some(place) || stood != Some(place.seq) {
                    let what = format!("recovered at {place}, but stood at {:?}", self.stand);
                    self.found(Kind::Hole, at, what, out);
                    self.begin_at(place);
                }
                (self.joined, self.stand) = (true, Some(place));
            }
            What::Joined { place, since, .. } => {
                self.close(at, facts, out);
                if since.is_some() {
                    self.told("a join was not recovered", at, place, losses, out);
                } else {
                    // A node that has not heard of a loss yet lets somebody in on the branch that is gone.
                    self.told = at.saturating_sub(HEARD_MS);
                }
                self.names.clear();
                self.begin_at(place);
                self.joined = true;
            }
            What::Left { .. } => self.joined = false,
            What::Event { place, from, id, .. } => self.event(at, place, (from, id), facts, out),
            What::Reset { place, reason, .. } => {
                self.close(at, facts, out);
                self.told(reason, at, place, losses, out);
                match reason.as_str() {
                    "forked" => {
                        self.must_be_gone(at, place, facts, out);
                        self.take_back(at, place, out);
                    }
                    // What came before still counts.
                    "trimmed" => self.begin_at(place),
                    _ => {
                        self.names.clear();
                        self.begin_at(place);
                    }
                }
            }
            _ => {}
        }
    }

    fn event(
        &mut self,
        at: u64,
        place: &'a Place,
        (from, id): (&'a Arc<str>, &'a Arc<str>),
        facts: &Facts<'a>,
        out: &mut Vec<Violation>,
    ) {
        if !self.joined {
            self.found(Kind::Ghost, at, format!("{place} came without a join"), out);
            return;
        }
        let name = (&**from, &**id);
        if !facts.sent.contains_key(&(self.room, name)) {
            self.found(Kind::Ghost, at, format!("{place}: {name:?} was never sent"), out);
        }
        if self.stand.is_some_and(|stand| stand.base() != place.base()) {
            self.found(Kind::Untold, at, format!("{place} came where {:?} was", self.stand), out);
            self.begin_at(place);
            self.start = place.seq - 1;
        }
        if self.stand.is_some_and(|stand| stand.epoch != place.epoch) {
            // Another server goes on: what that one never had is to be told before.
            self.compare(at, facts, out);
        }
        let newest = self.seen.last_key_value().map_or(self.start, |(seq, _)| *seq);
        if self.seen.contains_key(&place.seq) {
            return self.found(Kind::Duplicate, at, format!("{place} came twice"), out);
        }
        if let Some(first) = self.names.insert(name, place.seq) {
            self.found(Kind::Duplicate, at, format!("{id} came at {first} and again at {place}"), out);
        }
        if place.seq < newest || place.seq <= self.start {
            self.found(Kind::Reordered, at, format!("{place} came after {newest}"), out);
        }
        if place.seq > self.start {
            self.seen.insert(place.seq, place);
        }
        self.stand = Some(place);
    }

    /// The end of the run: whoever is there has everything that the log has.
    pub(super) fn end(mut self, at: u64, facts: &Facts<'a>, out: &mut Vec<Violation>) {
        let (Some(log), Some(stand)) = (facts.last.get(self.room), self.stand) else {
            return self.close(at, facts, out);
        };
        if !self.joined {
            return self.close(at, facts, out);
        }
        if stand.base() != log.head.base() {
            self.close(at, facts, out);
            let what = format!("stands at {stand}, the log at {}, and was not told", log.head);
            return self.found(Kind::Untold, at, what, out);
        }
        self.compare(at, facts, out);
        self.close_to(at, log.head.seq, facts, out);
    }

    /// Complains of what it holds and the log it stands in has not, as far as that goes.
    fn compare(&self, at: u64, facts: &Facts<'a>, out: &mut Vec<Violation>) {
        let branch = self.stand.and_then(|stand| facts.branches.get(&(self.room, stand.base())));
        let Some((log, places)) = branch else { return };
        let first = log.events.first().map_or(log.head.seq + 1, |event| event.place.seq);
        // What is newer than the log's last reading is in no log that is known, unless it was the last of all.
        let last = facts.last.get(self.room).is_some_and(|last| std::ptr::eq(*last, *log));
        let end = if last { u64::MAX } else { log.head.seq };
        for (seq, place) in self.seen.range(first..) {
            if *seq <= end && places.get(seq) != Some(place) {
                self.found(Kind::Untold, at, format!("holds {place}, which is gone"), out);
            }
        }
    }

    /// Complains of what is missing up to the newest event.
    fn close(&mut self, at: u64, facts: &Facts<'a>, out: &mut Vec<Violation>) {
        let newest = self.seen.last_key_value().map_or(self.start, |(seq, _)| *seq);
        self.close_to(at, newest, facts, out);
    }

    fn close_to(&mut self, at: u64, end: u64, facts: &Facts<'a>, out: &mut Vec<Violation>) {
        let Some(stand) = self.stand else { return };
        for seq in self.start + 1..=end {
            if self.seen.contains_key(&seq) {
                continue;
            }
            match facts.acked.get(&(self.room, stand.base(), seq)) {
                Some((user, id)) => {
                    let what = format!("{seq} is missing: {id}, which {user} was told ok");
                    self.found(Kind::Lost, at, what, out);
                }
                None => self.found(Kind::Hole, at, format!("{seq} is missing"), out),
            }
        }
    }

    fn begin_at(&mut self, place: &'a Place) {
        self.seen.clear();
        self.start = place.seq;
        self.stand = Some(place);
    }

    /// What came after `place` was lost with a server.
    fn take_back(&mut self, at: u64, place: &'a Place, out: &mut Vec<Violation>) {
        let newest = self.seen.last_key_value().map_or(self.start, |(seq, _)| *seq);
        if self.stand.is_some_and(|stand| stand.base() != place.base()) {
            self.found(
                Kind::Untold,
                at,
                format!("forked to {place}, in another log than {:?}", self.stand),
                out,
            );
        }
        if place.seq == newest {
            self.found(Kind::NeedlessReset, at, format!("forked to {place}, where it stood"), out);
        }
        if place.seq > newest {
            self.found(Kind::Hole, at, format!("forked to {place}, past {newest}, where it stood"), out);
            self.seen.clear();
            self.start = place.seq;
        }
        self.seen.split_off(&(place.seq + 1));
        self.names.retain(|_, seq| *seq <= place.seq);
        self.start = self.start.min(place.seq);
        self.stand = Some(place);
    }

    /// It was told that it stood on a branch that is gone: where it stood, nothing of that may be in the log that was
    /// read last. A server that is replaced without a loss costs nobody anything.
    fn must_be_gone(&self, at: u64, to: &Place, facts: &Facts<'a>, out: &mut Vec<Violation>) {
        let Some(stand) = self.stand.filter(|stand| to.seq < stand.seq) else { return };
        let there =
            facts.branches.get(&(self.room, stand.base())).and_then(|(_, places)| places.get(&stand.seq));
        if there == Some(&stand) {
            let what = format!("forked to {to}, though {stand}, where it stood, is in the log");
            self.found(Kind::NeedlessReset, at, what, out);
        }
    }

    /// It was told that something is gone: that must be so, once for each loss. Where it goes on in another log, it may
    /// have come into the old one when that was gone already and its node had not heard of it; but nobody goes back.
    fn told(&mut self, how: &str, at: u64, to: &'a Place, losses: &[Loss], out: &mut Vec<Violation>) {
        let moved = self.stand.map(Place::base).filter(|base| *base != to.base());
        self.left.extend(moved);
        let fresh = moved.is_some() && !self.left.contains(to.base());
        if !losses.iter().any(|loss| loss.from <= at && (fresh || loss.until >= self.told)) {
            let what = format!("{how}, though nothing was lost since {} ms", self.told);
            self.found(Kind::NeedlessReset, at, what, out);
        }
        self.told = at;
    }

    fn found(&self, kind: Kind, at: u64, mut what: String, out: &mut Vec<Violation>) {
        what.insert_str(0, &format!("{}: ", self.room));
        out.push(Violation { kind, at, who: self.user.into(), what });
    }
}
