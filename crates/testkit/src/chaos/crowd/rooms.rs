//! A member's rooms and the frames that speak of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::room;
use crate::chaos::history::{Place, What};

/// A room as its member knows it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) room: Arc<str>,
    pub(super) number: usize,
    pub(super) stand: Option<Place>,
    pub(super) joined: bool,
    /// How many events to ask for when it comes into it anew.
    recent: u64,
    /// What the join that is under way asked to go on from.
    since: Option<Place>,
    /// Who is there, as far as it was told.
    pub(super) present: BTreeSet<Arc<str>>,
}

impl Seat {
    pub(super) fn new(number: usize, recent: u64) -> Self {
        Self {
            room: room(number),
            number,
            stand: None,
            joined: false,
            recent,
            since: None,
            present: BTreeSet::new(),
        }
    }

    /// The request to join it, from where the member stands.
    pub(super) fn join(&mut self) -> Value {
        self.since = self.stand.clone();
        let mut join = json!({ "type": "join", "room": *self.room, "ref": format!("join {}", self.room) });
        if let Some(since) = &self.since {
            join["since"] = json!({ "epoch": *since.epoch, "seq": since.seq });
        } else if self.recent > 0 {
            join["recent"] = json!(self.recent);
        }
        join
    }

    /// The `ok` of a join.
    pub(super) fn joined(&mut self, ok: &Value) -> What {
        let place = self.place(ok);
        self.joined = true;
        self.stand = Some(place.clone());
        let recovered = ok["recovered"] == true;
        What::Joined { room: Arc::clone(&self.room), place, since: self.since.take(), recovered }
    }

    /// A logged event; and when it was sent.
    pub(super) fn event(&mut self, frame: &Value) -> (What, u64) {
        let place = self.place(frame);
        self.stand = Some(place.clone());
        let text = |name: &str| frame[name].as_str().unwrap_or_default().into();
        let (mut id, data): (Arc<str>, &Value) = (text("id"), &frame["data"]);
        // What was deleted has none, nor has a deletion.
        if !data.is_null() && data["id"].as_str() != Some(&*id) {
            // Nobody sent that.
            id = format!("{id}, with the data of {}", data["id"]).into();
        }
        let what = What::Event { room: Arc::clone(&self.room), place, from: text("from"), id };
        (what, data["sent"].as_u64().unwrap_or(0))
    }

    /// The `ok` that stands in the place of the user's own event: it must be the next one, as that would be.
    pub(super) fn own_event(&mut self, ok: &Value, user: &Arc<str>) -> What {
        let place = self.place(ok);
        self.stand = Some(place.clone());
        let id = ok["id"].as_str().unwrap_or_default().into();
        What::Event { room: Arc::clone(&self.room), place, from: Arc::clone(user), id }
    }

    /// A `reset`.
    pub(super) fn reset(&mut self, frame: &Value) -> What {
        let place = self.place(frame);
        self.stand = Some(place.clone());
        let reason = frame["reason"].as_str().unwrap_or_default().to_owned();
        What::Reset { room: Arc::clone(&self.room), place, reason }
    }

    /// A list of who is there, and how far they have read, as an `ok` has them.
    pub(super) fn listed(&mut self, ok: &Value) -> Vec<What> {
        let users = users(&ok["members"]);
        self.present = users.iter().cloned().collect();
        let mut told = vec![What::Listed { room: Arc::clone(&self.room), users }];
        told.extend(self.marked(ok));
        told
    }

    /// A presence frame.
    pub(super) fn moved(&mut self, frame: &Value) -> What {
        let (joined, left) = (users(&frame["joined"]), users(&frame["left"]));
        self.present.extend(joined.iter().cloned());
        left.iter().for_each(|user| {
            self.present.remove(user);
        });
        What::Moved { room: Arc::clone(&self.room), joined, left }
    }

    /// How far people have read.
    pub(super) fn marked(&self, frame: &Value) -> Vec<What> {
        let marker = |marker: &Value| What::Marked {
            room: Arc::clone(&self.room),
            user: marker["user"].as_str().unwrap_or_default().into(),
            place: self.place(marker),
        };
        frame["markers"].as_array().into_iter().flatten().map(marker).collect()
    }

    /// The position in a frame of this room. Epochs hardly ever change, so the one it has is used again.
    pub(super) fn place(&self, frame: &Value) -> Place {
        let epoch = frame["epoch"].as_str().unwrap_or_default();
        let known = self.stand.as_ref().filter(|stand| *stand.epoch == *epoch);
        let epoch = known.map_or_else(|| epoch.into(), |stand| Arc::clone(&stand.epoch));
        Place { epoch, seq: frame["seq"].as_u64().unwrap_or(0) }
    }
}

fn users(members: &Value) -> Vec<Arc<str>> {
    let members = members.as_array().into_iter().flatten();
    members.filter_map(|member| member["user"].as_str().map(Into::into)).collect()
}

/// An event of a room that the member is not in, for the checker to complain of.
pub(super) fn stray(frame: &Value) -> What {
    let text = |name: &str| frame[name].as_str().unwrap_or_default().into();
    let place = Place { epoch: text("epoch"), seq: frame["seq"].as_u64().unwrap_or(0) };
    What::Event { room: text("room"), place, from: text("from"), id: text("id") }
}
