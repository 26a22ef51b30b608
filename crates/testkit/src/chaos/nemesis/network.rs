//! What is done to the ways between gateways and Redis.

use std::time::Duration;

use super::{Nemesis, nodes};
use crate::Fate;
use crate::chaos::arena::{Arena, Ways};
use crate::chaos::crowd::{ROOMS, room};
use crate::chaos::fault::Fault;
use crate::chaos::health::Expectation;

impl Nemesis {
    pub(super) async fn network(&mut self, fault: Fault, arena: &Arena) -> Expectation {
        // One gateway, or all.
        let one = self.random.below(arena.seats.len());
        let all = self.random.below(3) == 0;
        let hit = |index: usize| all || index == one;
        // The way to one primary, or to everything.
        let room = room(self.random.below(ROOMS));
        let primary = &arena.store.nodes()[arena.store.primary_of(&room)];
        let ways = if self.random.below(2) == 0 { Ways::All } else { Ways::To(primary.port()) };
        let networks =
            || arena.seats.iter().enumerate().filter(|(index, _)| hit(*index)).map(|(_, seat)| &seat.network);
        let (up, down, shortest, longest) = match fault {
            Fault::NetworkDeafUp => (Fate::Stall, Fate::Pass, 500, 8000),
            Fault::NetworkDeafDown => (Fate::Pass, Fate::Stall, 500, 8000),
            Fault::NetworkDelayed => {
                let delay = Fate::Delay(Duration::from_millis(self.random.within(20..=200)));
                (delay, delay, 2000, 4000)
            }
            Fault::NetworkThrottled => (Fate::Throttle(20_000), Fate::Throttle(20_000), 2000, 5000),
            Fault::NetworkCut => {
                networks().for_each(|network| network.refuse(ways, true));
                self.last(100, 8000).await;
                networks().for_each(|network| network.refuse(ways, false));
                return Expectation { down: nodes(arena, hit), ..Expectation::default() };
            }
            _ => {
                for _ in 0..self.random.within(2..=5) {
                    networks().for_each(|network| network.treat(ways, Fate::Pass, Fate::Swallow));
                    self.last(50, 300).await;
                    // First cut, or what comes after the gap would pass for the replies.
                    networks().for_each(|network| {
                        network.cut(ways);
                        network.treat(ways, Fate::Pass, Fate::Pass);
                    });
                    self.last(100, 500).await;
                }
                return Expectation::default();
            }
        };
        networks().for_each(|network| network.treat(ways, up, down));
        self.last(shortest, longest).await;
        networks().for_each(|network| network.treat(ways, Fate::Pass, Fate::Pass));
        match fault {
            Fault::NetworkDelayed => Expectation { up: nodes(arena, |_| true), ..Expectation::default() },
            Fault::NetworkThrottled => Expectation::default(),
            _ => Expectation { down: nodes(arena, hit), ..Expectation::default() },
        }
    }
}
