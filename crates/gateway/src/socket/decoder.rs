//! Frames as they come in: bytes to whole messages, without any I/O.
//!
//! The header is tungstenite's; what is ours is that nothing is allocated while nothing is half read, so that an
//! idle connection owns no read buffer.

use std::{io::Cursor, ops::Range};

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
    /// A binary message, which no client of ours sends.
    Binary,
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
    /// The fragments so far of a text message that is under way.
    fragments: Option<Vec<u8>>,
    /// The last message that came in fragments, for its reader to borrow.
    whole: Vec<u8>,
    /// The largest message, in bytes.
    limit: usize,
}

/// A frame whose bytes are all there: its payload is unmasked, in place.
struct Frame {
    header: FrameHeader,
    payload: Range<usize>,
}

impl Decoder {
    /// A decoder of messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), taken: 0, fragments: None, whole: Vec::new(), limit }
    }

    /// Adds bytes that came in.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if one is there. An error says how to close; nothing can be read after it.
    pub fn next_message(&mut self) -> Result<Option<Incoming<'_>>, Close> {
        self.whole = Vec::new();
        while let Some(Frame { header, payload }) = self.frame()? {
            match (header.opcode, self.fragments.take()) {
                (OpCode::Control(control), fragments) => {
                    self.fragments = fragments;
                    return incoming_control(control, &self.buffer[payload]).map(Some);
                }
                (OpCode::Data(Data::Text), None) if header.is_final => {
                    return incoming_text(&self.buffer[payload]).map(Some);
                }
                (OpCode::Data(Data::Text), None) => self.fragments = Some(self.buffer[payload].to_vec()),
                (OpCode::Data(Data::Continue), Some(mut fragments)) => {
                    fragments.extend_from_slice(&self.buffer[payload]);
                    if header.is_final {
                        self.whole = fragments;
                        return incoming_text(&self.whole).map(Some);
                    }
                    self.fragments = Some(fragments);
                }
                (OpCode::Data(Data::Binary), None) => return Err(Close::BinaryUnsupported),
                _ => return Err(Close::ProtocolViolation),
            }
        }
        self.settle();
        Ok(None)
    }

    /// Takes the next frame off the buffer if it is whole, and holds it to RFC 6455, section 5.
    fn frame(&mut self) -> Result<Option<Frame>, Close> {
        let mut cursor = Cursor::new(&self.buffer[self.taken..]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Close::ProtocolViolation)?
        else {
            return Ok(None);
        };
        let control = matches!(header.opcode, OpCode::Control(_));
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        if reserved || (control && (!header.is_final || length > 125)) {
            return Err(Close::ProtocolViolation);
        }
        let Some(mask) = header.mask else { return Err(Close::ProtocolViolation) };
        let gathered = self.fragments.as_ref().map_or(0, Vec::len);
        if !control && length > (self.limit - gathered) as u64 {
            return Err(Close::TooLarge);
        }
        let start = self.taken + cursor.position() as usize;
        let end = start + length as usize;
        let Some(payload) = self.buffer.get_mut(start..end) else { return Ok(None) };
        unmask(payload, mask);
        self.taken = end;
        Ok(Some(Frame { header, payload: start..end }))
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

fn incoming_text(payload: &[u8]) -> Result<Incoming<'_>, Close> {
    str::from_utf8(payload).map(Incoming::Text).map_err(|_| Close::NotUtf8)
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
        if decoder.fragments.is_none() && decoder.taken == decoder.buffer.len() {
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
        bytes.extend(frame(0x88, &[0x03, 0xe8, b'o', b'k']));
        let whole = decode(&bytes, bytes.len());
        let long = format!("Text({:?})", "x".repeat(300));
        assert_eq!(whole, ["Text(\"hello\")", "Ping(b\"?\")", "Text(\"grüß\")", &long, "Close(Some(1000))"]);
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
            (frame(0x82, b"binary"), "binary_unsupported"),
            (frame(0x81, &[b'x'; 1001]), "too_large"),
            (too_large_in_parts, "too_large"),
        ];
        for (bytes, reason) in cases {
            assert_eq!(decode(&bytes, 1024).last().map(String::as_str), Some(reason), "{bytes:?}");
        }
    }
}
