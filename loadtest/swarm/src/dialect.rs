//! The protocols that servers speak: how a client comes in, joins, sends, and answers a heartbeat.

mod centrifugo;
mod chorus;
mod pusher;
mod socketio;
mod ws;

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::stamp::Stamp;

/// A protocol, by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// This project's.
    Chorus,
    /// A bare broadcast of JSON objects: `{"type": "join" or "message", "room": …}`.
    Ws,
    /// Engine.IO 4 over WebSocket, Socket.IO 5 packets.
    Socketio,
    /// Centrifugo's JSON protocol.
    Centrifugo,
    /// Pusher's protocol, as Sockudo speaks it.
    Pusher,
}

/// Where a connection stood in a room when it was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Opaque.
    pub epoch: String,
    /// The number of the last event.
    pub seq: u64,
}

/// What a frame was, while a connection comes in.
#[derive(Debug, PartialEq, Eq)]
pub enum Hello {
    /// Nothing that matters.
    Other,
    /// Now this is to be said.
    Say(&'static str),
    /// The server knows who this is: now the rooms can be joined.
    Greeted,
    /// One more room is joined.
    Joined,
    /// Not now: the room may be tried again after so many milliseconds.
    Later(u32, u64),
    /// It will not be.
    Refused(String),
}

/// A protocol. Frames are text, one of a client's commands each.
pub trait Dialect {
    /// The path and query of the upgrade.
    fn path(&self) -> &'static str;

    /// Further lines of the upgrade's head, each with its line end.
    fn headers(&self, _connection: u32) -> String {
        String::new()
    }

    /// What is said first; none when the server speaks first.
    fn greeting(&self, _connection: u32) -> Option<String> {
        None
    }

    /// What joins a room, from a position when there is one; `greeted` is the frame that said who this is.
    fn join(&self, room: u32, since: Option<&Position>, greeted: &[u8]) -> String;

    /// What a frame means, while the connection comes in.
    fn hello(&self, text: &[u8]) -> Hello;

    /// Appends a message with a stamp to `out`.
    fn message(&self, stamp: &Stamp, size: usize, out: &mut Vec<u8>);

    /// What answers a heartbeat of the protocol's own, if this is one.
    fn beat(&self, _text: &[u8]) -> Option<&'static str> {
        None
    }

    /// Where a frame with one message leaves its reader.
    fn position(&self, _text: &[u8]) -> Option<Position> {
        None
    }
}

/// The protocol that a plan names.
pub fn speak(plan: &Plan) -> Box<dyn Dialect> {
    match plan.dialect {
        Name::Chorus => Box::new(chorus::Chorus::new(&plan.secret, &plan.prefix)),
        Name::Ws => Box::new(ws::Ws),
        Name::Socketio => Box::new(socketio::SocketIo),
        Name::Centrifugo => Box::new(centrifugo::Centrifugo::new(&plan.secret)),
        Name::Pusher => Box::new(pusher::Pusher::new(&plan.secret)),
    }
}

/// The request that opens a WebSocket. Its key is always the same: nothing depends on it.
pub fn upgrade(dialect: &dyn Dialect, connection: u32, host: &str) -> Vec<u8> {
    format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n{}\r\n",
        dialect.path(),
        STANDARD.encode([7; 16]),
        dialect.headers(connection),
    )
    .into_bytes()
}

/// A message as this project's clients and those of a bare broadcast send it.
fn put_message(prefix: &str, stamp: &Stamp, size: usize, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, r#"{{"type":"message","room":"{prefix}{}","data":"#, stamp.room);
    stamp.data(size, out);
    out.push(b'}');
}

/// A token with a subject, good for a day.
fn token(secret: &str, subject: &str) -> String {
    /// What both dialects ask for.
    #[derive(Serialize)]
    struct Claims<'a> {
        sub: &'a str,
        exp: u64,
    }
    let claims = Claims { sub: subject, exp: jsonwebtoken::get_current_timestamp() + 86_400 };
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap_or_default()
}

/// The value of a string field of a flat JSON object: found, not parsed, for it is looked for in every frame.
fn text_field<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    let from = after(text, name)?.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', from)?;
    std::str::from_utf8(&from[..end]).ok()
}

/// The same of one that is a number.
fn number_field(text: &[u8], name: &str) -> Option<u64> {
    let from = after(text, name)?;
    let digits = from.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&from[..digits]).ok()?.parse().ok()
}

fn after<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let needle = format!("\"{name}\":");
    let at = memchr::memmem::find(text, needle.as_bytes())?;
    Some(&text[at + needle.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Finder;

    fn all() -> Vec<(Name, Box<dyn Dialect>)> {
        [Name::Chorus, Name::Ws, Name::Socketio, Name::Centrifugo, Name::Pusher]
            .map(|name| {
                let dialect: Box<dyn Dialect> = match name {
                    Name::Chorus => Box::new(chorus::Chorus::new("secret", "r")),
                    Name::Ws => Box::new(ws::Ws),
                    Name::Socketio => Box::new(socketio::SocketIo),
                    Name::Centrifugo => Box::new(centrifugo::Centrifugo::new("secret")),
                    Name::Pusher => Box::new(pusher::Pusher::new("secret")),
                };
                (name, dialect)
            })
            .into()
    }

    #[test]
    fn a_message_holds_its_stamp_and_is_json() {
        let stamp = Stamp { due: 12, phase: 1, room: 4, sender: 5, number: 6 };
        for (name, dialect) in all() {
            let mut out = Vec::new();
            dialect.message(&stamp, 128, &mut out);
            assert_eq!(Finder::default().stamps(&out).collect::<Vec<_>>(), [stamp], "{name:?}");
            let json = out.strip_prefix(b"42").unwrap_or(&out);
            assert!(serde_json::from_slice::<serde_json::Value>(json).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn what_servers_say_at_first_is_understood() {
        let chorus = chorus::Chorus::new("secret", "r");
        assert_eq!(chorus.hello(br#"{"type":"welcome","session":"x"}"#), Hello::Greeted);
        assert_eq!(chorus.hello(br#"{"type":"ok","ref":1,"room":"r1","seq":0}"#), Hello::Joined);
        assert!(matches!(chorus.hello(br#"{"type":"error","code":"forbidden"}"#), Hello::Refused(_)));
        let busy = br#"{"type":"error","ref":7,"code":"unavailable","retry_after_ms":1000}"#;
        assert_eq!(chorus.hello(busy), Hello::Later(7, 1000));
        assert!(chorus.join(7, None, b"").contains(r#""ref":7,"#));
        let ws = ws::Ws;
        assert_eq!(ws.hello(br#"{"type":"welcome"}"#), Hello::Greeted);
        assert_eq!(ws.hello(br#"{"type":"joined","room":"r1"}"#), Hello::Joined);
        let socketio = socketio::SocketIo;
        assert_eq!(socketio.hello(br#"0{"sid":"x"}"#), Hello::Say("40"));
        assert_eq!(socketio.hello(br#"40{"sid":"y"}"#), Hello::Greeted);
        assert_eq!(socketio.hello(br#"430["r1"]"#), Hello::Joined);
        assert!(matches!(socketio.hello(br#"44{"message":"no"}"#), Hello::Refused(_)));
        assert_eq!(socketio.beat(b"2"), Some("3"));
        let centrifugo = centrifugo::Centrifugo::new("secret");
        assert_eq!(centrifugo.hello(br#"{"id":1,"connect":{"client":"x"}}"#), Hello::Greeted);
        assert_eq!(centrifugo.hello(br#"{"id":2,"subscribe":{"epoch":"x"}}"#), Hello::Joined);
        assert!(matches!(centrifugo.hello(br#"{"id":2,"error":{"code":103}}"#), Hello::Refused(_)));
        assert_eq!(centrifugo.beat(b"{}"), Some("{}"));
        let pusher = pusher::Pusher::new("7ad3773142a6692b25b8");
        let greeted = br#"{"event":"sockudo:connection_established","data":"{\"socket_id\":\"1234.1234\"}"}"#;
        assert_eq!(pusher.hello(greeted), Hello::Greeted);
        assert_eq!(pusher.hello(br#"{"event":"sockudo_internal:subscription_succeeded"}"#), Hello::Joined);
        assert!(matches!(pusher.hello(br#"{"event":"sockudo:error","data":{}}"#), Hello::Refused(_)));
        // The example of Pusher's own documentation.
        let right = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
        assert_eq!(pusher.right_to("private-foobar", "1234.1234"), right);
        assert!(pusher.join(3, None, greeted).contains(&pusher.right_to("private-r3", "1234.1234")));
        assert!(pusher.beat(br#"{"event":"sockudo:ping","data":{}}"#).is_some());
    }

    #[test]
    fn positions_are_found() {
        let text = br#"{"type":"message","room":"r1","epoch":"a.1-x","seq":12,"at":5,"data":{}}"#;
        let position = chorus::Chorus::new("secret", "r").position(text);
        assert_eq!(position, Some(Position { epoch: "a.1-x".to_owned(), seq: 12 }));
    }
}
