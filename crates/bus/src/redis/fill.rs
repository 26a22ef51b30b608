//! Filling holes: what a tracker wants read is read.

use std::{future::Future, sync::Arc};

use super::{Core, link::Part, panic::Unfinished, rooms::Followed, silence::Unsettled};
use crate::{BusError, follow::Slice};

/// Events in one reading.
const PAGE: u32 = 256;

/// Reads the log for a room until its tracker is level. One task does so for a room at a time.
pub(super) async fn run(core: Arc<Core>, followed: Arc<Followed>) {
    guarded(&core.unsettled, &followed, level(&core, &followed)).await;
}

/// When the reading panics it has failed, like any other.
async fn guarded(unsettled: &Unsettled, followed: &Followed, level: impl Future<Output = ()>) {
    let unfinished = Unfinished::new("filler", || failed(unsettled, followed));
    level.await;
    unfinished.finished();
}

async fn level(core: &Core, followed: &Followed) {
    loop {
        // It is never closed.
        let _permit = core.fills.acquire().await;
        let Some(after) = followed.begin_read() else { return };
        match read(core, followed, after).await {
            Ok(slice) => followed.page(slice),
            Err(error) => {
                tracing::debug!(room = %followed.name, %error, "a hole could not be filled yet");
                failed(&core.unsettled, followed);
                return;
            }
        }
    }
}

/// The probe comes by again.
fn failed(unsettled: &Unsettled, followed: &Followed) {
    followed.read_failed();
    unsettled.insert(followed.name.clone());
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

#[cfg(test)]
mod tests {
    use proto::RoomName;

    use super::{
        super::rooms::{
            Rooms,
            tests::{Recorder, payload},
        },
        *,
    };
    use crate::epoch::Head;

    /// A room whose filler died used to wait for it for ever.
    #[tokio::test]
    async fn a_filler_that_panics_has_only_failed() {
        let (rooms, unsettled) = (Rooms::default(), Arc::new(Unsettled::default()));
        let name = RoomName::parse("r").unwrap();
        let followed = rooms.insert(&name, Arc::new(Recorder::default()));
        let _ = followed.start(Head::none());
        assert!(followed.payload(&payload(5)).fill, "events 1 to 4 are missing");
        let (own, own_followed) = (Arc::clone(&unsettled), Arc::clone(&followed));
        let filler = tokio::spawn(async move {
            let level = async {
                assert!(own_followed.begin_read().is_some());
                panic!("a fault");
            };
            guarded(&own, &own_followed, level).await;
        });
        assert!(filler.await.is_err());
        assert!(unsettled.contains(&name), "the probe comes by");
        assert!(followed.tick().fill, "and another task reads");
    }
}
