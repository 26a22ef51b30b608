//! This project's protocol, `docs/PROTOCOL.md`.

use super::{Dialect, Hello, Position, number_field, put_message, text_field, token};
use crate::stamp::Stamp;

/// With the key that its tokens are signed with, and what its rooms' names begin with.
pub(super) struct Chorus {
    secret: String,
    prefix: String,
}

impl Chorus {
    pub(super) fn new(secret: &str, prefix: &str) -> Self {
        Self { secret: secret.to_owned(), prefix: prefix.to_owned() }
    }
}

impl Dialect for Chorus {
    fn path(&self) -> &'static str {
        "/ws"
    }

    fn headers(&self, connection: u32) -> String {
        format!("Authorization: Bearer {}\r\n", token(&self.secret, &format!("u{connection}")))
    }

    fn join(&self, room: u32, since: Option<&Position>, _greeted: &[u8]) -> String {
        let since = since.map_or_else(String::new, |it| {
            format!(r#","since":{{"epoch":"{}","seq":{}}}"#, it.epoch, it.seq)
        });
        format!(r#"{{"type":"join","ref":1,"room":"{}{room}"{since}}}"#, self.prefix)
    }

    fn hello(&self, text: &[u8]) -> Hello {
        match text_field(text, "type") {
            Some("welcome") => Hello::Greeted,
            Some("ok") => Hello::Joined,
            Some("error" | "closing") => Hello::Refused(String::from_utf8_lossy(text).into_owned()),
            _ => Hello::Other,
        }
    }

    fn message(&self, stamp: &Stamp, size: usize, out: &mut Vec<u8>) {
        put_message(&self.prefix, stamp, size, out);
    }

    fn position(&self, text: &[u8]) -> Option<Position> {
        Some(Position { epoch: text_field(text, "epoch")?.to_owned(), seq: number_field(text, "seq")? })
    }
}
