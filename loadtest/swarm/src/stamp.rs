//! What every message carries, whatever the protocol, so that its receiver knows when it was due, by whom, and whether
//! one is missing: `"swarm":[due,phase,room,sender,number]` in its `data`.

use std::io::Write as _;

use memchr::memmem;

/// Stands before the numbers; nothing else in any dialect looks like it.
const MARK: &[u8] = b"\"swarm\":[";

/// The numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it was to be sent, on the system's monotonic clock, in nanoseconds. Not when it was: a load generator that
    /// falls behind would else hide how long its messages waited.
    pub due: u64,
    /// The phase that it belongs to.
    pub phase: u32,
    /// The room that it was sent to.
    pub room: u32,
    /// The connection that sent it.
    pub sender: u32,
    /// Counts that sender's messages, from 1.
    pub number: u64,
}

impl Stamp {
    /// Appends a message's `data` with it, padded to about `size` bytes.
    pub fn data(&self, size: usize, out: &mut Vec<u8>) {
        let Self { due, phase, room, sender, number } = self;
        let began = out.len();
        // Writing to memory does not fail.
        let _ = write!(out, "{{\"swarm\":[{due},{phase},{room},{sender},{number}],\"pad\":\"");
        let padding = size.saturating_sub(out.len() - began + 2);
        out.resize(out.len() + padding, b'x');
        out.extend(b"\"}");
    }
}

/// Finds stamps; made once, for it prepares the search.
#[derive(Debug)]
pub struct Finder(memmem::Finder<'static>);

impl Default for Finder {
    fn default() -> Self {
        Self(memmem::Finder::new(MARK))
    }
}

impl Finder {
    /// Every stamp in a frame's payload.
    pub fn stamps<'a>(&'a self, payload: &'a [u8]) -> impl Iterator<Item = Stamp> + 'a {
        let mut rest = payload;
        std::iter::from_fn(move || {
            let at = self.0.find(rest)?;
            rest = &rest[at + MARK.len()..];
            Some(Stamp {
                due: number(&mut rest)?,
                phase: number(&mut rest)? as u32,
                room: number(&mut rest)? as u32,
                sender: number(&mut rest)? as u32,
                number: number(&mut rest)?,
            })
        })
    }
}

/// The digits at the beginning, and one byte behind them.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, byte) in rest.iter().enumerate() {
        if byte.is_ascii_digit() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        } else {
            *rest = &rest[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_in_any_envelope_and_of_the_size_asked_for() {
        let stamp = Stamp { due: 123_456_789_012, phase: 3, room: 77, sender: 999, number: 5 };
        let other = Stamp { number: 6, ..stamp };
        let mut text = b"42[\"message\",{\"data\":".to_vec();
        stamp.data(128, &mut text);
        assert_eq!(text.len(), 21 + 128);
        text.extend(b"}]\n{\"push\":{\"pub\":{\"data\":");
        other.data(1, &mut text);
        text.extend(b"}}}");
        assert_eq!(Finder::default().stamps(&text).collect::<Vec<_>>(), [stamp, other]);
    }

    #[test]
    fn half_a_stamp_is_none() {
        assert_eq!(Finder::default().stamps(b"{\"swarm\":[1,2,3").count(), 0);
    }
}
