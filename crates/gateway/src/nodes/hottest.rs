//! The rooms with the most deliveries. They are looked at once in a while, so a message's way knows nothing of it.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{task, time::Instant};
use utoipa::ToSchema;

use crate::{room::Room, rooms::Rooms};

/// How many are told.
const TOLD: usize = 10;

/// How often they are looked at. More often than that an order that changes could not be read; and each look must be
/// seen once at least by those who hear of this node every two seconds.
const INTERVAL: Duration = Duration::from_secs(3);

/// The most rooms that are looked at in an interval, on the average: where there are more, it is done less often.
const ROOMS: usize = 30_000;

/// Rooms after which others go on.
const ROOMS_PER_TURN: usize = 500;

/// A room that much is said in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HotRoom {
    /// Its name.
    pub room: String,
    /// The node's connections in it.
    pub members: u64,
    /// Events that came in the last three seconds, by the second; to one decimal.
    pub messages_per_second: f64,
    /// The same to each of the members.
    pub deliveries_per_second: f64,
}

/// Knows which rooms are hot.
#[derive(Debug)]
pub(super) struct Thermometer {
    hottest: Vec<HotRoom>,
    measured: Instant,
    due: Instant,
}

impl Thermometer {
    pub(super) fn new(now: Instant) -> Self {
        Self { hottest: Vec::new(), measured: now, due: now }
    }

    /// The rooms that were the hottest when it was measured last.
    pub(super) fn hottest(&self) -> &[HotRoom] {
        &self.hottest
    }

    /// Looks at all rooms, if it is time.
    pub(super) async fn measure(&mut self, rooms: &Rooms) {
        // The ticks are no more exact than that.
        let now = Instant::now();
        if now + Duration::from_millis(100) < self.due {
            return;
        }
        let all = rooms.all();
        let seconds = (now - self.measured).as_secs_f64();
        self.measured = now;
        self.due = now + pause(all.len());
        let mut hottest = BinaryHeap::with_capacity(TOLD + 1);
        for some in all.chunks(ROOMS_PER_TURN) {
            for room in some {
                let events = room.events_since_last_asked();
                if events == 0 {
                    continue;
                }
                let members = room.members.count() as u64;
                hottest.push(Reverse(Heat { deliveries: events * members, events, members, room }));
                if hottest.len() > TOLD {
                    hottest.pop();
                }
            }
            task::yield_now().await;
        }
        let sorted = hottest.into_sorted_vec();
        self.hottest = sorted.into_iter().map(|Reverse(heat)| heat.told(seconds)).collect();
    }
}

/// What a room's place depends on, the weightiest first.
struct Heat<'a> {
    deliveries: u64,
    events: u64,
    members: u64,
    room: &'a Arc<Room>,
}

impl Heat<'_> {
    fn key(&self) -> (u64, u64, &str) {
        (self.deliveries, self.events, self.room.name.as_str())
    }

    fn told(&self, seconds: f64) -> HotRoom {
        // The first look comes at once, and finds every room new.
        let rate = |count: u64| (count as f64 / seconds.max(0.001) * 10.0).round() / 10.0;
        HotRoom {
            room: self.room.name.to_string(),
            members: self.members,
            messages_per_second: rate(self.events),
            deliveries_per_second: rate(self.deliveries),
        }
    }
}

impl PartialEq for Heat<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Heat<'_> {}

impl PartialOrd for Heat<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Heat<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// How long after a look at so many rooms the next one is due.
fn pause(rooms: usize) -> Duration {
    INTERVAL * rooms.div_ceil(ROOMS).max(1) as u32
}

#[cfg(test)]
mod tests {
    use bus::{Append, Bus, Key, MemoryBus};
    use proto::RoomName;

    use super::*;
    use crate::{config::Config, metrics::Metrics, room::Shared};

    const MANY: usize = 2_000;

    /// Ten rooms are louder than the others; what was said before is not counted again.
    #[tokio::test]
    async fn the_loudest_are_told_the_loudest_first() {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new("node", Config::default().retentions()));
        let shared = Shared::new(Arc::new(Config::default().into()), Arc::default(), Metrics::new().into());
        let rooms = Rooms::new(Arc::clone(&bus), Arc::new(shared));
        let (mut claims, mut unique) = (Vec::new(), 0);
        let name = |number: usize| RoomName::parse(&format!("room-{number}")).unwrap();
        for number in 0..MANY {
            claims.push(rooms.enter(&name(number)).await.unwrap());
        }
        let mut say = async |room: usize, times: usize| {
            for _ in 0..times {
                unique += 1;
                let append =
                    Append::message("\"type\":\"message\"}".into(), Key::of_node(bus.node(), unique));
                bus.append(&name(room), append).await.unwrap();
            }
        };
        for number in 0..MANY {
            say(number, 1).await;
        }
        for loud in 0..TOLD {
            say(loud * 100, 10 + loud).await;
        }
        let mut thermometer = Thermometer::new(Instant::now());
        thermometer.measure(&rooms).await;
        let told: Vec<_> = thermometer.hottest().iter().map(|hot| &*hot.room).collect();
        let expected: Vec<_> = (0..TOLD).rev().map(|loud| format!("room-{}", loud * 100)).collect();
        assert_eq!(told, expected);

        thermometer.due = Instant::now();
        say(7, 1).await;
        thermometer.measure(&rooms).await;
        let told: Vec<_> = thermometer.hottest().iter().map(|hot| &*hot.room).collect();
        assert_eq!(told, ["room-7"], "what is quiet is not hot");
    }

    #[test]
    fn many_rooms_are_looked_at_less_often() {
        assert_eq!((pause(0), pause(ROOMS)), (INTERVAL, INTERVAL));
        assert_eq!((pause(ROOMS + 1), pause(10 * ROOMS)), (2 * INTERVAL, 10 * INTERVAL));
    }
}
