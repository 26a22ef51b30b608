//! A frame as a block of an event stream: the same JSON in other clothes.
//!
//! Rooms and replies make WebSocket frames, once for everybody. For a stream the writer takes such a frame out of its
//! header and puts it into lines as it goes out, for the `id:` in it says where this one client stands in all of its
//! rooms. The JSON itself is made once, as for sockets.

use std::time::Duration;

use bytes::Bytes;
use proto::{Position, RoomName};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::event_id;
use crate::socket::frame;

/// How the frames of one stream become blocks.
pub struct Blocks {
    /// Where the client stands in rooms that it is not a member of: not yet, or at the stream's end no more.
    outside: Vec<(RoomName, Position)>,
    /// When the client is to come back, once that is known.
    retry: Option<Duration>,
}

impl Blocks {
    /// Blocks of a stream that begins at these places.
    pub fn new(places: Vec<(RoomName, Position)>) -> Self {
        Self { outside: places, retry: None }
    }

    /// Notes where the client stands in a room that it leaves.
    pub fn leaves(&mut self, left: &RoomName, position: &Position) {
        if let Some((_, place)) = self.outside.iter_mut().find(|(room, _)| room == left) {
            place.clone_from(position);
        }
    }

    /// Has the blocks from now on say when to come back.
    pub fn come_back_after(&mut self, wait: Duration) {
        self.retry = Some(wait);
    }

    /// The block of a frame, for a client that stands at `places` once it has it. Empty for what has no block.
    pub fn encode<'a>(
        &'a self,
        bytes: &[u8],
        places: impl Iterator<Item = (&'a RoomName, &'a Position)>,
    ) -> Bytes {
        match frame::open(bytes) {
            (OpCode::Data(Data::Text), json) => self.block(json, places).into(),
            // Nothing but a sign of life.
            (OpCode::Control(Control::Ping), _) => Bytes::from_static(b":\n\n"),
            // A stream has no close frame and no pongs, and nobody sends binary frames in a chat.
            _ => Bytes::new(),
        }
    }

    /// The id comes last: whoever is cut in the middle of a block must not take itself for one who has had it.
    fn block<'a>(
        &'a self,
        json: &[u8],
        places: impl Iterator<Item = (&'a RoomName, &'a Position)>,
    ) -> Vec<u8> {
        let mut block = Vec::with_capacity(json.len() + 96);
        if let Some(wait) = self.retry {
            block.extend_from_slice(format!("retry: {}\n", wait.as_millis()).as_bytes());
        }
        // In JSON a line break stands between tokens only: in a text it is escaped.
        for line in json.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
            block.extend_from_slice(b"data: ");
            block.extend_from_slice(line);
            block.push(b'\n');
        }
        let places: Vec<_> = places.collect();
        let is_outside = |room: &RoomName| places.iter().all(|(other, _)| *other != room);
        let outside = self.outside.iter().filter(|(room, _)| is_outside(room));
        let outside = outside.map(|(room, position)| (room, position));
        let mut id = String::from("id: ");
        event_id::write(&mut id, places.iter().copied().chain(outside));
        block.extend_from_slice(id.as_bytes());
        block.extend_from_slice(b"\n\n");
        block
    }
}

#[cfg(test)]
mod tests {
    use proto::{Close, Epoch};

    use super::*;

    fn at(room: &str, seq: u64) -> (RoomName, Position) {
        (RoomName::parse(room).unwrap(), Position { epoch: Epoch::parse("e").unwrap(), seq })
    }

    fn encode(blocks: &Blocks, frame: &Bytes, places: &[(RoomName, Position)]) -> String {
        let block = blocks.encode(frame, places.iter().map(|(room, position)| (room, position)));
        String::from_utf8(block.to_vec()).unwrap()
    }

    #[test]
    fn every_kind_of_frame() {
        let mut blocks = Blocks::new(vec![at("a", 1), at("b", 2)]);
        let json = frame::text(br#"{"type":"ok"}"#);
        assert_eq!(encode(&blocks, &json, &[]), "data: {\"type\":\"ok\"}\nid: a~e~1,b~e~2\n\n");
        assert_eq!(encode(&blocks, &json, &[at("b", 7)]), "data: {\"type\":\"ok\"}\nid: b~e~7,a~e~1\n\n");
        assert_eq!(encode(&blocks, &frame::ping(), &[]), ":\n\n");
        assert_eq!(encode(&blocks, &frame::close(Close::Restart), &[]), "");
        assert_eq!(encode(&blocks, &frame::pong(b"x"), &[]), "");
        blocks.leaves(&at("b", 0).0, &at("b", 9).1);
        assert_eq!(encode(&blocks, &json, &[]), "data: {\"type\":\"ok\"}\nid: a~e~1,b~e~9\n\n");
        blocks.come_back_after(Duration::from_millis(1234));
        let both = [at("a", 3), at("b", 4)];
        assert_eq!(
            encode(&blocks, &json, &both),
            "retry: 1234\ndata: {\"type\":\"ok\"}\nid: a~e~3,b~e~4\n\n"
        );
    }

    #[test]
    fn a_line_of_data_for_each_line_of_json() {
        let blocks = Blocks::new(vec![at("a", 1)]);
        for (json, lines) in [
            ("{\n  \"a\": 1\n}", "data: {\ndata:   \"a\": 1\ndata: }\n"),
            ("{\r\n\"a\":\r1}", "data: {\ndata: \"a\":\ndata: 1}\n"),
            ("[1,\n\n2]\n", "data: [1,\ndata: 2]\n"),
        ] {
            let block = encode(&blocks, &frame::text(json.as_bytes()), &[]);
            assert_eq!(block, format!("{lines}id: a~e~1\n\n"), "{json:?}");
        }
        // A long frame has a longer header.
        let long = format!("\"{}\"", "x".repeat(70_000));
        assert_eq!(
            encode(&blocks, &frame::text(long.as_bytes()), &[]),
            format!("data: {long}\nid: a~e~1\n\n")
        );
    }
}
