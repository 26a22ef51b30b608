//! Filling holes: what a tracker wants read is read.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Core, link::Part, panic::Unfinished, rooms::Followed, silence::Unsettled};
use crate::{BusError, follow::Slice};

/// Events in the first reading: most holes have no more.
const FIRST_PAGE: u32 = 16;

/// Events in one reading at most.
const LARGEST_PAGE: u32 = 256;

/// A reading is made larger when it had less than half of so many bytes, and smaller when it had more. A room holds twice as
/// many for those who have yet to be written to (`tail.bytes`), if nobody says otherwise.
const PAGE_BYTES: usize = 128 * 1024;

/// How often it is looked whether the follower has handed on what it was given.
const LOOK: Duration = Duration::from_millis(1);

/// For so long the follower is waited for: whatever holds it up, the rest is to come.
const PATIENCE: Duration = Duration::from_secs(2);

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
    let mut page = FIRST_PAGE;
    loop {
        // It is never closed.
        let permit = core.fills.acquire().await;
        let Some(after) = followed.begin_read() else { return };
        match read(core, followed, after, page).await {
            Ok(slice) => {
                page = next_page(page, slice.events.iter().map(|event| event.body.len()).sum());
                followed.page(slice);
                drop(permit);
                let began = Instant::now();
                while followed.is_busy() && began.elapsed() < PATIENCE {
                    sleep(LOOK).await;
                }
            }
            Err(error) => {
                tracing::debug!(room = %followed.name, %error, "a hole could not be filled yet");
                failed(&core.unsettled, followed);
                return;
            }
        }
    }
}

/// How many events are read after as many as `page`, which had so many bytes.
fn next_page(page: u32, bytes: usize) -> u32 {
    if bytes > PAGE_BYTES {
        (page / 2).max(1)
    } else if bytes < PAGE_BYTES / 2 {
        (page * 2).min(LARGEST_PAGE)
    } else {
        page
    }
}

/// The probe comes by again.
fn failed(unsettled: &Unsettled, followed: &Followed) {
    followed.read_failed();
    unsettled.insert(followed.name.clone());
}

/// A followed room always has a head: one that was flushed away begins a new log.
async fn read(core: &Core, followed: &Followed, after: u64, page: u32) -> Result<Slice, BusError> {
    if let Some(slice) = core.link.read(&followed.name, Part::After(after), page).await? {
        return Ok(slice);
    }
    core.link.open(&followed.name).await?;
    let slice = core.link.read(&followed.name, Part::After(after), page).await?;
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

    #[test]
    fn a_page_has_as_many_events_as_fit_a_tail_twice() {
        let settled = |each: usize| (0..10).fold(FIRST_PAGE, |page, _| next_page(page, page as usize * each));
        assert_eq!(settled(100), LARGEST_PAGE);
        assert_eq!(settled(14_000), 8);
        assert_eq!(settled(1_000_000), 1);
    }

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
