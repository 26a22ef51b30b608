//! A client that checks what it is told.

mod dial;
mod ledger;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

pub use dial::{Dial, Refusal};
pub use ledger::{Event, Ledger};

use crate::secure::Wire;
use crate::{PATIENCE, token, within};

/// How many frames a client remembers for the message of a failure.
const REMEMBERED: usize = 6;

/// One WebSocket connection that speaks JSON.
///
/// It reads only when it is asked to, so that a test can have a slow reader by not asking. Whatever it reads passes
/// through the [`Ledger`] of its room, which panics at a hole, a repeat, or an event of a room that was not joined.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<Wire>,
    name: String,
    welcome: Value,
    protocol: Option<String>,
    inbox: VecDeque<Value>,
    recent: VecDeque<String>,
    last_text: String,
    next_ref: u64,
    /// Messages sent with `echo: false` by their `ref`: their `ok` stands in the event's place.
    silent: BTreeMap<u64, Value>,
    rooms: BTreeMap<String, Ledger>,
    /// Who is in each room, as far as it was told.
    present: BTreeMap<String, BTreeSet<String>>,
    closed: Option<Close>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close code; 1006 when the stream ended without one.
    pub code: u16,
    /// The reason string.
    pub reason: String,
}

impl Client {
    /// Connects as `user`, with a bearer token, and awaits `welcome`.
    pub async fn connect(to: SocketAddr, user: &str) -> Self {
        Dial::to(to).bearer(&token(user)).named(user).welcomed().await
    }

    /// The user's name, or what [`Dial::named`] said.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `welcome` it was given; null before.
    pub fn welcome(&self) -> &Value {
        &self.welcome
    }

    /// The name of the node it is connected to, from `welcome`.
    pub fn node(&self) -> &str {
        self.welcome["node"].as_str().unwrap_or_default()
    }

    /// The subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Sends a frame as it is.
    pub async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Sends any text. An error is not told: the server may have closed already, and the next read says so.
    pub async fn send_text(&mut self, text: String) {
        let what = format!("{}: the server to read", self.name);
        let _ = within(PATIENCE, &what, self.socket.send(Message::text(text))).await;
    }

    /// Sends any WebSocket message.
    pub async fn send_message(&mut self, message: Message) {
        let _ = within(PATIENCE, "the server to read", self.socket.send(message)).await;
    }

    /// Sends a request with a fresh `ref`, without waiting for its reply, and returns the `ref`.
    pub async fn submit(&mut self, mut request: Value) -> u64 {
        self.next_ref += 1;
        request["ref"] = json!(self.next_ref);
        if request["echo"] == json!(false) {
            self.silent.insert(self.next_ref, request.clone());
        }
        self.send(&request).await;
        self.next_ref
    }

    /// Sends a request with a fresh `ref` and awaits its one reply, `ok` or `error`. A `join` opens the room's ledger.
    pub async fn request(&mut self, request: Value) -> Value {
        let reference = self.submit(request).await;
        self.reply(reference).await
    }

    /// Awaits the reply to a [`Client::submit`].
    pub async fn reply(&mut self, reference: u64) -> Value {
        let what = format!("the reply to ref {reference}");
        self.find(PATIENCE, &what, |frame| frame["ref"] == json!(reference)).await
    }

    /// Takes the reply to a [`Client::submit`], if it has been read already.
    pub fn reply_now(&mut self, reference: u64) -> Option<Value> {
        let index = self.inbox.iter().position(|frame| frame["ref"] == json!(reference))?;
        self.inbox.remove(index)
    }

    /// Whether the connection was seen to end.
    pub fn has_ended(&self) -> bool {
        self.closed.is_some()
    }

    /// Sends a request whose reply must be `ok`.
    pub async fn ok(&mut self, request: Value) -> Value {
        let text = request.to_string();
        let reply = self.request(request).await;
        assert_eq!(reply["type"], "ok", "{}: {text} was answered by {reply}", self.name);
        reply
    }

    /// Sends a request whose reply must be an `error`, and returns its code.
    pub async fn refused(&mut self, request: Value) -> String {
        let text = request.to_string();
        let reply = self.request(request).await;
        assert_eq!(reply["type"], "error", "{}: {text} was answered by {reply}", self.name);
        reply["code"].as_str().expect("an error has a code").to_owned()
    }

    /// Joins a room from now on.
    pub async fn join(&mut self, room: &str) -> Value {
        self.ok(json!({ "type": "join", "room": room })).await
    }

    /// Says something and awaits its `ok`.
    pub async fn say(&mut self, room: &str, data: impl Into<Value>) -> Value {
        self.ok(json!({ "type": "message", "room": room, "data": data.into() })).await
    }

    /// The next frame, of whatever kind, that was not taken yet.
    pub async fn next(&mut self) -> Value {
        self.find(PATIENCE, "a frame", |_| true).await
    }

    /// The next frame of that type; frames of other types stay to be taken.
    pub async fn expect(&mut self, kind: &str) -> Value {
        self.find(PATIENCE, kind, |frame| frame["type"] == kind).await
    }

    /// Whether a frame of that type has been read and not been taken.
    pub fn has(&self, kind: &str) -> bool {
        self.inbox.iter().any(|frame| frame["type"] == kind)
    }

    /// The frame that was read last, byte for byte.
    pub fn last_text(&self) -> &str {
        &self.last_text
    }

    /// Reads until the room's ledger holds `count` events.
    pub async fn until_events(&mut self, room: &str, count: usize) {
        self.read_until(PATIENCE, &format!("{count} events in {room}"), |client| {
            let events = client.ledger(room).events.len();
            if events >= count { Ok(()) } else { Err(format!("{events} events")) }
        })
        .await;
    }

    /// Reads until the client stands at `seq` or later in the room.
    pub async fn until_seq(&mut self, room: &str, seq: u64) {
        self.read_until(PATIENCE, &format!("seq {seq} in {room}"), |client| {
            let at = client.ledger(room).seq;
            if at >= seq { Ok(()) } else { Err(format!("seq {at}")) }
        })
        .await;
    }

    /// Reads until `done` says so; its error says what it sees instead.
    pub async fn read_until<T>(
        &mut self,
        deadline: Duration,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> T {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            let seen = match done(self) {
                Ok(value) => return value,
                Err(seen) => seen,
            };
            let late = self.closed.is_some() || tokio::time::timeout_at(end, self.read()).await.is_err();
            if late {
                let Self { name, recent, closed, .. } = self;
                panic!(
                    "{name}: waited {deadline:?} for {what}, saw {seen}, {closed:?}; last frames: {recent:#?}"
                );
            }
        }
    }

    /// Reads what has arrived already or arrives within `time`; for tests that look at what did *not* come.
    pub async fn drain(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while let Ok(true) = tokio::time::timeout_at(end, self.read()).await {}
    }

    /// Reads until the server has closed.
    pub async fn closed(&mut self) -> Close {
        self.closed_within(PATIENCE).await
    }

    /// Reads until the server has closed, for at most `deadline`.
    pub async fn closed_within(&mut self, deadline: Duration) -> Close {
        let what = format!("{}: the connection to close", self.name);
        within(deadline, &what, async { while self.read().await {} }).await;
        self.closed.clone().expect("reading ended because the connection did")
    }

    /// Says good-bye with a code and awaits the server's answer.
    pub async fn close(&mut self, code: u16, reason: &str) -> Close {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let _ = within(PATIENCE, "the server to read", self.socket.close(Some(frame))).await;
        self.closed().await
    }

    /// Sends a close frame and does not wait for its answer.
    pub async fn hang_up(mut self) -> BTreeMap<String, Ledger> {
        let _ = self.socket.close(None).await;
        self.rooms
    }

    /// What this client holds of a room.
    ///
    /// # Panics
    /// When it never joined.
    pub fn ledger(&self, room: &str) -> &Ledger {
        self.rooms.get(room).unwrap_or_else(|| panic!("{} never joined {room}", self.name))
    }

    /// Who is in a room, as the join and the presence frames since have told.
    pub fn present(&self, room: &str) -> Vec<&str> {
        self.present.get(room).into_iter().flatten().map(String::as_str).collect()
    }

    /// Reads until just these are in a room.
    pub async fn until_present(&mut self, room: &str, users: &[&str]) {
        self.read_until(PATIENCE, &format!("{users:?} in {room}"), |client| {
            let present = client.present(room);
            if present == users { Ok(()) } else { Err(format!("{present:?}")) }
        })
        .await;
    }

    /// All rooms' ledgers, as for [`Client::resume`] on another connection. The connection is cut without a word.
    pub fn cut(self) -> BTreeMap<String, Ledger> {
        self.rooms
    }

    /// Takes over the ledgers of an earlier connection and joins each room again `since` its position. Returns the
    /// `ok` of each.
    pub async fn resume(&mut self, rooms: BTreeMap<String, Ledger>) -> BTreeMap<String, Value> {
        let mut replies = BTreeMap::new();
        for (room, ledger) in rooms {
            let since = json!({ "epoch": ledger.epoch, "seq": ledger.seq });
            self.rooms.insert(room.clone(), ledger);
            let reply = self.ok(json!({ "type": "join", "room": room, "since": since })).await;
            replies.insert(room, reply);
        }
        replies
    }

    async fn find(&mut self, deadline: Duration, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        // Frames before this one were looked at and are not wanted: a flood is not searched again and again.
        let mut looked_at = 0;
        self.read_until(deadline, what, |client| {
            let found = client.inbox.iter().skip(looked_at).position(&wanted);
            if let Some(frame) = found.and_then(|index| client.inbox.remove(looked_at + index)) {
                return Ok(frame);
            }
            looked_at = client.inbox.len();
            Err("other frames".to_owned())
        })
        .await
    }

    /// Reads one message; false when the connection has ended. Cancelling it loses nothing.
    async fn read(&mut self) -> bool {
        if self.closed.is_some() {
            return false;
        }
        let ended = |reason: String| Some(Close { code: 1006, reason });
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => self.take(&text),
            Some(Ok(Message::Close(frame))) => {
                self.closed = match frame {
                    Some(frame) => Some(Close { code: frame.code.into(), reason: frame.reason.to_string() }),
                    None => Some(Close { code: 1005, reason: String::new() }),
                };
                // The answer to the close frame is queued by the read above and leaves with the next flush.
                let _ = self.socket.flush().await;
            }
            Some(Ok(Message::Binary(_))) => panic!("{}: a binary message on a JSON connection", self.name),
            Some(Ok(_)) => {
                let _ = self.socket.flush().await;
            }
            Some(Err(Error::ConnectionClosed)) | None => self.closed = ended("end of stream".to_owned()),
            Some(Err(error)) => self.closed = ended(error.to_string()),
        }
        self.closed.is_none()
    }

    fn take(&mut self, text: &str) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(text.chars().take(300).collect());
        text.clone_into(&mut self.last_text);
        let frame: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("{}: not JSON ({error}): {text}", self.name));
        if let Err(complaint) = self.record(&frame) {
            panic!("{}: {complaint}; the last frames: {:#?}", self.name, self.recent);
        }
        self.inbox.push_back(frame);
    }

    /// Moves the positions that a frame moves.
    fn record(&mut self, frame: &Value) -> Result<(), String> {
        let room = frame["room"].as_str().unwrap_or_default();
        match frame["type"].as_str() {
            Some("ok") if frame.get("head").is_some() => {
                self.present.insert(room.to_owned(), users(&frame["members"]).collect());
                self.rooms.entry(room.to_owned()).or_default().joined(frame)
            }
            Some("ok") => {
                let silent = frame["ref"].as_u64().and_then(|reference| self.silent.remove(&reference));
                match silent {
                    Some(sent) if frame["duplicate"] != json!(true) => {
                        let room = sent["room"].as_str().unwrap_or_default();
                        let ledger =
                            self.rooms.get_mut(room).ok_or("an ok of a room that was never joined")?;
                        ledger.event(frame, sent["data"].clone())
                    }
                    _ => Ok(()),
                }
            }
            Some("message" | "edit" | "delete" | "reaction") => {
                let ledger = self.rooms.get_mut(room).ok_or("an event of a room that was never joined")?;
                ledger.event(frame, frame["data"].clone())
            }
            Some("presence") => {
                let present = self.present.entry(room.to_owned()).or_default();
                present.extend(users(&frame["joined"]));
                for user in users(&frame["left"]) {
                    present.remove(&user);
                }
                if frame.get("joined").is_none() {
                    present.clear();
                }
                Ok(())
            }
            Some("reset") => {
                let ledger = self.rooms.get_mut(room).ok_or("a reset of a room that was never joined")?;
                ledger.reset(frame)
            }
            _ => Ok(()),
        }
    }
}

/// The users in a list of members.
fn users(members: &Value) -> impl Iterator<Item = String> {
    let members = members.as_array().cloned().unwrap_or_default();
    members.into_iter().map(|member| member["user"].as_str().unwrap_or("a member without a user").to_owned())
}
