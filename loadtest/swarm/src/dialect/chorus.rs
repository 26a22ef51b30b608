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
        format!(r#"{{"type":"join","ref":{room},"room":"{}{room}"{since}}}"#, self.prefix)
    }

    fn hello(&self, text: &[u8]) -> Hello {
        match text_field(text, "type") {
            Some("welcome") => Hello::Greeted,
            Some("ok") => Hello::Joined,
            Some("error") if let Some(later) = later(text) => later,
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

/// What an error about a room says of another attempt; the reference of a join is its room.
fn later(error: &[u8]) -> Option<Hello> {
    let room = u32::try_from(number_field(error, "ref")?).ok()?;
    Some(Hello::Later(room, number_field(error, "retry_after_ms")?))
}
