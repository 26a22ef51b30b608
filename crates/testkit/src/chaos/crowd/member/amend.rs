//! What a member does to what it has said: it edits some of it, and deletes some.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Member, Pending, QUIET};
use crate::chaos::amended::text_of;
use crate::chaos::history::{Place, What};

/// Those who ask for an echo of what they say and change some of it are every so many.
const AMENDERS: usize = 2;
/// The last messages that it may change.
const KEPT: usize = 4;
/// Every so many messages it changes one.
const CHANGING: usize = 4;

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Something is said.
    Say,
    /// Something else is put in the place of what was said.
    Edit(Said),
    /// What was said is taken back.
    Delete(Said),
}

/// A message of one's own that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Said {
    room: Arc<str>,
    id: Arc<str>,
    place: Place,
}

impl Member {
    /// Now and then it changes what it has said.
    pub(super) fn amend(&mut self) {
        if self.number % QUIET != AMENDERS || self.random.below(CHANGING) > 0 {
            return;
        }
        // One that stays for a while, and may be deleted later.
        let edits = self.random.below(2) == 0;
        let said = if edits { self.said.front().cloned() } else { self.said.pop_front() };
        let Some(said) = said else { return };
        self.submit(Arc::clone(&said.room), if edits { Deed::Edit(said) } else { Deed::Delete(said) });
    }

    /// What it wanted was done.
    pub(super) fn noted(&mut self, pending: &Pending, place: Place) {
        match &pending.what {
            Deed::Say => {
                self.said.truncate(KEPT - 1);
                let (room, id) = (Arc::clone(&pending.room), Arc::clone(&pending.id));
                self.said.push_back(Said { room, id, place });
            }
            Deed::Edit(_) => {}
            Deed::Delete(said) => {
                let (room, id) = (Arc::clone(&said.room), Arc::clone(&said.id));
                self.record(What::Deleted { room, id, place });
            }
        }
    }
}

impl Pending {
    /// The request, but for its `ref`.
    pub(super) fn frame(&self, padding: usize) -> Value {
        let data = |of: &str| json!({ "id": *self.id, "sent": self.sent, "text": text_of(of) });
        let target = |said: &Said| json!({ "epoch": *said.place.epoch, "seq": said.place.seq });
        let mut frame = match &self.what {
            Deed::Say => {
                let mut data = data(&self.id);
                data["padding"] = json!("x".repeat(padding));
                json!({ "type": "message", "data": data })
            }
            Deed::Edit(said) => json!({ "type": "edit", "target": target(said), "data": data(&said.id) }),
            Deed::Delete(said) => json!({ "type": "delete", "target": target(said) }),
        };
        (frame["room"], frame["id"]) = (json!(*self.room), json!(*self.id));
        frame
    }

    /// Whether it will never be done, as the error says: what it is about was lost with a server, or was deleted.
    pub(super) fn is_pointless(&self, code: &str) -> bool {
        !matches!(self.what, Deed::Say) && code == "not_found"
    }
}
