//! The log in one process: what a gateway without Redis uses, and what tests of several nodes share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::RwLock;
use proto::{Position, RoomName, UserId};
use tokio::{
    sync::{broadcast, oneshot},
    time::{Duration, Instant},
};

use crate::{
    Append, Appending, Bus, BusError, Follower, Following, Health, Marked, Mute, NodeId, NodeInfo, Notice,
    Page, PresenceUpdate, ReadFrom, Retentions, RoomInfo, RoomState, RoomsPage, Sanction, Sanctions, Told,
    epoch,
};
use people::People;
use room::{FollowerId, Room};
use tickets::Tickets;

mod here;
mod ids;
mod marks;
mod people;
mod room;
mod tickets;

/// Rooms without followers that are kept at most: whoever joins and leaves rooms without end must not fill the
/// memory. The least recently used go first.
const IDLE_ROOMS: usize = 50_000;

/// How often rooms that nobody needs are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// How many signals a slow receiver may lag behind.
const SIGNALS: usize = 1024;

/// What the nodes of a cluster share when all of them live in one process.
pub struct MemoryHub {
    retentions: RwLock<Retentions>,
    rooms: DashMap<RoomName, Arc<Room>>,
    signals: broadcast::Sender<Bytes>,
    tickets: Tickets,
    notices: broadcast::Sender<Notice>,
    people: People,
    nodes: AtomicU64,
    created: Instant,
    /// When rooms were swept last, in milliseconds since `created`.
    swept: AtomicU64,
}

impl MemoryHub {
    /// A hub without rooms.
    pub fn new(retentions: impl Into<Retentions>) -> Arc<Self> {
        Arc::new(Self {
            retentions: RwLock::new(retentions.into()),
            rooms: DashMap::new(),
            signals: broadcast::Sender::new(SIGNALS),
            tickets: Tickets::default(),
            notices: broadcast::Sender::new(SIGNALS),
            people: People::default(),
            nodes: AtomicU64::new(0),
            created: Instant::now(),
            swept: AtomicU64::new(0),
        })
    }

    /// Another node on this hub.
    pub fn node(self: &Arc<Self>, name: &str) -> MemoryBus {
        let number = self.nodes.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("chorus_bus_up").set(1.0);
        let node = NodeId::new(name);
        self.people.describe(node.as_str(), Bytes::new());
        MemoryBus { hub: Arc::clone(self), node, number, follows: AtomicU64::new(0) }
    }

    fn room(&self, name: &RoomName) -> Arc<Room> {
        if let Some(room) = self.known_room(name) {
            return room;
        }
        self.sweep_at_times();
        let room = || Arc::new(Room::new(self.retentions.read().of(name)));
        Arc::clone(&self.rooms.entry(name.clone()).or_insert_with(room))
    }

    fn known_room(&self, name: &RoomName) -> Option<Arc<Room>> {
        self.rooms.get(name).map(|room| Arc::clone(&room))
    }

    fn sweep_at_times(&self) {
        let now = self.created.elapsed().as_millis() as u64;
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now.saturating_sub(swept) >= SWEEP_EVERY.as_millis() as u64;
        let crowded = self.rooms.len() > 2 * IDLE_ROOMS && now > swept;
        if (due || crowded)
            && self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.sweep();
        }
    }

    /// Forgets rooms that nobody follows: those whose log has expired, and the least recently used above the
    /// bound. A room that somebody holds (its `Arc` has other owners) is in use and stays.
    fn sweep(&self) {
        let mut idle = Vec::new();
        self.rooms.retain(|name, room| {
            let Some(last_use) = room.tidy() else { return true };
            let age_ms = self.retentions.read().of(name).age_ms;
            let expired = last_use.elapsed() > Duration::from_millis(age_ms);
            if !expired {
                idle.push(last_use);
            }
            !expired || Arc::strong_count(room) > 1
        });
        if idle.len() > IDLE_ROOMS {
            let excess = idle.len() - IDLE_ROOMS;
            let (_, &mut oldest_kept, _) = idle.select_nth_unstable(excess);
            self.rooms.retain(|_, room| {
                room.tidy().is_none_or(|last_use| last_use >= oldest_kept) || Arc::strong_count(room) > 1
            });
        }
    }
}

/// One node's handle on a [`MemoryHub`].
pub struct MemoryBus {
    hub: Arc<MemoryHub>,
    node: NodeId,
    number: u64,
    follows: AtomicU64,
}

impl MemoryBus {
    /// A node on a hub of its own.
    pub fn new(name: &str, retentions: impl Into<Retentions>) -> Self {
        MemoryHub::new(retentions).node(name)
    }
}

/// Ends a following when it is dropped.
struct Guard {
    room: Arc<Room>,
    id: FollowerId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.room.unfollow(self.id);
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn append(&self, room: &RoomName, append: Append) -> Appending {
        let (sender, receiver) = oneshot::channel();
        // Nobody can have dropped the receiver yet.
        let _ = sender.send(self.hub.room(room).append(append));
        Appending(receiver)
    }

    fn set_retentions(&self, retentions: Retentions) {
        // First for the rooms to come: one that is made meanwhile is told the same twice.
        self.hub.retentions.write().clone_from(&retentions);
        for room in &self.hub.rooms {
            room.retain(retentions.of(room.key()));
        }
    }

    async fn follow(&self, room: &RoomName, follower: Arc<dyn Follower>) -> Result<Following, BusError> {
        let room = self.hub.room(room);
        let follow = self.follows.fetch_add(1, Ordering::Relaxed);
        let id = FollowerId { node: self.number, follow };
        room.follow(id, follower);
        Ok(Following { _guard: Box::new(Guard { room, id }) })
    }

    async fn read(&self, room: &RoomName, from: ReadFrom, limit: u32) -> Result<Page, BusError> {
        Ok(match self.hub.known_room(room) {
            Some(room) => room.read(&from, limit),
            None => Room::read_unused(&from),
        })
    }

    async fn head(&self, room: &RoomName) -> Result<Position, BusError> {
        Ok(self.hub.known_room(room).map_or_else(|| epoch::Head::none().position(), |room| room.head()))
    }

    async fn publish(&self, room: &RoomName, frame: Bytes) -> Result<(), BusError> {
        if let Some(room) = self.hub.known_room(room) {
            room.publish(&frame);
        }
        Ok(())
    }

    async fn signal(&self, signal: Bytes) -> Result<(), BusError> {
        // It fails only when nobody listens.
        let _ = self.hub.signals.send(signal);
        Ok(())
    }

    fn signals(&self) -> broadcast::Receiver<Bytes> {
        self.hub.signals.subscribe()
    }

    async fn put_ticket(&self, ticket: &str, value: Bytes, ttl_ms: u64) -> Result<(), BusError> {
        self.hub.tickets.put(ticket, value, Duration::from_millis(ttl_ms))
    }

    async fn take_ticket(&self, ticket: &str) -> Result<Option<Bytes>, BusError> {
        Ok(self.hub.tickets.take(ticket))
    }

    async fn read_ticket(&self, ticket: &str, ttl_ms: u64) -> Result<Option<Bytes>, BusError> {
        Ok(self.hub.tickets.read(ticket, Duration::from_millis(ttl_ms)))
    }

    async fn tell_presence(&self, room: &RoomName, update: &PresenceUpdate) -> Result<Told, BusError> {
        Ok(self.hub.room(room).tell_presence(room, &self.node, update))
    }

    async fn room_state(&self, room: &RoomName, most: u64, now_ms: u64) -> Result<RoomState, BusError> {
        let room = self.hub.known_room(room);
        let empty = || RoomState { members: Some(Vec::new()), ..RoomState::default() };
        Ok(room.map_or_else(empty, |room| room.state(most, now_ms)))
    }

    async fn mark_read(
        &self,
        room: &RoomName,
        markers: &[(UserId, Position)],
        tell: bool,
    ) -> Result<Vec<Marked>, BusError> {
        Ok(match self.hub.known_room(room) {
            Some(known) => known.mark_read(room, markers, tell),
            None => vec![Marked::Gone; markers.len()],
        })
    }

    async fn set_mute(
        &self,
        room: &RoomName,
        user: &UserId,
        mute: Option<&Mute>,
        now_ms: u64,
    ) -> Result<(), BusError> {
        self.hub.room(room).mute(user, mute, now_ms);
        Ok(())
    }

    async fn set_sanction(
        &self,
        user: &UserId,
        kind: Sanction,
        value: Option<(&[u8], u64)>,
        now_ms: u64,
    ) -> Result<(), BusError> {
        self.hub.people.set_sanction(user, kind, value, now_ms);
        Ok(())
    }

    async fn sanctions(&self, user: &UserId, now_ms: u64) -> Result<Sanctions, BusError> {
        Ok(self.hub.people.sanctions(user, now_ms))
    }

    async fn claim_sessions(&self, user: &UserId, own: u64, most: u64) -> Result<bool, BusError> {
        Ok(self.hub.people.claim(user, self.node.as_str(), own, most))
    }

    async fn take_rate(
        &self,
        scope: &str,
        per_second: u32,
        burst: u32,
    ) -> Result<Option<Duration>, BusError> {
        Ok(self.hub.people.take_rate(scope, per_second, burst))
    }

    fn describe(&self, status: Bytes) {
        self.hub.people.describe(self.node.as_str(), status);
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, BusError> {
        let info = |(id, status)| NodeInfo { id, status, silent_for: Duration::ZERO };
        Ok(self.hub.people.nodes().into_iter().map(info).collect())
    }

    async fn rooms(&self, after: Option<&str>, limit: u32) -> Result<RoomsPage, BusError> {
        let after = after.map(RoomName::parse).transpose();
        let after = after.map_err(|_| BusError::Config("this cursor was never given".to_owned()))?;
        let mut names: Vec<RoomName> = self.hub.rooms.iter().map(|room| room.key().clone()).collect();
        names.sort_unstable();
        names.retain(|name| after.as_ref().is_none_or(|after| name > after));
        let more = names.len() > limit as usize;
        names.truncate(limit as usize);
        let next = names.last().filter(|_| more).map(ToString::to_string);
        let info = |name: RoomName| {
            let room = self.hub.known_room(&name)?;
            let count = room.state(0, 0).count;
            Some(RoomInfo { head: room.head(), count, name })
        };
        Ok(RoomsPage { rooms: names.into_iter().filter_map(info).collect(), next })
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        self.hub.notices.subscribe()
    }

    fn health(&self) -> Health {
        Health { up: true, detail: "in memory".to_owned(), down_since: None }
    }

    fn node(&self) -> &NodeId {
        &self.node
    }

    async fn close(&self) {
        self.hub.people.gone(self.node.as_str());
        // It fails only when nobody listens.
        let _ = self.hub.notices.send(Notice::Gone(vec![self.node.to_string()]));
    }
}
