//! What a deletion takes out of a tail.

use proto::{
    EventKind, Position, ServerFrame,
    event::{self, Event},
};

use super::{Mark, Tail};
use crate::socket::frame;

/// The message that a body deletes, if it is a deletion: its type comes first.
pub fn target_of_deletion(body: &[u8]) -> Option<Position> {
    body.starts_with(br#""type":"delete","#).then_some(())?;
    let text = [b"{", body].concat();
    serde_json::from_slice::<Event<'_>>(&text).ok()?.target
}

impl Tail {
    /// Takes the data of a message out, and that of its edits.
    pub fn redact(&mut self, target: &Position) {
        for (frame, _) in &mut self.frames {
            let Mark::Event(position) = &frame.mark else { continue };
            let (_, text) = frame::open(&frame.bytes);
            if (position == target || edits(text, target))
                && let Some(left) = event::redact(text)
            {
                let redacted = frame::text(&left);
                self.bytes = self.bytes + redacted.len() - frame.bytes.len();
                frame.bytes = redacted;
            }
        }
    }
}

/// Whether a frame is an edit of a message.
fn edits(text: &[u8], target: &Position) -> bool {
    // Most are not, and this is seen without reading what they say.
    let word = br#""type":"edit""#;
    if !text.windows(word.len()).take(128).any(|window| window == word) {
        return false;
    }
    let frame = str::from_utf8(text).ok().and_then(|text| ServerFrame::decode(text).ok());
    matches!(frame, Some(ServerFrame::Event(_, event))
        if event.kind == EventKind::Edit && event.target.as_ref() == Some(target))
}
