//! An event stream as an `EventSource` reads it, which checks what it is told as [`crate::Client`] does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;

use crate::secure::{Wire, wire};
use crate::{Ledger, PATIENCE, Response, within};

/// A stream to be opened.
#[derive(Debug, Clone)]
pub struct StreamDial {
    to: SocketAddr,
    path: String,
    headers: Vec<(String, String)>,
    receive_buffer: Option<u32>,
    rooms: BTreeMap<String, Ledger>,
}

/// An open stream. It reads only when it is asked to.
#[derive(Debug)]
pub struct EventStream {
    reader: BufReader<Wire>,
    /// Header names in lower case, and their values.
    headers: Vec<(String, String)>,
    /// What has come and is not a whole line yet.
    pending: Vec<u8>,
    last_event_id: String,
    /// The `id:` of the block that is being read; it counts when that is whole.
    next_event_id: String,
    retry: Option<u64>,
    comments: usize,
    rooms: BTreeMap<String, Ledger>,
    end: Option<StreamEnd>,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// By its last chunk.
    Whole,
    /// In the middle.
    Cut,
}

/// What a client keeps of a stream that is gone: enough to go on elsewhere.
#[derive(Debug, Clone)]
pub struct Stand {
    /// The last `id:`.
    pub last_event_id: String,
    /// What it holds of its rooms.
    pub rooms: BTreeMap<String, Ledger>,
}

impl StreamDial {
    /// To these rooms there, without any credential.
    pub fn to(to: SocketAddr, rooms: &[&str]) -> Self {
        let mut path = "/v1/events?".to_owned();
        for room in rooms {
            let _ = write!(path, "room={}&", escape(room));
        }
        Self { to, path, headers: Vec::new(), receive_buffer: None, rooms: BTreeMap::new() }
    }

    /// More of the query.
    #[must_use]
    pub fn query(mut self, key: &str, value: &str) -> Self {
        let _ = write!(self.path, "{key}={}&", escape(value));
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Goes on from where another stream stood, as an `EventSource` does by itself.
    #[must_use]
    pub fn resume(mut self, stand: Stand) -> Self {
        self.rooms = stand.rooms;
        self.header("Last-Event-ID", stand.last_event_id)
    }

    /// The same by the query, as for an `EventSource` that is made anew.
    #[must_use]
    pub fn resume_by_query(mut self, stand: Stand) -> Self {
        self.rooms = stand.rooms;
        self.query("last_event_id", &stand.last_event_id)
    }

    /// With a small receive buffer (bytes), so that a reader that stalls is felt soon.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Opens it.
    ///
    /// # Errors
    /// The answer, when that is no stream.
    pub async fn open(self) -> Result<EventStream, Response> {
        let what = format!("GET {} at {}", self.path, self.to);
        within(PATIENCE, &what, self.request()).await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Opens it and awaits `welcome`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn welcomed(self) -> EventStream {
        let mut stream = self.open().await.unwrap_or_else(|response| panic!("no stream: {response:?}"));
        stream.expect("welcome").await;
        stream
    }

    /// The answer to a request that must be refused.
    ///
    /// # Panics
    /// When it is not.
    pub async fn refused(self) -> Response {
        match self.open().await {
            Err(response) => response,
            Ok(_) => panic!("a stream, where it should have been refused"),
        }
    }

    async fn request(self) -> std::io::Result<Result<EventStream, Response>> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let mut stream = wire(socket.connect(self.to).await?, self.to).await?;
        let mut request = format!("GET {} HTTP/1.1\r\nAccept: text/event-stream\r\n", self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let _ = write!(request, "Host: {}\r\n", self.to);
        }
        for (name, value) in &self.headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await?;
        stream.flush().await?;
        // As much at once as the smallest receive buffer: what is read ahead is not felt.
        let mut reader = BufReader::with_capacity(1024, stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).await? == 0 {
                return Err(std::io::Error::other("the head of the answer was cut"));
            }
        }
        let mut answer = Response::parse_head(&head).ok_or_else(|| std::io::Error::other("not HTTP"))?;
        let is_stream = answer.header("content-type") == Some("text/event-stream");
        if answer.status != 200 || !is_stream {
            let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await?;
            answer.body = String::from_utf8_lossy(&body).into_owned();
            return Ok(Err(answer));
        }
        Ok(Ok(EventStream {
            reader,
            headers: answer.headers,
            pending: Vec::new(),
            last_event_id: String::new(),
            next_event_id: String::new(),
            retry: None,
            comments: 0,
            rooms: self.rooms,
            end: None,
        }))
    }
}

impl EventStream {
    /// The first header of that name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The last `id:`.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The last `retry:`, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The comments so far.
    pub fn comments(&self) -> usize {
        self.comments
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<StreamEnd> {
        self.end
    }

    /// What this client holds of a room.
    ///
    /// # Panics
    /// When it has not joined there.
    pub fn ledger(&self, room: &str) -> &Ledger {
        self.rooms.get(room).unwrap_or_else(|| panic!("never joined {room}"))
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        within(PATIENCE, "a frame of a stream", self.frame()).await
    }

    /// Reads until a frame of that type.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Reads until it holds so many events of a room.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn until_events(&mut self, room: &str, count: usize) {
        while self.rooms.get(room).is_none_or(|ledger| ledger.events.len() < count) {
            let held = self.rooms.get(room).map_or(0, |ledger| ledger.events.len());
            assert!(self.next().await.is_some(), "the stream ended with {held} events of {count}");
        }
    }

    /// Reads until there have been so many comments.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn until_comments(&mut self, count: usize) {
        while self.comments < count {
            within(PATIENCE, "a comment", self.block()).await.expect("the stream goes on");
        }
    }

    /// Goes away without a word.
    pub fn cut(self) -> Stand {
        Stand { last_event_id: self.last_event_id, rooms: self.rooms }
    }

    /// Reads until a block has a frame.
    async fn frame(&mut self) -> Option<Value> {
        loop {
            if let Some(frame) = self.block().await? {
                return Some(frame);
            }
        }
    }

    /// Reads a block, whose `data:` is one frame.
    async fn block(&mut self) -> Option<Option<Value>> {
        let mut data = String::new();
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("data:") {
                data.push_str(text.strip_prefix(' ').unwrap_or(text));
                data.push('\n');
            } else if !line.is_empty() {
                self.take_line(&line);
            } else if data.is_empty() {
                return Some(None);
            } else {
                self.last_event_id.clone_from(&self.next_event_id);
                let frame = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
                check(&mut self.rooms, &self.last_event_id, &frame)
                    .unwrap_or_else(|wrong| panic!("{wrong}: {frame}"));
                return Some(Some(frame));
            }
        }
    }

    fn take_line(&mut self, line: &str) {
        if line.starts_with(':') {
            self.comments += 1;
        } else if let Some(id) = line.strip_prefix("id: ") {
            id.clone_into(&mut self.next_event_id);
        } else if let Some(retry) = line.strip_prefix("retry: ") {
            self.retry = Some(retry.parse().unwrap_or_else(|_| panic!("not a number: {line}")));
        } else {
            panic!("not a line of an event stream: {line}");
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).expect("UTF-8"));
            }
            if self.end.is_some() {
                return None;
            }
            self.end = self.chunk().await.unwrap_or(Some(StreamEnd::Cut));
        }
    }

    /// Reads one chunk of the body.
    async fn chunk(&mut self) -> std::io::Result<Option<StreamEnd>> {
        let mut size = String::new();
        self.reader.read_line(&mut size).await?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
        if size == 0 {
            return Ok(Some(StreamEnd::Whole));
        }
        let begun = self.pending.len();
        self.pending.resize(begun + size, 0);
        self.reader.read_exact(&mut self.pending[begun..]).await?;
        self.reader.read_line(&mut String::new()).await?;
        Ok(None)
    }
}

/// Holds a frame to the rules of its room, and its id to where the client then stands.
fn check(rooms: &mut BTreeMap<String, Ledger>, id: &str, frame: &Value) -> Result<(), String> {
    let kind = frame["type"].as_str().unwrap_or_default();
    if !["ok", "message", "edit", "delete", "reaction", "reset"].contains(&kind) {
        return Ok(());
    }
    let room = frame["room"].as_str().ok_or("no room")?;
    let ledger = rooms.entry(room.to_owned()).or_default();
    match kind {
        "ok" => ledger.joined(frame)?,
        "reset" => ledger.reset(frame)?,
        _ => ledger.event(frame, frame["data"].clone())?,
    }
    let place = format!("{room}~{}~{}", ledger.epoch, ledger.seq);
    if id.split(',').any(|part| part == place) {
        Ok(())
    } else {
        Err(format!("the id {id} is not where the client stands, {place}"))
    }
}

/// As it may stand in a query.
fn escape(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~,".contains(byte);
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if plain(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn holes_repeats_and_wrong_ids_are_seen() {
        let event = |seq: u64| json!({ "type": "message", "room": "lobby", "epoch": "a.0", "seq": seq });
        let mut rooms = BTreeMap::new();
        let ok =
            json!({ "type": "ok", "room": "lobby", "epoch": "a.0", "seq": 4, "head": 4, "recovered": false });
        check(&mut rooms, "garden~b.0~1,lobby~a.0~4", &ok).unwrap();
        check(&mut rooms, "lobby~a.0~5", &event(5)).unwrap();
        for (id, seq) in
            [("lobby~a.0~5", 5), ("lobby~a.0~7", 7), ("lobby~a.0~5", 6), ("lobby~a.1~6", 6), ("", 6)]
        {
            assert!(check(&mut rooms.clone(), id, &event(seq)).is_err(), "{id} with {seq}");
        }
        check(&mut rooms, "lobby~a.0~6", &event(6)).unwrap();
        check(&mut rooms, "", &json!({ "type": "typing", "room": "lobby" })).unwrap();
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escape("a:#b~1,@c+d é"), "a%3A%23b~1,%40c%2Bd%20%C3%A9");
    }
}
