//! Frames as they come in: bytes to whole messages, without any I/O.
//!
//! The header is tungstenite's; what is ours is that nothing is allocated while nothing is half read, so that an
//! idle connection owns no read buffer, and that a text is known to be none at its first wrong byte.

use std::io::Cursor;

use bytes::Bytes;
use proto::Close;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// A whole message from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping, to be answered with its payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The client closes, with a code if it gave one, or answers our close.
    Close(Option<u16>),
}

/// Assembles messages from what a socket gave.
#[derive(Debug)]
pub struct Decoder {
    /// Bytes not taken yet; what stands before `taken` is done with.
    buffer: Vec<u8>,
    taken: usize,
    /// A data message that did not come in one piece and is under way.
    gathered: Option<Box<Gathered>>,
    /// The last such message, for its reader to borrow.
    whole: Vec<u8>,
    /// The largest message, in bytes.
    limit: usize,
}

/// What there is so far of a message that comes in fragments, or in a frame whose end has not come yet.
#[derive(Debug)]
struct Gathered {
    kind: Data,
    bytes: Vec<u8>,
    /// How much of a text is known to be UTF-8: all of it, but for a character that was cut.
    checked: usize,
    /// The frame that is under way; none between two fragments.
    frame: Option<Rest>,
}

/// The part of a frame's payload that has not come yet.
#[derive(Debug)]
struct Rest {
    length: usize,
    mask: [u8; 4],
    is_final: bool,
}

/// A frame's header, held to RFC 6455, section 5.
struct Header {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    /// Where in the buffer the payload begins, and its length.
    start: usize,
    length: usize,
}

impl Decoder {
    /// A decoder of messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), taken: 0, gathered: None, whole: Vec::new(), limit }
    }

    /// Adds bytes that came in.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if one is there. An error says how to close; nothing can be read after it.
    pub fn next_message(&mut self) -> Result<Option<Incoming<'_>>, Close> {
        self.whole = Vec::new();
        loop {
            if let Some(gathered) = self.gather()? {
                self.whole = gathered.bytes;
                return incoming_data(gathered.kind, &self.whole).map(Some);
            }
            if self.gathered.as_ref().is_some_and(|gathered| gathered.frame.is_some()) {
                break;
            }
            let Some(header) = self.header()? else { break };
            let Header { is_final, mask, start, length, .. } = header;
            let end = start + length;
            let is_there = end <= self.buffer.len();
            match header.opcode {
                OpCode::Control(_) if !is_there => break,
                OpCode::Control(control) => {
                    self.taken = end;
                    let payload = &mut self.buffer[start..end];
                    unmask(payload, mask);
                    return incoming_control(control, payload).map(Some);
                }
                OpCode::Data(kind) if is_there && is_final && self.gathered.is_none() => {
                    self.taken = end;
                    let payload = &mut self.buffer[start..end];
                    unmask(payload, mask);
                    return incoming_data(kind, payload).map(Some);
                }
                OpCode::Data(kind) => {
                    self.taken = start;
                    let begun = || Box::new(Gathered { kind, bytes: Vec::new(), checked: 0, frame: None });
                    self.gathered.get_or_insert_with(begun).frame = Some(Rest { length, mask, is_final });
                }
            }
        }
        self.settle();
        Ok(None)
    }

    /// The next frame's header, if it is there.
    fn header(&self) -> Result<Option<Header>, Close> {
        let mut cursor = Cursor::new(&self.buffer[self.taken..]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Close::ProtocolViolation)?
        else {
            return Ok(None);
        };
        let fits = match header.opcode {
            OpCode::Control(_) => header.is_final && length <= 125,
            OpCode::Data(Data::Continue) => self.gathered.is_some(),
            OpCode::Data(Data::Text | Data::Binary) => self.gathered.is_none(),
            OpCode::Data(Data::Reserved(_)) => false,
        };
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        let Some(mask) = header.mask.filter(|_| fits && !reserved) else {
            return Err(Close::ProtocolViolation);
        };
        let gathered = self.gathered.as_ref().map_or(0, |gathered| gathered.bytes.len());
        if matches!(header.opcode, OpCode::Data(_)) && length > (self.limit - gathered) as u64 {
            return Err(Close::TooLarge);
        }
        let start = self.taken + cursor.position() as usize;
        let FrameHeader { opcode, is_final, .. } = header;
        Ok(Some(Header { opcode, is_final, mask, start, length: length as usize }))
    }

    /// Takes what is there of the frame under way, if one is; gives the message if that was its end.
    fn gather(&mut self) -> Result<Option<Gathered>, Close> {
        let Some(gathered) = &mut self.gathered else { return Ok(None) };
        let Some(mut rest) = gathered.frame.take() else { return Ok(None) };
        let there = rest.length.min(self.buffer.len() - self.taken);
        let payload = &mut self.buffer[self.taken..self.taken + there];
        unmask(payload, rest.mask);
        gathered.bytes.extend_from_slice(payload);
        self.taken += there;
        rest.length -= there;
        rest.mask.rotate_left(there % 4);
        let is_whole = rest.length == 0 && rest.is_final;
        gathered.check(is_whole)?;
        if rest.length > 0 {
            gathered.frame = Some(rest);
        }
        Ok(self.gathered.take_if(|_| is_whole).map(|gathered| *gathered))
    }

    /// Gives the memory back when nothing is half read.
    fn settle(&mut self) {
        if self.taken == self.buffer.len() {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.taken);
        }
        self.taken = 0;
    }
}

impl Gathered {
    /// Holds a text to UTF-8 as far as it has come, so that a wrong one is not read to its end.
    fn check(&mut self, is_whole: bool) -> Result<(), Close> {
        if self.kind != Data::Text {
            return Ok(());
        }
        match str::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            // A character that is cut here may go on in what comes next.
            Err(error) if error.error_len().is_none() && !is_whole => self.checked += error.valid_up_to(),
            Err(_) => return Err(Close::NotUtf8),
        }
        Ok(())
    }
}

fn incoming_data(kind: Data, payload: &[u8]) -> Result<Incoming<'_>, Close> {
    match kind {
        Data::Binary => Ok(Incoming::Binary(payload)),
        _ => str::from_utf8(payload).map(Incoming::Text).map_err(|_| Close::NotUtf8),
    }
}

fn incoming_control(control: Control, payload: &[u8]) -> Result<Incoming<'static>, Close> {
    match control {
        Control::Ping => Ok(Incoming::Ping(Bytes::copy_from_slice(payload))),
        Control::Pong => Ok(Incoming::Pong),
        Control::Close => close_code(payload).map(Incoming::Close),
        Control::Reserved(_) => Err(Close::ProtocolViolation),
    }
}

/// A close frame is empty, or a code that may be sent and a reason in UTF-8 (RFC 6455, 5.5.1 and 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Close> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(Close::ProtocolViolation) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !CloseCode::from(code).is_allowed() {
        return Err(Close::ProtocolViolation);
    }
    str::from_utf8(reason).map(|_| Some(code)).map_err(|_| Close::NotUtf8)
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [7, 13, 200, 99];

    /// A client's frame: the first byte as given, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(0x80 | length as u8),
            length => {
                out.push(0xfe);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(&MASK);
        let start = out.len();
        out.extend_from_slice(payload);
        unmask(&mut out[start..], MASK);
        out
    }

    /// Everything that comes out, as text, whatever pieces the bytes come in.
    fn decode(bytes: &[u8], piece: usize) -> Vec<String> {
        let mut decoder = Decoder::new(1000);
        let mut out = Vec::new();
        for piece in bytes.chunks(piece) {
            decoder.feed(piece);
            loop {
                match decoder.next_message() {
                    Ok(Some(incoming)) => out.push(format!("{incoming:?}")),
                    Ok(None) => break,
                    Err(close) => {
                        out.push(close.reason().to_owned());
                        return out;
                    }
                }
            }
        }
        if decoder.gathered.is_none() && decoder.taken == decoder.buffer.len() {
            assert_eq!(decoder.buffer.capacity(), 0, "an idle decoder owns nothing");
        }
        out
    }

    #[test]
    fn pieces_do_not_matter() {
        let mut bytes = frame(0x81, b"hello");
        bytes.extend(frame(0x01, "grü".as_bytes()));
        bytes.extend(frame(0x89, b"?"));
        bytes.extend(frame(0x80, "ß".as_bytes()));
        bytes.extend(frame(0x81, &[b'x'; 300]));
        bytes.extend(frame(0x02, &[0xff, 1]));
        bytes.extend(frame(0x00, &[]));
        bytes.extend(frame(0x80, &[2]));
        bytes.extend(frame(0x88, &[0x03, 0xe8, b'o', b'k']));
        let whole = decode(&bytes, bytes.len());
        let long = format!("Text({:?})", "x".repeat(300));
        assert_eq!(
            whole,
            [
                "Text(\"hello\")",
                "Ping(b\"?\")",
                "Text(\"grüß\")",
                &long,
                "Binary([255, 1, 2])",
                "Close(Some(1000))"
            ]
        );
        for piece in 1..20 {
            assert_eq!(decode(&bytes, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_breaks_the_rules_closes() {
        let unmasked = vec![0x81, 1, b'x'];
        let half_char = [frame(0x01, &[0xc3]), frame(0x80, b"x")].concat();
        let interleaved = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
        let too_large_in_parts = [frame(0x01, &[b'a'; 600]), frame(0x80, &[b'a'; 600])].concat();
        let cases = [
            (unmasked, "protocol_violation"),
            (frame(0xc1, b"rsv1"), "protocol_violation"),
            (frame(0x83, b"opcode"), "protocol_violation"),
            (frame(0x80, b"continues nothing"), "protocol_violation"),
            (interleaved, "protocol_violation"),
            (frame(0x09, b"a ping in fragments"), "protocol_violation"),
            (frame(0x89, &[b'x'; 126]), "protocol_violation"),
            (frame(0x88, &[3]), "protocol_violation"),
            (frame(0x88, &1005_u16.to_be_bytes()), "protocol_violation"),
            (frame(0x88, &[0x03, 0xe8, 0xff]), "not_utf8"),
            (frame(0x81, &[0xff]), "not_utf8"),
            (half_char, "not_utf8"),
            (frame(0x81, &[b'x'; 1001]), "too_large"),
            (too_large_in_parts, "too_large"),
        ];
        for (bytes, reason) in cases {
            assert_eq!(decode(&bytes, 1024).last().map(String::as_str), Some(reason), "{bytes:?}");
        }
    }

    #[test]
    fn a_text_that_can_be_none_is_not_read_to_its_end() {
        // A frame of a hundred bytes of which a few came; the wrong one is the last.
        let cut = frame(0x81, &[&b"gr\xc3\xbc\xc3"[..], &[b'x'; 95]].concat());
        for (there, expected) in [(6 + 5, None), (6 + 6, Some(Close::NotUtf8))] {
            let mut decoder = Decoder::new(1000);
            decoder.feed(&cut[..there]);
            assert_eq!(decoder.next_message().err(), expected, "{there} bytes");
        }
        // A fragment that is complete, while the message is not.
        let mut decoder = Decoder::new(1000);
        decoder.feed(&frame(0x01, &[b'x', 0xff]));
        assert_eq!(decoder.next_message(), Err(Close::NotUtf8));
    }

    #[test]
    fn what_is_announced_is_not_allocated() {
        let mut decoder = Decoder::new(1 << 24);
        decoder.feed(&frame(0x82, &vec![1; 60_000])[..100]);
        assert_eq!(decoder.next_message(), Ok(None));
        let gathered = decoder.gathered.as_ref().map_or(0, |gathered| gathered.bytes.capacity());
        assert!(gathered < 1000, "{gathered} bytes for 92 that came");
    }

    proptest::proptest! {
        /// As the fuzz target `frames` has it, but made of frames, of which random bytes are few.
        #[test]
        fn whatever_is_sent_and_in_whatever_pieces_means_the_same(
            frames in proptest::collection::vec((0_u8..=255, proptest::collection::vec(0_u8..=255, 0..200), 0_u8..4), 1..8),
            piece in 1_usize..64,
        ) {
            const FIRST: [u8; 8] = [0x01, 0x02, 0x00, 0x80, 0x81, 0x82, 0x89, 0x88];
            let mut bytes = Vec::new();
            for (first, payload, kind) in frames {
                // Mostly frames that may be, and texts that are some.
                let first = if kind == 0 { first } else { FIRST[usize::from(first) % FIRST.len()] };
                let text = "aß€😀".repeat(payload.len() / 4).into_bytes();
                bytes.extend(frame(first, if kind == 1 { &payload } else { &text[..payload.len().min(text.len())] }));
            }
            proptest::prop_assert_eq!(decode(&bytes, bytes.len()), decode(&bytes, piece));
        }
    }
}
