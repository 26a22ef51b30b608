//! What is known of a room's events besides the log: which edits a message has, what was deleted, who reacted how.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The marks of one message. They go with the message when the log is trimmed.
#[derive(Default)]
struct Marks {
    /// The edits of it.
    edits: Vec<u64>,
    /// Where it was deleted.
    deleted: Option<u64>,
    /// For a user's reaction, where it was put on or taken away last.
    reactions: BTreeMap<Bytes, (u64, bool)>,
}

/// The marks of a room's messages, by their `seq`.
#[derive(Default)]
pub(super) struct AllMarks(BTreeMap<u64, Marks>);

impl AllMarks {
    /// Where a message was deleted.
    pub(super) fn deleted(&self, target: u64) -> Option<u64> {
        self.0.get(&target)?.deleted
    }

    /// Where a reaction was put on, or taken away, last.
    pub(super) fn reaction(&self, target: u64, what: &Bytes) -> Option<(u64, bool)> {
        self.0.get(&target)?.reactions.get(what).copied()
    }

    /// A message was edited.
    pub(super) fn edited(&mut self, target: u64, edit: u64) {
        self.0.entry(target).or_default().edits.push(edit);
    }

    /// Somebody reacted, or took that back.
    pub(super) fn reacted(&mut self, target: u64, what: Bytes, seq: u64, on: bool) {
        self.0.entry(target).or_default().reactions.insert(what, (seq, on));
    }

    /// A message was deleted. Gives its edits, which go with it.
    pub(super) fn delete(&mut self, target: u64, seq: u64) -> Vec<u64> {
        let marks = self.0.entry(target).or_default();
        marks.deleted = Some(seq);
        std::mem::take(&mut marks.edits)
    }

    /// Forgets what was before the log's first event.
    pub(super) fn trim(&mut self, first: u64) {
        if self.0.first_key_value().is_some_and(|(seq, _)| *seq < first) {
            self.0 = self.0.split_off(&first);
        }
    }
}
