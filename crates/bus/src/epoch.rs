//! Epochs: how a fork of a room's log is always seen.
//!
//! Replication is asynchronous and a crash may lose the last second, so after a failover or a restart the same
//! `seq` can go to another event. An epoch says which log a `seq` counts in: `<base>.<generation>`. The base is
//! new whenever the log is. The generation goes up whenever the log's server is another one than before:
//! `<n>-<the first 8 hex digits of the server's replication id>`. The number alone would not do: a snapshot that
//! is restored twice gives two different generations 1, and a position in the lost one would pass for true.
//!
//! ```text
//! lineage          0-aaaaaaaa from 1        1-bbbbbbbb from 8
//! log              1 2 3 4 5 6 7            8 9 10        head
//! (0-aaaaaaaa, 7)              holds: nothing after 7 was seen
//! (0-aaaaaaaa, 9)              forked: its 8 and 9 went with the server; true up to 7
//! (1-cccccccc, 9)              another branch: only who knows its lineage can tell where it left this one
//! ```

use std::{fmt, sync::Arc};

use proto::{Epoch, Position, server::ResetReason};

use crate::Verdict;

/// The head of a room that nobody has used yet: reading creates nothing. No log ever has this epoch.
const NO_LOG: &str = "none";

/// A random name: 13 letters and digits that were never used before.
pub(crate) fn random_id() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        // The hasher's keys come from the system as well, by another way.
        use std::hash::{BuildHasher, Hasher};
        bytes = std::hash::RandomState::new().build_hasher().finish().to_le_bytes();
    }
    let bits = u64::from_le_bytes(bytes);
    (0..13).map(|digit| char::from(ALPHABET[(bits >> (5 * digit)) as usize & 31])).collect()
}

/// One generation of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    /// `<n>-<server>`.
    pub(crate) name: Arc<str>,
    /// The `seq` of its first event.
    pub(crate) first: u64,
}

/// The generations of a log, oldest first, at least one. Heads keep the last [`Lineage::KEPT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lineage(Vec<Generation>);

impl Lineage {
    /// How many generations a head keeps; append.lua has the same number.
    pub(crate) const KEPT: usize = 32;

    /// A log that has only known one server.
    pub(crate) fn single(name: &str) -> Self {
        Self(vec![Generation { name: name.into(), first: 1 }])
    }

    /// Reads `<name>:<first> <name>:<first> …`, as heads in Redis have it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let one = |part: &str| {
            let (name, first) = part.split_once(':')?;
            number(name)?;
            Some(Generation { name: name.into(), first: first.parse().ok()? })
        };
        let generations: Vec<Generation> = text.split(' ').map(one).collect::<Option<_>>()?;
        let sound = !generations.is_empty()
            && generations.len() <= Self::KEPT
            && generations.is_sorted_by_key(|generation| generation.first);
        sound.then_some(Self(generations))
    }

    /// The newest generation.
    pub(crate) fn last(&self) -> &str {
        self.0.last().map_or("", |generation| &generation.name)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().rposition(|generation| &*generation.name == name)
    }

    /// Whether a generation is one of them.
    pub(crate) fn lists(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The last `seq` of the generation that `seq` belongs to, if another has begun since.
    pub(crate) fn end_of(&self, seq: u64) -> Option<u64> {
        let next = self.0.iter().skip(1).find(|generation| generation.first > seq)?;
        Some(next.first - 1)
    }

    /// The last `seq` that can belong to the generation at `index`, for a log that ends at `head`.
    fn end(&self, index: usize, head: u64) -> u64 {
        self.0.get(index + 1).map_or(head, |next| head.min(next.first.saturating_sub(1)))
    }
}

/// The head of a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Which log.
    pub(crate) base: Arc<str>,
    /// The newest event's number.
    pub(crate) seq: u64,
    /// How it came to be.
    pub(crate) lineage: Lineage,
}

/// What a position is, seen from a head.
enum Place {
    /// On its log.
    True,
    /// On a branch that left its log behind this position.
    Forked(Position),
    /// In a generation that it does not list.
    Unlisted,
    /// In another log.
    Foreign,
}

impl Head {
    /// What a room looks like that was never used.
    pub(crate) fn none() -> Self {
        Self { base: NO_LOG.into(), seq: 0, lineage: Lineage::single("0") }
    }

    /// Where it stands.
    pub(crate) fn position(&self) -> Position {
        Position { epoch: epoch(&self.base, self.lineage.last()), seq: self.seq }
    }

    /// The position with this number.
    pub(crate) fn at(&self, seq: u64) -> Position {
        let generations = &self.lineage.0;
        let index = generations.partition_point(|generation| generation.first <= seq).saturating_sub(1);
        let name = generations.get(index).map_or("", |generation| &generation.name);
        Position { epoch: epoch(&self.base, name), seq }
    }

    fn place(&self, position: &Position) -> Place {
        let (base, generation) = split(&position.epoch);
        if *base != *self.base {
            return Place::Foreign;
        }
        let Some(index) = self.lineage.find(generation) else { return Place::Unlisted };
        let end = self.lineage.end(index, self.seq);
        if position.seq <= end {
            Place::True
        } else {
            Place::Forked(Position { epoch: position.epoch.clone(), seq: end })
        }
    }

    /// The last position that this log and the one of `other` share, if `other` ends at its `seq`.
    pub(crate) fn last_common(&self, other: &Self) -> Option<Position> {
        if self.base != other.base {
            return None;
        }
        // A shared generation has a shared past, so the newest shared one is the last of the common trunk.
        let (ours, theirs) = (&self.lineage.0, &other.lineage.0);
        let (index, theirs) = ours.iter().enumerate().rev().find_map(|(index, generation)| {
            theirs.iter().position(|other| other == generation).map(|theirs| (index, theirs))
        })?;
        let seq = self.lineage.end(index, self.seq).min(other.lineage.end(theirs, other.seq));
        Some(Position { epoch: epoch(&self.base, &ours[index].name), seq })
    }
}

/// Whether a position holds against a log whose oldest event left is `first` (one above the head when none is).
pub(crate) fn judge(position: &Position, head: &Head, first: u64) -> Verdict {
    match head.place(position) {
        Place::True if position.seq + 1 >= first => Verdict::Holds,
        Place::True => reset(head.at(first.saturating_sub(1)), ResetReason::Trimmed),
        Place::Forked(to) => forked(to, head, first),
        Place::Unlisted | Place::Foreign => reset(head.at(first.saturating_sub(1)), ResetReason::New),
    }
}

/// The same for a reader that knows the lineage of the log that it saw, `own`, up to where it stands.
pub(crate) fn judge_with_lineage(own: &Head, head: &Head, first: u64) -> Verdict {
    let position = own.at(own.seq);
    match (head.place(&position), own.last_common(head)) {
        (Place::Unlisted, Some(to)) if to.seq < own.seq => forked(to, head, first),
        _ => judge(&position, head, first),
    }
}

fn forked(to: Position, head: &Head, first: u64) -> Verdict {
    if to.seq + 1 >= first {
        return reset(to, ResetReason::Forked);
    }
    // What follows the last true position is trimmed: neither `forked` nor `trimmed` alone would tell the reader
    // to forget what it saw *and* that it missed something.
    reset(head.at(first.saturating_sub(1)), ResetReason::New)
}

fn reset(to: Position, reason: ResetReason) -> Verdict {
    Verdict::Reset { to, reason }
}

/// Puts an epoch together. What would be too long is no epoch of ours, and becomes one that no log has.
pub(crate) fn epoch(base: &str, generation: &str) -> Epoch {
    let text = format!("{base}.{generation}");
    Epoch::parse(&text).unwrap_or_else(|_| no_epoch())
}

fn no_epoch() -> Epoch {
    #[expect(clippy::expect_used, reason = "a constant of four letters")]
    Epoch::parse(NO_LOG).expect("an epoch of 1 to 64 bytes")
}

/// The base and the generation; what is not an epoch of ours has an empty generation, which no lineage lists.
pub(crate) fn split(epoch: &Epoch) -> (&str, &str) {
    epoch.as_str().rsplit_once('.').unwrap_or((epoch.as_str(), ""))
}

/// The number of a generation.
pub(crate) fn number(generation: &str) -> Option<u64> {
    generation.split_once('-').map_or(generation, |(number, _)| number).parse().ok()
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lineage: &str, seq: u64) -> Head {
        Head { base: "b".into(), seq, lineage: Lineage::parse(lineage).unwrap() }
    }

    fn at(epoch: &str, seq: u64) -> Position {
        Position { epoch: Epoch::parse(epoch).unwrap(), seq }
    }

    fn told(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Holds => "holds".to_owned(),
            Verdict::Reset { to, reason } => format!("{reason:?} {to}"),
        }
    }

    #[test]
    fn random_ids_fit_and_differ() {
        let (one, other) = (random_id(), random_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 13);
        let longest = format!("{one}.{}-{}", u64::MAX, "f".repeat(8));
        assert!(longest.len() <= Epoch::MAX_BYTES, "{longest}");
        assert_eq!(epoch(&one, &"x".repeat(64)), no_epoch());
    }

    #[test]
    fn lineages_are_read_with_care() {
        assert!(Lineage::parse("0-a:1 1-b:8 2-c:8").is_some(), "a server that appended nothing");
        let long: Vec<String> = (0..33).map(|number| format!("{number}-a:{}", number + 1)).collect();
        for bad in ["", " ", "0-a", "0-a:", "0-a:x", "a:1", "0-a:1 ", "0-a:8 1-b:1", &long.join(" ")] {
            assert_eq!(Lineage::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn positions_are_judged() {
        let head = head("0-a:1 1-b:8", 12);
        let cases = [
            (at("b.0-a", 7), 1, "holds"),
            (at("b.0-a", 0), 1, "holds"),
            (at("b.1-b", 12), 1, "holds"),
            // Who stood in this generation and read backwards has seen nothing untrue.
            (at("b.1-b", 3), 1, "holds"),
            (at("b.0-a", 8), 1, "Forked b.0-a/7"),
            (at("b.1-b", 13), 1, "Forked b.1-b/12"),
            (at("b.0-a", 3), 4, "holds"),
            (at("b.0-a", 3), 5, "Trimmed b.0-a/4"),
            (at("b.0-a", 3), 10, "Trimmed b.1-b/9"),
            (at("b.1-b", 12), 13, "holds"),
            (at("b.0-a", 12), 8, "Forked b.0-a/7"),
            (at("b.0-a", 12), 9, "New b.1-b/8"),
            (at("b.1-c", 9), 1, "New b.0-a/0"),
            (at("c.0-a", 9), 1, "New b.0-a/0"),
            (at("b", 9), 4, "New b.0-a/3"),
            (at("none", 0), 13, "New b.1-b/12"),
        ];
        for (position, first, verdict) in cases {
            assert_eq!(told(&judge(&position, &head, first)), verdict, "{position} with {first} the oldest");
        }
    }

    #[test]
    fn who_knows_its_lineage_is_told_where_it_forked() {
        let now = head("0-a:1 1-b:8 2-c:20", 30);
        let cases = [
            (head("0-a:1 1-d:5", 9), "Forked b.0-a/4"),
            (head("0-a:1 1-d:11", 19), "Forked b.0-a/7"),
            (head("0-a:1 1-b:8 2-d:15", 16), "Forked b.1-b/14"),
            (head("0-a:1 1-b:8 2-d:25", 26), "Forked b.1-b/19"),
            (head("0-a:1 1-b:8", 18), "holds"),
            (head("0-x:1", 4), "New b.0-a/0"),
            // It knew of the next generation, but has seen nothing of it.
            (head("0-a:1 1-d:9", 7), "holds"),
        ];
        for (own, verdict) in cases {
            assert_eq!(told(&judge_with_lineage(&own, &now, 1)), verdict, "{own:?}");
        }
    }
}
