//! Pages of a room's log, whichever way they are asked for.

use std::sync::Arc;

use bus::ReadFrom;
use proto::{MAX_HISTORY_PAGE, RoomName, event};
use serde_json::value::RawValue;

use crate::{app::App, presence, refusal::Refusal, room::events_of};

/// A page, ascending.
#[derive(Debug)]
pub struct Page {
    /// Whole frames, as text.
    pub events: Vec<Vec<u8>>,
    /// Whether there is a sequel, in the direction that was asked for.
    pub more: bool,
    /// How far everybody has read, as text; none where that is not told.
    pub markers: Option<Arc<RawValue>>,
}

/// Events that are asked of the log first, which tells how large they are.
const FIRST_READ: u32 = 50;

/// Reads a page that ends by its limit or its bytes, whichever comes first.
///
/// # Errors
/// When the log can't be reached.
pub async fn read(
    app: &App,
    room: &RoomName,
    before: Option<u64>,
    after: Option<u64>,
    limit: u32,
) -> Result<Page, Refusal> {
    let backward = after.is_none();
    let mut from = match (before, after) {
        (Some(before), _) => ReadFrom::BeforeSeq(before),
        (None, Some(after)) => ReadFrom::AfterSeq(after),
        (None, None) => ReadFrom::Newest,
    };
    let (mut events, mut bytes, mut size, mut log) = (Vec::new(), 0, FIRST_READ, None);
    let more = 'reading: loop {
        let left = limit - events.len() as u32;
        let page = app.bus.read(room, from, left.min(size)).await.map_err(|_| Refusal::UNAVAILABLE)?;
        if log.get_or_insert_with(|| page.head.epoch.clone()) != &page.head.epoch {
            // Its numbers may have gone to other events since the last read.
            break true;
        }
        let mut read = page.events.into_iter();
        let mut last = None;
        while let Some(event) = if backward { read.next_back() } else { read.next() } {
            let mut text = Vec::new();
            event::write_frame(&mut text, &event.position, &event.body);
            bytes += text.len();
            // The first always fits.
            if bytes > MAX_HISTORY_PAGE && !events.is_empty() {
                break 'reading true;
            }
            events.push(text);
            last = Some(event.position.seq);
        }
        let Some(last) = last else { break false };
        let more = if backward { last > page.first } else { last < page.head.seq };
        if !more || events.len() as u32 >= limit {
            break more;
        }
        from = if backward { ReadFrom::BeforeSeq(last) } else { ReadFrom::AfterSeq(last) };
        // As many as fit if they are like those so far, and one more to find out that there are too many.
        size = events_of(MAX_HISTORY_PAGE.saturating_sub(bytes), events.len(), bytes) as u32 + 1;
    };
    if backward {
        events.reverse();
    }
    // A page is good without.
    let markers = presence::look(app, room, |roster, rule| roster.markers(rule.most)).await.ok().flatten();
    Ok(Page { events, more, markers })
}
