//! Positions in a room's log.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};

/// The largest `seq` (exclusive): what every JSON reader holds as a whole number.
pub const SEQ_LIMIT: u64 = 1 << 53;

/// Which incarnation of a room's log a `seq` counts in. Opaque to clients; 1 to 64 bytes.
///
/// Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Epoch(Arc<str>);

/// Why a text is not an epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an epoch is 1 to 64 bytes, as a server gave it")]
pub struct BadEpoch;

impl Epoch {
    /// The longest epoch, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Checks a text and makes it an epoch.
    pub fn parse(text: &str) -> Result<Self, BadEpoch> {
        if (1..=Self::MAX_BYTES).contains(&text.len()) { Ok(Self(text.into())) } else { Err(BadEpoch) }
    }

    /// Whether both are of the same log, whatever server goes on with it: `<base>.<what names the server>`.
    pub fn continues(&self, other: &Self) -> bool {
        let base = |epoch: &Self| epoch.0.rsplit_once('.').map_or(epoch.0.len(), |(base, _)| base.len());
        self.0[..base(self)] == other.0[..base(other)]
    }

    /// An epoch that no log ever has: for what has no place yet.
    pub fn none() -> Self {
        Self("-".into())
    }
}

text_type!(Epoch);

/// A place in a room's log: behind the event numbered `seq`, before the next. `seq` 0 is before the first.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The incarnation of the log.
    pub epoch: Epoch,
    /// The number of the last event seen; below [`SEQ_LIMIT`].
    #[serde(deserialize_with = "seq")]
    pub seq: u64,
}

impl Clone for Position {
    fn clone(&self) -> Self {
        Self { epoch: self.epoch.clone(), seq: self.seq }
    }

    /// Leaves the epoch as it is where it is the same: thousands of cursors move at every event, and epochs hardly
    /// ever change.
    fn clone_from(&mut self, other: &Self) {
        if self.epoch != other.epoch {
            self.epoch.clone_from(&other.epoch);
        }
        self.seq = other.seq;
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.seq)
    }
}

/// Reads a `seq` and holds it to its bound.
pub(crate) fn seq<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seq = u64::deserialize(deserializer)?;
    if seq < SEQ_LIMIT { Ok(seq) } else { Err(de::Error::custom("seq is a whole number below 2^53")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_when_read() {
        let read = |text: &str| serde_json::from_str::<Position>(text);
        assert!(read(r#"{"epoch":"e","seq":9007199254740991}"#).is_ok());
        for bad in [
            r#"{"epoch":"e","seq":9007199254740992}"#,
            r#"{"epoch":"e","seq":-1}"#,
            r#"{"epoch":"e","seq":1.5}"#,
            r#"{"epoch":"","seq":1}"#,
            r#"{"seq":1}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Epoch::parse(&"e".repeat(65)).is_err());
    }
}
