//! User ids.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};

/// A user's id, the `sub` of its token: 1 to 120 bytes of `A-Z a-z 0-9 _ . - : # @ | + = /`.
///
/// The bound leaves room for the `@` in front of it in a room name. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UserId(Arc<str>);

/// Why a text is not a user id. The message is fit for a client's eyes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user id is 1 to 120 bytes of A-Z a-z 0-9 _ . - : # @ | + = /")]
pub struct BadUser;

impl UserId {
    /// The longest id, in bytes.
    pub const MAX_BYTES: usize = 120;

    /// Checks a text and makes it a user id.
    pub fn parse(text: &str) -> Result<Self, BadUser> {
        if Self::is_valid(text) { Ok(Self(text.into())) } else { Err(BadUser) }
    }

    pub(crate) fn is_valid(text: &str) -> bool {
        (1..=Self::MAX_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-:#@|+=/".contains(&byte))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_and_the_bounds() {
        for good in ["alice", "auth0|5f7c", "a@b.c", "x=/+", &"u".repeat(120)] {
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a{b", "ü", "a\0b", "~x", &"u".repeat(121)] {
            assert_eq!(UserId::parse(bad), Err(BadUser), "{bad}");
        }
    }
}
