//! What a user may do in a room.

use std::{fmt, str::FromStr};

use proto::{RoomName, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Rights in a room, written as letters: `rw`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// `r`: join and read.
    pub read: bool,
    /// `w`: post.
    pub write: bool,
    /// `m`: moderate.
    pub moderate: bool,
}

/// Why a text is no rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rights are letters of r, w and m")]
pub struct BadRights;

impl Rights {
    /// None at all.
    pub const NONE: Self = Self { read: false, write: false, moderate: false };
    /// Join and read.
    pub const READ: Self = Self { read: true, ..Self::NONE };
    /// All of them.
    pub const ALL: Self = Self { moderate: true, ..Self::READ_WRITE };
    /// Join, read and post.
    pub const READ_WRITE: Self = Self { write: true, ..Self::READ };
}

impl FromStr for Rights {
    type Err = BadRights;

    fn from_str(letters: &str) -> Result<Self, BadRights> {
        letters.chars().try_fold(Self::NONE, |rights, letter| match letter {
            'r' => Ok(Self { read: true, ..rights }),
            'w' => Ok(Self { write: true, ..rights }),
            'm' => Ok(Self { moderate: true, ..rights }),
            _ => Err(BadRights),
        })
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.moderate, "m")];
        letters.iter().filter(|(has, _)| *has).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let letters = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        letters.parse().map_err(de::Error::custom)
    }
}

/// Which rooms a token opens: at most [`Grants::MAX`] patterns, each with its rights.
///
/// A pattern is a room's name, or a prefix that ends in `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Box<[(Box<str>, Rights)]>);

/// Why patterns are not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGrants {
    /// There are more than [`Grants::MAX`].
    #[error("more than 64 room patterns")]
    TooMany,
    /// A pattern is neither a room's name nor a prefix of one and `*`.
    #[error("a room pattern is neither a name nor a prefix and *")]
    Pattern,
    /// A pattern stands there twice; which of the two was meant, nobody knows.
    #[error("a room pattern stands there twice")]
    Twice,
    /// The rights are not letters of `r`, `w`, `m`.
    #[error("rights are letters of r, w and m")]
    Rights,
}

impl Grants {
    /// The most patterns in a token.
    pub const MAX: usize = 64;

    /// Checks patterns and their rights.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadGrants> {
        let mut grants = Vec::<(Box<str>, Rights)>::new();
        for (pattern, letters) in pairs {
            if grants.len() == Self::MAX {
                return Err(BadGrants::TooMany);
            }
            if !is_pattern(pattern) {
                return Err(BadGrants::Pattern);
            }
            if grants.iter().any(|(known, _)| **known == *pattern) {
                return Err(BadGrants::Twice);
            }
            grants.push((pattern.into(), letters.parse().map_err(|_| BadGrants::Rights)?));
        }
        Ok(Self(grants.into()))
    }

    /// The rights in a room: the exact name's, else the longest prefix's, else none.
    fn rights(&self, room: &str) -> Rights {
        let length = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => room.starts_with(prefix).then_some(prefix.len()),
            None => (pattern == room).then_some(usize::MAX),
        };
        let matches = self.0.iter().filter_map(|(pattern, rights)| Some((length(pattern)?, *rights)));
        matches.max_by_key(|(length, _)| *length).map_or(Rights::NONE, |(_, rights)| rights)
    }

    /// Whether all rooms are to be moderated.
    fn moderate_all(&self) -> bool {
        self.0.iter().any(|(pattern, rights)| **pattern == *"*" && rights.moderate)
    }

    /// The pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Rights)> {
        self.0.iter().map(|(pattern, rights)| (&**pattern, *rights))
    }
}

/// The rights of `user` in `room`: its token's, or without any, `default`.
///
/// Users' own rooms are apart: no pattern matches them, and nobody but their user may join. Whoever moderates all rooms (`*`)
/// may post there, from outside.
pub(super) fn rights(user: &UserId, grants: Option<&Grants>, room: &RoomName, default: Rights) -> Rights {
    if let Some(owner) = room.as_str().strip_prefix('@') {
        let moderate = grants.is_some_and(Grants::moderate_all);
        return Rights { read: owner == user.as_str(), moderate, ..Rights::NONE };
    }
    grants.map_or(default, |grants| grants.rights(room.as_str()))
}

fn is_pattern(text: &str) -> bool {
    match text.strip_suffix('*') {
        Some("" | "@") => true,
        Some(prefix) => RoomName::parse(prefix).is_ok(),
        None => RoomName::parse(text).is_ok(),
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> de::Visitor<'de> for Pairs {
            type Value = Vec<(String, String)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of patterns and rights")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }

        let pairs = deserializer.deserialize_map(Pairs)?;
        Self::new(pairs.iter().map(|(pattern, letters)| (&**pattern, &**letters))).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(user: &str, grants: Option<&Grants>, room: &str) -> String {
        let (user, room) = (UserId::parse(user).unwrap(), RoomName::parse(room).unwrap());
        rights(&user, grants, &room, Rights::READ_WRITE).to_string()
    }

    #[test]
    fn letters_come_in_any_order_and_go_in_one() {
        for (text, shown) in [("", ""), ("r", "r"), ("wr", "rw"), ("mwr", "rwm"), ("rr", "r")] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), shown);
        }
        for bad in ["x", "rx", "R", "r w"] {
            assert_eq!(bad.parse::<Rights>(), Err(BadRights), "{bad}");
        }
    }

    #[test]
    fn exact_beats_the_longest_prefix_and_empty_denies() {
        let grants = Grants::new([
            ("*", "r"),
            ("team:*", "rw"),
            ("team:1*", ""),
            ("team:1", "rwm"),
            ("team:12:*", "w"),
            ("@*", "rwm"),
            ("@bob", "rwm"),
        ])
        .unwrap();
        for (room, expected) in [
            ("lobby", "r"),
            ("team", "r"),
            ("team:2", "rw"),
            ("team:1", "rwm"),
            ("team:11", ""),
            ("team:12", ""),
            ("team:12:x", "w"),
            ("@alice", "r"),
            ("@bob", ""),
        ] {
            assert_eq!(letters("alice", Some(&grants), room), expected, "{room}");
        }
    }

    #[test]
    fn without_patterns_the_default_holds_but_not_in_others_own_rooms() {
        assert_eq!(letters("alice", None, "lobby"), "rw");
        assert_eq!(letters("alice", None, "@alice"), "r");
        assert_eq!(letters("alice", None, "@alice2"), "");
        assert_eq!(letters("alice", Some(&Grants::default()), "lobby"), "");
        assert_eq!(letters("alice", Some(&Grants::default()), "@alice"), "r");
    }

    #[test]
    fn whoever_moderates_all_rooms_moderates_users_own() {
        let all = Grants::new([("*", "rwm")]).unwrap();
        assert_eq!(letters("mod", Some(&all), "@alice"), "m");
        assert_eq!(letters("mod", Some(&all), "@mod"), "rm");
        let some = Grants::new([("a*", "rwm"), ("*", "rw")]).unwrap();
        assert_eq!(letters("mod", Some(&some), "@alice"), "");
    }

    #[test]
    fn patterns_are_checked() {
        let new = |pattern| Grants::new([(pattern, "r")]).err();
        for good in ["a", "*", "a*", "team:*", "@bob", "@*", "@b*"] {
            assert_eq!(new(good), None, "{good}");
        }
        for bad in ["", "**", "a*b", "*a", "{a}", "~*", "a b", &"x".repeat(129)] {
            assert_eq!(new(bad), Some(BadGrants::Pattern), "{bad}");
        }
        assert_eq!(Grants::new([("a", "r"), ("a", "")]), Err(BadGrants::Twice));
        assert_eq!(Grants::new([("a", "rx")]), Err(BadGrants::Rights));

        let many: Vec<_> = (0..65).map(|n| format!("room{n}")).collect();
        assert!(Grants::new(many[..64].iter().map(|room| (&**room, "r"))).is_ok());
        assert_eq!(Grants::new(many.iter().map(|room| (&**room, "r"))), Err(BadGrants::TooMany));
    }
}
