//! Filling holes: what a tracker wants read is read.

use std::sync::Arc;

use super::{Core, link::Part, rooms::Followed};
use crate::{BusError, follow::Slice};

/// Events in one reading.
const PAGE: u32 = 256;

/// Reads the log for a room until its tracker is level. One task does so for a room at a time.
pub(super) async fn run(core: Arc<Core>, followed: Arc<Followed>) {
    loop {
        // It is never closed.
        let _permit = core.fills.acquire().await;
        let Some(after) = followed.begin_read() else { return };
        match read(&core, &followed, after).await {
            Ok(slice) => followed.page(slice),
            Err(error) => {
                tracing::debug!(room = %followed.name, %error, "a hole could not be filled yet");
                followed.read_failed();
                // The probe comes by again.
                core.unsettled.insert(followed.name.clone());
                return;
            }
        }
    }
}

/// A followed room always has a head: one that was flushed away begins a new log.
async fn read(core: &Core, followed: &Followed, after: u64) -> Result<Slice, BusError> {
    if let Some(slice) = core.link.read(&followed.name, Part::After(after), PAGE).await? {
        return Ok(slice);
    }
    core.link.open(&followed.name).await?;
    let slice = core.link.read(&followed.name, Part::After(after), PAGE).await?;
    slice.ok_or_else(|| BusError::unavailable("the head of a room vanished twice"))
}
