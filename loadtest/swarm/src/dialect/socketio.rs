//! Engine.IO 4 over WebSocket with Socket.IO 5 packets: `0` open, `2` ping, `3` pong, `40` connect, `42` event,
//! `43<id>` acknowledgement, `44` refused.

use std::io::Write as _;

use super::{Dialect, Hello, Position};
use crate::stamp::Stamp;

/// Has no state.
pub(super) struct SocketIo;

impl Dialect for SocketIo {
    fn path(&self) -> &'static str {
        "/socket.io/?EIO=4&transport=websocket"
    }

    fn join(&self, room: u32, _since: Option<&Position>, _greeted: &[u8]) -> String {
        format!(r#"420["join","r{room}"]"#)
    }

    fn hello(&self, text: &[u8]) -> Hello {
        match text {
            // Engine.IO is open: connect to the main namespace.
            [b'0', ..] => Hello::Say("40"),
            [b'4', b'0', ..] => Hello::Greeted,
            [b'4', b'3', ..] => Hello::Joined,
            [b'4', b'1' | b'4', ..] | [b'1', ..] => {
                Hello::Refused(String::from_utf8_lossy(text).into_owned())
            }
            _ => Hello::Other,
        }
    }

    fn message(&self, stamp: &Stamp, size: usize, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = write!(out, r#"42["message",{{"room":"r{}","data":"#, stamp.room);
        stamp.data(size, out);
        out.extend(b"}]");
    }

    fn beat(&self, text: &[u8]) -> Option<&'static str> {
        (text == b"2").then_some("3")
    }
}
