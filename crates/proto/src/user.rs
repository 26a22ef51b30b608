//! User ids.

use std::sync::Arc;

use serde::Serialize;

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
}

text_type!(UserId);

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
