//! Messages with `echo: false`: their `ok` takes their event's place, for the sender's connection only.
//!
//! Two things happen to such a message, in either order: the append is answered, and the event comes by the relay.
//! The event's arrival puts the `ok` where the event will pass. If the event will not come any more (a duplicate, a
//! reset, the sender left), the `ok` is sent by itself and says `duplicate`: to a client any other `ok` is the event.
//! Whoever takes the entry out of the map sends it: so once.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bus::{Appended, Key, LogEvent};
use bytes::Bytes;
use parking_lot::Mutex;
use proto::Position;

use super::Room;
use crate::connection::{Connection, membership::Instead};

/// Makes the frame that takes the event's place; empty for a request without a `ref`.
type Reply = Box<dyn Fn(&Appended) -> Bytes + Send>;

/// The messages of a room that want no echo and whose events have yet to come.
#[derive(Default)]
pub struct Echo {
    waiting: Mutex<HashMap<Key, Waiting>>,
    /// The size of the map, to be looked at for every event without its lock.
    count: AtomicUsize,
}

struct Waiting {
    sender: Arc<Connection>,
    reply: Reply,
    /// Where the event stands, once the append was answered.
    appended: Option<Appended>,
}

impl std::fmt::Debug for Echo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Echo").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Echo {
    /// Notes a message before it is appended. False if one with the same key is under way already: the two will
    /// become one event, whose place is taken.
    pub fn expect(
        &self,
        key: &Key,
        sender: &Arc<Connection>,
        reply: impl Fn(&Appended) -> Bytes + Send + 'static,
    ) -> bool {
        let mut waiting = self.waiting.lock();
        let free = !waiting.contains_key(key);
        if free {
            let entry = Waiting { sender: Arc::clone(sender), reply: Box::new(reply), appended: None };
            waiting.insert(key.clone(), entry);
            self.count.store(waiting.len(), Ordering::SeqCst);
        }
        free
    }

    /// The relay has an event in hand that is about to enter the tail.
    pub fn arrives(&self, room: &Arc<Room>, event: &LogEvent) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(Waiting { sender, reply, .. }) = self.take(&event.key) {
            let ok = |duplicate| reply(&Appended { position: event.position.clone(), duplicate });
            let instead = Instead { placed: ok(false), alone: ok(true) };
            sender.replace_event(room, event.position.seq, instead);
        }
        // Another event stands where one was waited for: that one was lost with a server.
        self.answer_all(|_, appended| appended.position.seq <= event.position.seq);
    }

    /// The append was answered, and the caller's `ok` goes out by itself if the event won't come to this sender.
    pub fn answered(&self, room: &Arc<Room>, key: &Key, appended: &Appended) {
        match self.waiting.lock().get_mut(key) {
            Some(entry) => entry.appended = Some(appended.clone()),
            None => return,
        }
        // A sender that leaves looks here after it left; so one of the two sees the other.
        let gone = |sender: &Arc<Connection>| sender.room(&room.name).is_none();
        // Numbers of another epoch say nothing: whether the event comes behind a reset, or not at all, is not known here.
        let passed =
            |head: &Position| head.epoch != appended.position.epoch || head.seq >= appended.position.seq;
        let late = appended.duplicate || room.with_tail(|tail| passed(tail.head()));
        self.answer_all(|sender, answered| answered == appended && (late || gone(sender)));
    }

    /// The append failed: the event may still come, and is then an event like any other.
    pub fn failed(&self, key: &Key) {
        self.take(key);
    }

    /// The sender left: what was appended for it is answered now.
    pub fn release(&self, sender: &Arc<Connection>) {
        self.answer_all(|other, _| Arc::ptr_eq(other, sender));
    }

    /// The room was reset: events that were waited for may never come.
    pub fn reset(&self) {
        self.answer_all(|_, _| true);
    }

    /// Answers those whose append was answered, and whom `concerned` picks, without waiting for their event.
    fn answer_all(&self, concerned: impl Fn(&Arc<Connection>, &Appended) -> bool) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        let known: Vec<_> = waiting
            .extract_if(|_, entry| {
                entry.appended.as_ref().is_some_and(|appended| concerned(&entry.sender, appended))
            })
            .collect();
        self.count.store(waiting.len(), Ordering::SeqCst);
        drop(waiting);
        for (_, Waiting { sender, reply, appended }) in known {
            // It stands in no event's place, and a client would take it for the event unless it says so.
            let alone = appended.map(|appended| reply(&Appended { duplicate: true, ..appended }));
            if let Some(ok) = alone.filter(|ok| !ok.is_empty()) {
                sender.send(ok);
            }
        }
    }

    fn take(&self, key: &Key) -> Option<Waiting> {
        let mut waiting = self.waiting.lock();
        let entry = waiting.remove(key);
        self.count.store(waiting.len(), Ordering::SeqCst);
        entry
    }
}
