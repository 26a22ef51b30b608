//! A room's log in memory, as it grows.

use bus::{Bus, MemoryBus, Retention};
use gateway::config::HistoryConfig;
use tokio::runtime::Builder;

use crate::sample::{self, Appends};

/// A log that keeps what it keeps by default.
pub(crate) fn log() -> MemoryBus {
    let history = HistoryConfig::default();
    MemoryBus::new("counted", Retention { length: history.length, age_ms: history.age_seconds * 1000 })
}

/// An event into a log that nobody follows, and the answer.
pub(crate) fn append(times: u64) -> Result<(), String> {
    let (bus, room, mut appends) = (log(), sample::room()?, Appends::new()?);
    let runtime = Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        for expected in 1..=times {
            let appended = bus.append(&room, appends.next()).await.map_err(|error| error.to_string())?;
            if appended.position.seq != expected {
                return Err(format!("append {expected} stands at {}", appended.position.seq));
            }
        }
        Ok(())
    })
}
