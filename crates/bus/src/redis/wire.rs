//! What stands in log entries and in channel payloads. Both begin with a version byte.
//!
//! ```text
//! entry     1  <length of the key, one byte>  <key>  <body>
//! payload   1  e  <epoch> SP <seq> LF  <entry>         a logged event
//!           1  t  <frame>                               one that is not logged
//!           1  h  <version> SP <frame>                  the same, of who is there
//!           1  s  <signal>                              on the control channel
//!           1  p  <number>                              on a node's own channel: a probe
//! ```
//! Anybody who reaches Redis can publish and write anything, so nothing here is trusted.

use bytes::{BufMut, Bytes, BytesMut};
use proto::position::SEQ_LIMIT;

use crate::Key;

const VERSION: u8 = 1;

/// What a payload says it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Event { epoch: &'a str, seq: u64, entry: &'a [u8] },
    Ephemeral(&'a [u8]),
    Presence { version: u64, frame: &'a [u8] },
    Signal(&'a [u8]),
    Probe(u64),
}

/// Makes a log entry. A key that is too long for its length byte is cut, which [`Key`] rules out.
pub(super) fn entry(key: &Key, body: &[u8]) -> Bytes {
    let key = &key.as_bytes()[..key.as_bytes().len().min(Key::MAX_BYTES)];
    let mut entry = BytesMut::with_capacity(2 + key.len() + body.len());
    entry.put_u8(VERSION);
    entry.put_u8(key.len() as u8);
    entry.put_slice(key);
    entry.put_slice(body);
    entry.freeze()
}

/// The key and the body of an entry, in memory of their own: what came from a socket pins its whole read buffer.
pub(super) fn read_entry(entry: &[u8]) -> Option<(Key, Bytes)> {
    let [VERSION, length, rest @ ..] = entry else { return None };
    let length = usize::from(*length);
    if rest.len() < length {
        return None;
    }
    let mut key = Bytes::copy_from_slice(rest);
    let body = key.split_off(length);
    Some((Key::from_bytes(key), body))
}

pub(super) fn ephemeral(frame: &[u8]) -> Bytes {
    payload(b't', frame)
}

pub(super) fn signal(signal: &[u8]) -> Bytes {
    payload(b's', signal)
}

pub(super) fn probe(number: u64) -> Bytes {
    payload(b'p', number.to_string().as_bytes())
}

pub(super) fn read_payload(payload: &[u8]) -> Option<Payload<'_>> {
    let [VERSION, kind, rest @ ..] = payload else { return None };
    match kind {
        b'e' => {
            let line = rest.iter().take(128).position(|&byte| byte == b'\n')?;
            let (epoch, seq) = std::str::from_utf8(&rest[..line]).ok()?.split_once(' ')?;
            Some(Payload::Event { epoch, seq: number(seq)?, entry: &rest[line + 1..] })
        }
        b't' => Some(Payload::Ephemeral(rest)),
        b'h' => {
            let space = rest.iter().take(20).position(|&byte| byte == b' ')?;
            let version = number(std::str::from_utf8(&rest[..space]).ok()?)?;
            Some(Payload::Presence { version, frame: &rest[space + 1..] })
        }
        b's' => Some(Payload::Signal(rest)),
        b'p' => Some(Payload::Probe(number(std::str::from_utf8(rest).ok()?)?)),
        _ => None,
    }
}

/// A plain decimal number that is a possible `seq`; unlike `parse`, no sign.
pub(super) fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&number| number < SEQ_LIMIT)
}

fn payload(kind: u8, rest: &[u8]) -> Bytes {
    [&[VERSION, kind], rest].concat().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_come_back() {
        for key in [&b""[..], b"alice\0x", &[7; 255]] {
            let key = Key::from_bytes(Bytes::copy_from_slice(key));
            let entry = entry(&key, b"body");
            assert_eq!(read_entry(&entry), Some((key, Bytes::from_static(b"body"))));
        }
    }

    #[test]
    fn payloads_come_back() {
        assert_eq!(
            read_payload(b"\x01eb.0-aa 17\n\x01\x00body"),
            Some(Payload::Event { epoch: "b.0-aa", seq: 17, entry: b"\x01\x00body" })
        );
        assert_eq!(read_payload(&ephemeral(b"{}")), Some(Payload::Ephemeral(b"{}")));
        assert_eq!(read_payload(b"\x01h7 {}"), Some(Payload::Presence { version: 7, frame: b"{}" }));
        assert_eq!(read_payload(&signal(b"s")), Some(Payload::Signal(b"s")));
        assert_eq!(read_payload(&probe(7)), Some(Payload::Probe(7)));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            &b""[..],
            b"\x01",
            b"\x02t",
            b"\x01x",
            b"\x01e",
            b"\x01eb.0 1",
            b"\x01eb.0 +1\n",
            b"\x01eb.0 -1\n",
            b"\x01eb.0 9007199254740992\n",
            b"\x01eb.0\n",
            b"\x01e\xff 1\n",
            b"\x01pone",
            b"\x01h7",
            b"\x01h-7 {}",
            b"plain text",
        ] {
            assert_eq!(read_payload(bad), None, "{bad:?}");
        }
        for bad in [&b""[..], b"\x01", b"\x01\x02a", b"\x02\x00"] {
            assert_eq!(read_entry(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_can_panic(bytes: Vec<u8>) {
            let _ = read_payload(&bytes);
            let _ = read_entry(&bytes);
        }
    }
}
