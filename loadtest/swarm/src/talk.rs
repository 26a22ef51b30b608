//! What the parent and its workers say to each other: one JSON object a line, over the worker's standard streams.

use serde::{Deserialize, Serialize};

use crate::plan::{Phase, Plan};
use crate::tally::Counts;

/// From the parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Order {
    /// Connect your share: from `first` to before `end`.
    Open {
        /// The whole plan.
        plan: Plan,
        /// The first connection.
        first: u32,
        /// One past the last.
        end: u32,
        /// The core to stay on.
        core: Option<usize>,
    },
    /// Send, on the schedule.
    Play(Phase),
    /// So much should have come to you, once all have sent.
    Expect {
        /// Deliveries.
        deliveries: u64,
    },
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Report {
    /// Every connection is in its rooms, or refused.
    Opened {
        /// Prompt readers in each room.
        members: Vec<u64>,
        /// How many connections came in.
        live: u64,
        /// How long it took, in seconds.
        seconds: f64,
        /// Joins that the server put off, and that were tried again when it said.
        put_off: u64,
        /// Why the first that did not come in did not.
        refused: Option<String>,
    },
    /// The phase's time is over.
    Sent {
        /// Messages to each room.
        rooms: Vec<u64>,
    },
    /// All that was expected has come, or it is waited no longer.
    Done {
        /// What came.
        counts: Box<Counts>,
        /// Latencies, packed.
        latencies: String,
        /// When the last delivery came, on the monotonic clock.
        last: u64,
    },
    /// It cannot go on.
    Failed {
        /// Why.
        reason: String,
    },
}
