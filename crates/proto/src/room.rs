//! Room names.

use std::sync::Arc;

use serde::Serialize;

use crate::user::UserId;

/// The name of a room: 1 to 128 bytes of `A-Z a-z 0-9 _ . - : #`, or `@` followed by a [`UserId`].
///
/// A name never holds a brace, so that `{chat:<room>}` is a Redis hash tag, and never begins with `~`, which
/// the cluster keeps for its own channels. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RoomName(Arc<str>);

/// Why a text is not a room name. The message is fit for a client's eyes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a room is 1 to 128 bytes of A-Z a-z 0-9 _ . - : # or @<user id>")]
pub struct BadRoom;

impl RoomName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Checks a text and makes it a room name.
    pub fn parse(text: &str) -> Result<Self, BadRoom> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:#".contains(&byte);
        let valid = match text.strip_prefix('@') {
            Some(user) => UserId::is_valid(user),
            None => !text.is_empty() && text.len() <= Self::MAX_BYTES && text.bytes().all(plain),
        };
        if valid { Ok(Self(text.into())) } else { Err(BadRoom) }
    }

    /// The user's own room, `@<user id>`.
    pub fn of_user(user: &UserId) -> Self {
        Self(format!("@{user}").into())
    }

    /// Whether this is some user's own room.
    pub fn is_personal(&self) -> bool {
        self.0.starts_with('@')
    }

    /// The part before the first `:`; `@` for users' own rooms; none for the default namespace.
    pub fn namespace(&self) -> Option<&str> {
        if self.is_personal() {
            return Some("@");
        }
        self.0.split_once(':').map(|(namespace, _)| namespace)
    }
}

text_type!(RoomName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_protocol_names() {
        for good in ["lobby", "a", "team:42#general", "A-b_c.d", "@alice", "@a|b@c+d=e/f", &"x".repeat(128)] {
            assert!(RoomName::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        let long = "x".repeat(129);
        let long_user = format!("@{}", "x".repeat(121));
        for bad in
            ["", "@", "a b", "{a}", "~nodes", "a/b", "é", "a\0", "lobby\n", "a*", &long, &long_user, "@{x}"]
        {
            assert_eq!(RoomName::parse(bad), Err(BadRoom), "{bad}");
        }
    }

    #[test]
    fn namespace_is_what_stands_before_the_first_colon() {
        let namespace = |name| RoomName::parse(name).unwrap().namespace().map(str::to_owned);
        assert_eq!(namespace("lobby"), None);
        assert_eq!(namespace("team:1:2").as_deref(), Some("team"));
        assert_eq!(namespace("@alice:x").as_deref(), Some("@"));
    }
}
