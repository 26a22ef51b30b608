//! The rooms of this node: made by the first join, followed while anybody is in them, dropped a while after the
//! last one left.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bus::{Bus, BusError};
use dashmap::DashMap;
use proto::{RoomName, UserId};
use tokio::runtime::Handle;

use crate::{
    auth::Identity,
    config::Now,
    presence::{self, Rule, Tellings},
    relay::Relay,
    room::{Entry, Following, Room, Shared},
};

/// How often tails are looked at for what is too old.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// The rooms of this node. No guard of the map leaves this module.
pub struct Rooms {
    map: DashMap<RoomName, Arc<Room>>,
    bus: Arc<dyn Bus>,
    shared: Arc<Shared>,
    tellings: Tellings,
}

impl std::fmt::Debug for Rooms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rooms").field("rooms", &self.map.len()).finish_non_exhaustive()
    }
}

/// A share in a room: a join under way, or a membership. The room stays while there is one.
pub struct Claim {
    room: Arc<Room>,
    rooms: Arc<Rooms>,
    /// Whose membership it is, if the room keeps note of who is there.
    member: Option<UserId>,
    /// What is not logged and came to the room's tail before this index is old news: see [`Claim::listen`].
    since: u64,
}

impl Claim {
    /// The room.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The rooms that it is one of.
    pub(crate) fn rooms(&self) -> &Arc<Rooms> {
        &self.rooms
    }

    /// Another share in the same room.
    pub(crate) fn share(&self) -> Self {
        Self::of(&self.room, &self.rooms)
    }

    fn of(room: &Arc<Room>, rooms: &Arc<Rooms>) -> Self {
        room.claims.fetch_add(1, Ordering::SeqCst);
        Self { room: Arc::clone(room), rooms: Arc::clone(rooms), member: None, since: 0 }
    }

    /// The index in the room's tail from which on its session hears of what is not logged.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// From now on its session is told of who comes and goes: what it knows of the others is newer than what was said
    /// before, which it is not to hear of any more.
    pub fn listen(&mut self) {
        self.since = self.room.end();
    }

    /// Makes it a session's of this user, who is there as long as it lasts. False when the room is full.
    pub fn attend(&mut self, identity: &Identity) -> bool {
        let config = self.rooms.config();
        if !Rule::of(&config, &self.room.name).kept || self.member.is_some() {
            return true;
        }
        let most = config.namespace(&self.room.name).members;
        let entry = self.room.roster.enter(&identity.user, most, || presence::member(identity));
        if entry == Entry::Full {
            return false;
        }
        self.member = Some(identity.user.clone());
        if entry == Entry::ToBeTold {
            self.rooms.tellings.add(self.share());
        }
        true
    }
}

impl Rooms {
    /// No rooms yet.
    pub fn new(bus: Arc<dyn Bus>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { map: DashMap::new(), bus, shared, tellings: Tellings::default() })
    }

    /// What carries them between nodes.
    pub(crate) fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    /// The rooms of which the bus is to be told who came and went.
    pub(crate) fn tellings(&self) -> &Tellings {
        &self.tellings
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Now {
        self.shared.config.now()
    }

    /// Whether the node is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.get().is_some()
    }

    /// The room of this name, if somebody here is in it or was a moment ago.
    pub fn get(&self, name: &RoomName) -> Option<Arc<Room>> {
        self.map.get(name).map(|entry| Arc::clone(&entry))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.map.len()
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        self.map.iter().map(|entry| Arc::clone(&entry)).collect()
    }

    /// A share in a room that somebody has a share in.
    pub(crate) fn share(self: &Arc<Self>, room: &Arc<Room>) -> Claim {
        Claim::of(room, self)
    }

    /// A share in each of them.
    pub(crate) fn claim_all(self: &Arc<Self>) -> Vec<Claim> {
        // Under its guard a room is not dropped between the look and the claim.
        self.map.iter().map(|entry| Claim::of(&entry, self)).collect()
    }

    /// The room of this name, followed, and known as to what is beside its log. The first who asks has the bus follow it;
    /// whoever comes meanwhile waits for the same answer.
    pub async fn enter(self: &Arc<Self>, name: &RoomName) -> Result<Claim, BusError> {
        let claim = self.claim(name);
        let room = claim.room();
        room.following
            .get_or_try_init(|| async {
                self.bus.follow(name, Arc::new(Relay::new(room, self))).await.map(Following)
            })
            .await?;
        presence::load(self, room).await?;
        Ok(claim)
    }

    /// Counting up under the map's guard keeps the room from being dropped between the look and the claim.
    fn claim(self: &Arc<Self>, name: &RoomName) -> Claim {
        let entry = self.map.entry(name.clone()).or_insert_with(|| {
            // Counted up and down: a length that is read and then set may be set after a later one.
            self.shared.metrics.rooms.increment(1.0);
            Arc::new(Room::new(name.clone(), Arc::clone(&self.shared)))
        });
        Claim::of(&entry, self)
    }

    /// Drops a room if nobody has claimed it again.
    fn drop_if_vacant(&self, name: &RoomName) {
        let dropped = self.map.remove_if(name, |_, room| room.claims.load(Ordering::SeqCst) == 0);
        if dropped.is_some() {
            self.shared.metrics.rooms.decrement(1.0);
        }
        // The room's end unsubscribes; that must not happen under the map's guard, and does not.
        drop(dropped);
    }

    /// Trims the tails of quiet rooms, for as long as the node runs.
    pub async fn trim_forever(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TRIM_INTERVAL);
        loop {
            ticks.tick().await;
            let (rooms, now) = (self.all(), Instant::now());
            rooms.iter().for_each(|room| room.trim(now));
            self.shared.metrics.tail_bytes.set(self.shared.tail_bytes.load(Ordering::Relaxed) as f64);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(user) = self.member.take()
            && self.room.roster.leave(&user)
        {
            self.rooms.tellings.add(self.share());
        }
        if self.room.claims.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        // A short wait and a second look: a reconnect must not cost an unsubscribe and a subscribe.
        let (rooms, name) = (Arc::clone(&self.rooms), self.room.name.clone());
        if let Ok(runtime) = Handle::try_current() {
            let linger = Duration::from_millis(rooms.config().rooms.linger_ms);
            runtime.spawn(async move {
                tokio::time::sleep(linger).await;
                rooms.drop_if_vacant(&name);
            });
        }
    }
}
