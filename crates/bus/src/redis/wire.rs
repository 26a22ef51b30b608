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
//! In the payload of an event that is traced, `1 <traceparent>` stands in front of the entry's key, which begins with no such
//! byte by itself. In the log it does not. A node that does not know of it takes it all for the key, which it does no more
//! with than to compare it with those of its own appends.
//!
//! Anybody who reaches Redis can publish and write anything, so nothing here is trusted.

use bytes::{BufMut, Bytes, BytesMut};
use proto::position::SEQ_LIMIT;

use crate::{Key, TraceContext};

const VERSION: u8 = 1;

/// Before the key of an event that is traced. Keys begin with a user's name or with a 0.
const TRACED: u8 = 1;

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

/// Takes what is there for tracing off an event's key.
pub(super) fn split_trace(mut key: Key) -> (Key, Option<Box<TraceContext>>) {
    let [TRACED, rest @ ..] = key.as_bytes() else { return (key, None) };
    let text = rest.get(..TraceContext::BYTES).and_then(|text| std::str::from_utf8(text).ok());
    let Some((context, _)) = text.and_then(TraceContext::parse) else { return (key, None) };
    (Key::from_bytes(key.0.split_off(1 + TraceContext::BYTES)), Some(Box::new(context)))
}

/// What of a batch is traced, for append.lua: the context of each event, or so many spaces; nothing when none is. A
/// key that leaves no place for it loses it.
pub(super) fn traces<'a>(batch: impl Iterator<Item = (&'a Key, Option<&'a TraceContext>)> + Clone) -> String {
    const WIDTH: usize = TraceContext::BYTES;
    if batch.clone().all(|(_, trace)| trace.is_none()) {
        return String::new();
    }
    let one = |(key, trace): (&Key, Option<&TraceContext>)| {
        let fits = key.as_bytes().len() + 1 + WIDTH <= Key::MAX_BYTES;
        trace.filter(|_| fits).map_or_else(|| " ".repeat(WIDTH), ToString::to_string)
    };
    batch.map(one).collect()
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
    fn a_trace_comes_back_from_before_the_key() {
        let trace = TraceContext::new(0xabc, 0xdef).unwrap();
        let key = |bytes: &[u8]| Key::from_bytes(Bytes::copy_from_slice(bytes));
        let traced = key(format!("\x01{trace}alice\0x").as_bytes());
        assert_eq!(split_trace(traced.clone()), (key(b"alice\0x"), Some(Box::new(trace))));
        // Who knows nothing of it finds the body all the same.
        assert_eq!(read_entry(&entry(&traced, b"body")), Some((traced, Bytes::from_static(b"body"))));
        for plain in [&b""[..], b"alice\0x", b"\x01", b"\x01alice\0x", &[1; 60], &[0xff; 255]] {
            assert_eq!(split_trace(key(plain)), (key(plain), None));
        }
    }

    #[test]
    fn traces_of_a_batch_stand_at_their_events_places() {
        let trace = TraceContext::new(1, 2).unwrap();
        let (short, long) = (Key::from_bytes("a".into()), Key::from_bytes(vec![b'a'; 200].into()));
        let of = |batch: &[(&Key, Option<&TraceContext>)]| traces(batch.iter().copied());
        assert_eq!(of(&[(&short, None), (&long, None)]), "");
        let spaces = " ".repeat(55);
        assert_eq!(of(&[(&short, None), (&short, Some(&trace))]), format!("{spaces}{trace}"));
        assert_eq!(of(&[(&long, Some(&trace)), (&short, Some(&trace))]), format!("{spaces}{trace}"));
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
            let _ = split_trace(Key::from_bytes(bytes.into()));
        }
    }
}
