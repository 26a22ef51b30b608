//! Pusher's protocol in the version that Sockudo calls its own, in which who sends hears its own message, too.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use super::{Dialect, Hello, Position};
use crate::stamp::Stamp;

/// The application's key, which the server is started with; it is no secret.
const KEY: &str = "swarm";

/// With the application's secret, which the right to a channel is signed with.
pub(super) struct Pusher {
    secret: EncodingKey,
}

impl Pusher {
    pub(super) fn new(secret: &str) -> Self {
        Self { secret: EncodingKey::from_secret(secret.as_bytes()) }
    }

    /// HMAC-SHA256 of the socket and the channel, in hexadecimal digits.
    pub(super) fn right_to(&self, channel: &str, socket: &str) -> String {
        let text = format!("{socket}:{channel}");
        let signature = crypto::sign(text.as_bytes(), &self.secret, Algorithm::HS256).unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }
}

impl Dialect for Pusher {
    fn path(&self) -> &'static str {
        "/app/swarm?protocol=2"
    }

    fn join(&self, room: u32, _since: Option<&Position>, greeted: &[u8]) -> String {
        let channel = format!("private-r{room}");
        let right = self.right_to(&channel, &socket_id(greeted));
        format!(r#"{{"event":"sockudo:subscribe","data":{{"channel":"{channel}","auth":"{KEY}:{right}"}}}}"#)
    }

    fn hello(&self, text: &[u8]) -> Hello {
        let has = |what: &str| memchr::memmem::find(text, what.as_bytes()).is_some();
        if has(":connection_established\"") {
            Hello::Greeted
        } else if has(":subscription_succeeded\"") {
            Hello::Joined
        } else if has(":error\"") || has(":subscription_error\"") {
            Hello::Refused(String::from_utf8_lossy(text).into_owned())
        } else {
            Hello::Other
        }
    }

    fn message(&self, stamp: &Stamp, size: usize, out: &mut Vec<u8>) {
        // Writing to memory does not fail. Only to private channels may clients speak, and with this in front.
        let _ = write!(out, r#"{{"event":"client-m","channel":"private-r{}","data":"#, stamp.room);
        stamp.data(size, out);
        out.push(b'}');
    }

    fn beat(&self, text: &[u8]) -> Option<&'static str> {
        let is_ping = memchr::memmem::find(text, br#""event":"sockudo:ping""#).is_some();
        is_ping.then_some(r#"{"event":"sockudo:pong","data":{}}"#)
    }
}

/// The socket's id in the server's greeting, where it stands in a JSON text or in one that is a string of another.
fn socket_id(greeted: &[u8]) -> String {
    let text = String::from_utf8_lossy(greeted).replace('\\', "");
    super::text_field(text.as_bytes(), "socket_id").unwrap_or_default().to_owned()
}
