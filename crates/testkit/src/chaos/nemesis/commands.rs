//! What an administrator can do to a server with a command.

use super::{Nemesis, nodes, restore};
use crate::chaos::arena::{Arena, Ways};
use crate::chaos::crowd::Crowd;
use crate::chaos::fault::Fault;
use crate::chaos::health::Expectation;
use crate::{Fate, Redis};

/// Pub/sub buffers are cut beyond this; messages are padded to fill them.
const SMALL_BUFFER: &str = "pubsub 64kb 32kb 1";
const LARGE_PADDING: usize = 14_000;
/// By then it has cut somebody, or will not.
const BUFFER_FILLS_MS: u64 = 5000;
/// Two large messages in one turn of Redis' loop are too much for this.
const TINY_BUFFER: &str = "pubsub 1kb 1kb 1";
/// As Redis has it by default.
const USUAL_BUFFER: &str = "pubsub 32mb 8mb 60";

impl Nemesis {
    pub(super) async fn commands(&mut self, fault: Fault, arena: &Arena, crowd: &Crowd) -> Expectation {
        let all = |command: &[&str]| {
            arena.store.nodes().iter().for_each(|node| {
                node.command(command);
            });
        };
        match fault {
            Fault::SubscribersCut | Fault::PublishersCut => {
                let kind = if fault == Fault::SubscribersCut { "pubsub" } else { "normal" };
                for _ in 0..self.random.within(1..=4) {
                    all(&["CLIENT", "KILL", "TYPE", kind]);
                    self.last(50, 600).await;
                }
                Expectation::default()
            }
            Fault::ScriptsFlushed => {
                for _ in 0..self.random.within(3..=8) {
                    all(&["SCRIPT", "FLUSH"]);
                    // A replica refuses it, and has it from its primary.
                    for node in arena.store.nodes() {
                        let _ = node.try_command(&["FUNCTION", "FLUSH"]);
                    }
                    self.last(20, 200).await;
                }
                Expectation { up: nodes(arena, |_| true), ..Expectation::default() }
            }
            Fault::OutOfMemory => {
                // One of several; whoever takes its place meanwhile is none.
                let redis = &arena.store.nodes()[self.primary(arena)];
                redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
                self.last(1000, 5000).await;
                restore(redis, "maxmemory", "0");
                Expectation { up: nodes(arena, |_| true), ..Expectation::default() }
            }
            _ => {
                all(&["CONFIG", "SET", "client-output-buffer-limit", SMALL_BUFFER]);
                arena
                    .seats
                    .iter()
                    .for_each(|seat| seat.network.treat(Ways::All, Fate::Pass, Fate::Throttle(40_000)));
                crowd.pad(LARGE_PADDING);
                let before = output_cuts(arena);
                self.until_cut(arena, before).await;
                if output_cuts(arena) == before {
                    // The nodes had noticed the slow network, and said no to what would have filled the buffer.
                    arena.seats.iter().for_each(|seat| seat.network.treat(Ways::All, Fate::Pass, Fate::Pass));
                    all(&["CONFIG", "SET", "client-output-buffer-limit", TINY_BUFFER]);
                    self.until_cut(arena, before).await;
                }
                self.last(500, 3000).await;
                crowd.pad(0);
                arena.seats.iter().for_each(|seat| seat.network.treat(Ways::All, Fate::Pass, Fate::Pass));
                for node in arena.store.nodes() {
                    restore(node, "client-output-buffer-limit", USUAL_BUFFER);
                }
                Expectation::default()
            }
        }
    }

    /// Waits until a connection was cut because it did not take what there was for it, but not for ever.
    async fn until_cut(&mut self, arena: &Arena, before: usize) {
        for _ in 0..BUFFER_FILLS_MS / 100 {
            self.last(100, 100).await;
            if output_cuts(arena) != before {
                break;
            }
        }
    }
}

fn output_cuts(arena: &Arena) -> usize {
    arena.store.nodes().iter().map(Redis::output_cuts).sum()
}
