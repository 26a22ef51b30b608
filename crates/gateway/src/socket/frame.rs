//! Frames as they go out. A server's frames are never masked and never cut (RFC 6455, 5.1 and 5.4), so one is a
//! header of two to ten bytes and the payload.

use bytes::Bytes;
use proto::Close;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// A text frame.
pub fn text(payload: &[u8]) -> Bytes {
    encode(OpCode::Data(Data::Text), payload)
}

/// A binary frame.
pub fn binary(payload: &[u8]) -> Bytes {
    encode(OpCode::Data(Data::Binary), payload)
}

/// A ping without a payload.
pub fn ping() -> Bytes {
    encode(OpCode::Control(Control::Ping), &[])
}

/// The answer to a ping, which gives its payload back.
pub fn pong(payload: &[u8]) -> Bytes {
    encode(OpCode::Control(Control::Pong), payload)
}

/// A close frame.
pub fn close(close: Close) -> Bytes {
    close_with(close.code(), close.reason())
}

/// The answer to a client's close, which gives its code back (RFC 6455, 5.5.1): a page reads it as its own.
pub fn close_reply(code: Option<u16>) -> Bytes {
    match code {
        Some(code) if code != Close::Bye.code() => close_with(code, ""),
        _ => close(Close::Bye),
    }
}

/// What is in a frame of ours: its opcode and its payload.
pub fn open(frame: &[u8]) -> (OpCode, &[u8]) {
    let byte = |index: usize| frame.get(index).copied().unwrap_or_default();
    // The length is one byte, or one that says how many follow.
    let header = match byte(1) {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    (OpCode::from(byte(0) & 0x0f), frame.get(header..).unwrap_or_default())
}

fn close_with(code: u16, reason: &str) -> Bytes {
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    encode(OpCode::Control(Control::Close), &payload)
}

fn encode(opcode: OpCode, payload: &[u8]) -> Bytes {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let mut frame = Vec::with_capacity(header.len(payload.len() as u64) + payload.len());
    // Writing to a `Vec` can't fail.
    let _ = header.format(payload.len() as u64, &mut frame);
    frame.extend_from_slice(payload);
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_has_three_sizes() {
        assert_eq!(text(b"hi")[..], [0x81, 2, b'h', b'i']);
        assert_eq!(text(&[b'x'; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(text(&vec![b'x'; 65_536])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(ping()[..], [0x89, 0]);
        assert_eq!(close(Close::Bye)[..], [0x88, 5, 0x03, 0xe8, b'b', b'y', b'e']);
    }

    #[test]
    fn what_is_in_a_frame() {
        for length in [0, 2, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            assert_eq!(open(&text(&payload)), (OpCode::Data(Data::Text), &payload[..]), "{length}");
        }
        assert_eq!(open(&ping()), (OpCode::Control(Control::Ping), &[][..]));
    }
}
