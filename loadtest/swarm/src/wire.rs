//! WebSocket frames, as far as a client that measures needs them (RFC 6455, section 5).

/// In a frame's first byte: it is a message's last.
const FIN: u8 = 0x80;

/// In its second byte: a mask follows.
const MASKED: u8 = 0x80;

/// A frame's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The rest of a fragmented message.
    Continuation,
    /// Text.
    Text,
    /// Anything.
    Binary,
    /// The last frame.
    Close,
    /// Wants a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// A frame that a server sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its kind.
    pub opcode: Opcode,
    /// What it carries.
    pub payload: &'a [u8],
    /// How long it is with its head.
    pub length: usize,
}

/// The frame at the beginning of some bytes; none while it is not whole.
///
/// # Errors
/// When a server may not send this.
pub fn parse(bytes: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if second & MASKED != 0 {
        return Err("a server masks nothing");
    }
    if first & 0x70 != 0 {
        return Err("no extension was agreed on");
    }
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err("no such opcode"),
    };
    let (head, length) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
        (126, _) => return Ok(None),
        (127, rest) => match rest.first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        (length, _) => (2, u64::from(length)),
    };
    let Ok(length) = usize::try_from(length) else { return Err("longer than memory") };
    let end = head + length;
    Ok(bytes.get(head..end).map(|payload| Frame { opcode, payload, length: end }))
}

/// Appends a frame from a client. Its mask is zero, which RFC 6455 forbids for the sake of proxies, allows a server
/// no shortcut (it unmasks all the same), and costs this program nothing.
pub fn put(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let code = match opcode {
        Opcode::Continuation => 0,
        Opcode::Text => 1,
        Opcode::Binary => 2,
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
    };
    out.push(FIN | code);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=65_535 => {
            out.push(MASKED + 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED + 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_a_masked_frame_of_each_length() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut out = Vec::new();
            put(&mut out, Opcode::Text, &payload);
            assert_eq!(parse(&out), Err("a server masks nothing"));
            // The same without its mask, as a server would send it.
            let head = out.len() - length;
            out[1] &= 0x7f;
            out.drain(head - 4..head);
            let frame = parse(&out).expect("a good frame").expect("a whole frame");
            assert_eq!((frame.opcode, frame.payload, frame.length), (Opcode::Text, &payload[..], out.len()));
            for cut in 0..out.len().min(12) {
                assert_eq!(parse(&out[..cut]), Ok(None), "{cut} of {length}");
            }
        }
    }

    #[test]
    fn what_a_server_may_not_send_is_refused() {
        assert!(parse(&[0xc1, 0]).is_err());
        assert!(parse(&[0x83, 0]).is_err());
    }
}
