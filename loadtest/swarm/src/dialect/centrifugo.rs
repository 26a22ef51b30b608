//! Centrifugo's JSON protocol: several replies may stand in one frame, a line each.

use std::io::Write as _;

use super::{Dialect, Hello, Position, token};
use crate::stamp::Stamp;

/// With the key that its tokens are signed with.
pub(super) struct Centrifugo {
    secret: String,
}

impl Centrifugo {
    pub(super) fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned() }
    }
}

impl Dialect for Centrifugo {
    fn path(&self) -> &'static str {
        "/connection/websocket"
    }

    fn greeting(&self, connection: u32) -> Option<String> {
        let token = token(&self.secret, &format!("u{connection}"));
        Some(format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#))
    }

    fn join(&self, room: u32, since: Option<&Position>, _greeted: &[u8]) -> String {
        let since = since.map_or_else(String::new, |it| {
            format!(r#","recover":true,"epoch":"{}","offset":{}"#, it.epoch, it.seq)
        });
        format!(r#"{{"id":{},"subscribe":{{"channel":"r{room}"{since}}}}}"#, room + 2)
    }

    fn hello(&self, text: &[u8]) -> Hello {
        let has = |what: &str| memchr::memmem::find(text, what.as_bytes()).is_some();
        if has("\"error\":") || has("\"disconnect\":") {
            Hello::Refused(String::from_utf8_lossy(text).into_owned())
        } else if has("\"connect\":") {
            Hello::Greeted
        } else if has("\"subscribe\":") {
            Hello::Joined
        } else {
            Hello::Other
        }
    }

    fn message(&self, stamp: &Stamp, size: usize, out: &mut Vec<u8>) {
        // Writing to memory does not fail. Each publication has a reply: Centrifugo knows none without.
        let _ = write!(out, r#"{{"id":1,"publish":{{"channel":"r{}","data":"#, stamp.room);
        stamp.data(size, out);
        out.extend(b"}}");
    }

    fn beat(&self, text: &[u8]) -> Option<&'static str> {
        (text == b"{}").then_some("{}")
    }

    fn position(&self, _text: &[u8]) -> Option<Position> {
        // A publication names no epoch, so its client would have to keep the one of its subscription; no workload
        // resumes on this server.
        None
    }
}
