//! What a home-made server speaks: JSON objects that go to everyone in a room as they came.

use super::{Dialect, Hello, Position, put_message, text_field};
use crate::stamp::Stamp;

/// Has no state.
pub(super) struct Ws;

impl Dialect for Ws {
    fn path(&self) -> &'static str {
        "/ws"
    }

    fn join(&self, room: u32, _since: Option<&Position>, _greeted: &[u8]) -> String {
        format!(r#"{{"type":"join","room":"r{room}"}}"#)
    }

    fn hello(&self, text: &[u8]) -> Hello {
        match text_field(text, "type") {
            Some("welcome") => Hello::Greeted,
            Some("joined") => Hello::Joined,
            _ => Hello::Other,
        }
    }

    fn message(&self, stamp: &Stamp, size: usize, out: &mut Vec<u8>) {
        put_message("r", stamp, size, out);
    }
}
