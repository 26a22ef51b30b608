//! Pages of a room's log, whichever way they are asked for.

use std::sync::Arc;

use bus::ReadFrom;
use proto::{MAX_HISTORY_PAGE, RoomName, event};
use serde_json::value::RawValue;

use crate::{app::App, presence, refusal::Refusal};

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
    let from = match (before, after) {
        (Some(before), _) => ReadFrom::BeforeSeq(before),
        (None, Some(after)) => ReadFrom::AfterSeq(after),
        (None, None) => ReadFrom::Newest,
    };
    let page = app.bus.read(room, from, limit).await.map_err(|_| Refusal::UNAVAILABLE)?;
    let frames = page.events.iter().map(|event| {
        let mut text = Vec::new();
        event::write_frame(&mut text, &event.position, &event.body);
        text
    });
    // A page that is cut by its bytes keeps the end that was asked for.
    let (events, cut) = if backward {
        let (mut events, cut) = fitting(frames.rev());
        events.reverse();
        (events, cut)
    } else {
        fitting(frames)
    };
    let more = cut
        || match (page.events.first(), page.events.last()) {
            (Some(first), _) if backward => first.position.seq > page.first,
            (_, Some(last)) => last.position.seq < page.head.seq,
            _ => false,
        };
    // A page is good without.
    let markers = presence::look(app, room, |roster, rule| roster.markers(rule.most)).await.ok().flatten();
    Ok(Page { events, more, markers })
}

/// The frames that fit a page, and whether some did not. The first always does.
fn fitting(frames: impl Iterator<Item = Vec<u8>>) -> (Vec<Vec<u8>>, bool) {
    let mut bytes = 0;
    let mut page = Vec::new();
    for frame in frames {
        bytes += frame.len();
        if bytes > MAX_HISTORY_PAGE && !page.is_empty() {
            return (page, true);
        }
        page.push(frame);
    }
    (page, false)
}
