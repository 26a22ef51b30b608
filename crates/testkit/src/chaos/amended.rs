//! Whether what was deleted is gone, wherever it could be read. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::checker::{Kind, Violation};
use super::history::{History, Log, Place, What};

/// What the text of a message begins with, and that of its edits, in front of its id.
const BEGIN: &str = "text of ";
/// What it ends with, so that no id is taken for the beginning of another.
const END: char = ';';

/// The ids of messages whose text was found, by where that is.
pub type Found = BTreeMap<Arc<str>, HashSet<Arc<str>>>;

/// The text of a message, and of its edits: it is found wherever it is kept.
pub fn text_of(id: &str) -> String {
    format!("{BEGIN}{id}{END}")
}

/// The ids of the messages whose text is in here.
pub fn texts(haystack: &str) -> HashSet<Arc<str>> {
    let ids = haystack.split(BEGIN).skip(1).filter_map(|after| after.split_once(END));
    ids.map(|(id, _)| id.into()).collect()
}

/// What was deleted, as the author was told and the last logs still have it, and can be read somewhere: `found` are the
/// texts that were found, by the place.
pub fn check(at: u64, histories: &[History], logs: &[Log], found: &Found) -> Vec<Violation> {
    let mut violations = Vec::new();
    let stands = logs.iter().flat_map(|log| log.events.iter().map(|it| (&*log.room, &it.place)));
    let stands: HashSet<(&str, &Place)> = stands.collect();
    for history in histories {
        for entry in &history.entries {
            let What::Deleted { room, id, place } = &entry.what else { continue };
            // The deletion may have been lost with a server, and the checker says whether it was allowed to.
            if !stands.contains(&(&**room, place)) {
                continue;
            }
            for (whence, _) in found.iter().filter(|(_, texts)| texts.contains(id)) {
                let what = format!("{room}: {id} was deleted at {place}, and {whence} has its text");
                violations.push(Violation { kind: Kind::NotDeleted, at, who: Arc::clone(whence), what });
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::{Entry, Logged};

    #[test]
    fn a_deleted_text_is_found_unless_its_deletion_was_lost() {
        let place = |seq| Place { epoch: "a.0".into(), seq };
        let deleted = What::Deleted { room: "lobby".into(), id: "1-2".into(), place: place(5) };
        let history = History { user: "user-1".into(), entries: vec![Entry { at: 1, what: deleted }] };
        let event = Logged { place: place(5), from: "user-1".into(), id: "1-9".into() };
        let log = |events| Log { at: 9, room: "lobby".into(), head: place(6), events };
        let found = |text: &str| BTreeMap::from([("node-0".into(), texts(text))]);
        let kinds = |log, found: &Found| {
            let violations = check(9, std::slice::from_ref(&history), &[log], found);
            violations.into_iter().map(|it| it.kind).collect::<Vec<_>>()
        };
        let held = found(&format!("x{}y{}", text_of("1-2"), text_of("1-3")));
        assert_eq!(kinds(log(vec![event.clone()]), &held), [Kind::NotDeleted]);
        assert!(kinds(log(vec![event]), &found(&text_of("1-22"))).is_empty(), "of another message");
        assert!(kinds(log(Vec::new()), &held).is_empty(), "the deletion was lost");
    }
}
