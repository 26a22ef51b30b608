//! What is done to gateways.

use rustix::process::Signal;

use super::{Nemesis, nodes};
use crate::chaos::arena::{Arena, Variant};
use crate::chaos::crowd::{Crowd, Whom};
use crate::chaos::fault::Fault;
use crate::chaos::health::Expectation;

impl Nemesis {
    pub(super) async fn gateways(&mut self, fault: Fault, arena: &mut Arena, crowd: &Crowd) -> Expectation {
        let index = self.occupied(arena, crowd);
        let others = nodes(arena, |other| other != index || fault == Fault::GatewayJoins);
        match fault {
            Fault::GatewayKilled => {
                arena.close(index, Signal::KILL).await;
                self.last(0, 2000).await;
                arena.open(index, Variant::Usual).await;
            }
            Fault::GatewayFrozen => {
                arena.freeze(index);
                // A heartbeat is four seconds.
                self.last(4500, 9000).await;
                arena.thaw(index).await;
            }
            Fault::RollingRestart => {
                for index in 0..arena.seats.len() {
                    arena.close(index, Signal::TERM).await;
                    arena.open(index, Variant::Usual).await;
                }
                return Expectation::default();
            }
            Fault::GatewayJoins => {
                arena.add().await;
                // Some of those who come back find the new one; now and then it takes more than one round.
                let joined = arena.seats.len() - 1;
                for turn in 0..24 {
                    crowd.cut(Whom::Quarter(turn % 4));
                    self.last(300, 900).await;
                    if turn >= 3 && has_clients(arena, crowd, joined) {
                        break;
                    }
                }
                arena.remove().await;
            }
            _ => {
                arena.close(index, Signal::TERM).await;
                let lean = fault == Fault::GatewayReconfigured;
                arena.open(index, if lean { Variant::Lean } else { Variant::Usual }).await;
            }
        }
        Expectation { up: others, ..Expectation::default() }
    }

    /// A gateway with clients: those of one that was gone are elsewhere until they are cut.
    pub(super) fn occupied(&mut self, arena: &Arena, crowd: &Crowd) -> usize {
        let (first, count) = (self.random.below(arena.seats.len()), arena.seats.len());
        let mut indices = (first..first + count).map(|index| index % count);
        indices.find(|index| has_clients(arena, crowd, *index)).unwrap_or(first)
    }
}

/// Whether anybody of the crowd is connected to a gateway.
fn has_clients(arena: &Arena, crowd: &Crowd, index: usize) -> bool {
    crowd.is_at(arena.seats[index].addr.port())
}
