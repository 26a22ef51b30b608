//! What clients do of themselves.

use std::time::Duration;

use super::{Nemesis, nodes};
use crate::chaos::arena::Arena;
use crate::chaos::crowd::{Crowd, Pace, Whom};
use crate::chaos::fault::Fault;
use crate::chaos::health::Expectation;
use crate::chaos::herd;

/// Messages are padded by so many bytes for those who do not read.
pub(super) const PADDING: usize = 4000;

impl Nemesis {
    pub(super) async fn clients(&mut self, fault: Fault, arena: &Arena, crowd: &Crowd) -> Expectation {
        let quarter = Whom::Quarter(self.random.below(4));
        match fault {
            Fault::ClientsCut => {
                for _ in 0..self.random.within(1..=5) {
                    crowd.cut(Whom::Quarter(self.random.below(4)));
                    self.last(50, 500).await;
                }
            }
            Fault::EveryoneReconnects => crowd.cut(Whom::Everybody),
            _ => {
                let slow = fault == Fault::SlowReaders;
                let pace = if slow { Pace::Slow(Duration::from_millis(100)) } else { Pace::Silent };
                crowd.pad(PADDING);
                crowd.pace(quarter, pace);
                self.last(2000, 6000).await;
                crowd.pad(0);
                crowd.pace(Whom::Nobody, Pace::Prompt);
            }
        }
        Expectation { up: nodes(arena, |_| true), ..Expectation::default() }
    }

    /// Ten thousand more clients, who come back at once.
    pub(super) async fn herd(&mut self, arena: &Arena) -> Expectation {
        let doors: Vec<_> = arena.seats.iter().map(|seat| seat.addr).collect();
        let came = herd::reconnect(&doors, self.clock).await;
        let (at, size, failed) = (self.clock.now(), herd::SIZE, came.failed);
        eprintln!(
            "{at:>8} ms  {size} clients were back and level after {:?}, {failed} dials failed",
            came.took
        );
        self.found.extend(came.found);
        // Whether two cores can do that and let every probe pass in time is not what is asked.
        Expectation::default()
    }
}
