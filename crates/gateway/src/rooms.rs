//! The rooms of this node: made by the first join, followed while anybody is in them, dropped a while after the
//! last one left.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bus::{Bus, BusError};
use dashmap::DashMap;
use proto::RoomName;

use crate::{
    relay::Relay,
    room::{Following, Room, Shared},
};

/// How often tails are looked at for what is too old.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// The rooms of this node. No guard of the map leaves this module.
pub struct Rooms {
    map: DashMap<RoomName, Arc<Room>>,
    bus: Arc<dyn Bus>,
    shared: Arc<Shared>,
    linger: Duration,
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
}

impl Claim {
    /// The room.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Rooms {
    /// No rooms yet. They will be dropped `linger` after their last member left.
    pub fn new(bus: Arc<dyn Bus>, shared: Arc<Shared>, linger: Duration) -> Arc<Self> {
        Arc::new(Self { map: DashMap::new(), bus, shared, linger })
    }

    /// The room of this name, followed. The first who asks has the bus follow it; whoever comes meanwhile waits
    /// for the same answer.
    pub async fn enter(self: &Arc<Self>, name: &RoomName) -> Result<Claim, BusError> {
        let claim = self.claim(name);
        let room = claim.room();
        room.following
            .get_or_try_init(|| async {
                self.bus.follow(name, Arc::new(Relay::new(room))).await.map(Following)
            })
            .await?;
        Ok(claim)
    }

    /// Counting up under the map's guard keeps the room from being dropped between the look and the claim.
    fn claim(self: &Arc<Self>, name: &RoomName) -> Claim {
        let entry = self.map.entry(name.clone()).or_insert_with(|| {
            // Counted up and down: a length that is read and then set may be set after a later one.
            self.shared.metrics.rooms.increment(1.0);
            Arc::new(Room::new(name.clone(), Arc::clone(&self.shared)))
        });
        let room = Arc::clone(&entry);
        room.claims.fetch_add(1, Ordering::SeqCst);
        drop(entry);
        Claim { room, rooms: Arc::clone(self) }
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
            let rooms: Vec<_> = self.map.iter().map(|entry| Arc::clone(&entry)).collect();
            let now = Instant::now();
            rooms.iter().for_each(|room| room.trim(now));
            self.shared.metrics.tail_bytes.set(self.shared.tail_bytes.load(Ordering::Relaxed) as f64);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.room.claims.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        // A short wait and a second look: a reconnect must not cost an unsubscribe and a subscribe.
        let (rooms, name) = (Arc::clone(&self.rooms), self.room.name.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(rooms.linger).await;
                rooms.drop_if_vacant(&name);
            });
        }
    }
}
