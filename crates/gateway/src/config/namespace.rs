//! What holds in a room, by the part of its name before the first `:`.

use bus::{Retention, Retentions};
use proto::RoomName;

use super::{Config, NamespaceConfig};
use crate::auth::Rights;

/// What holds in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// How much of its log is kept.
    pub history: Retention,
    /// Whether it is kept who is there.
    pub presence: bool,
    /// Above so many members only their number is told.
    pub presence_max_members: u64,
    /// What a user may do whose token names no rooms.
    pub default_rights: Rights,
    /// Bytes of a message's `data`.
    pub data_bytes: usize,
    /// Messages a second of one user; 0 for as many as it likes.
    pub messages_per_second: u32,
    /// Members at most; 0 for as many as come.
    pub members: u64,
    /// Whether those may post who may not moderate.
    pub members_may_post: bool,
}

impl Config {
    /// What holds in a room.
    pub fn namespace(&self, room: &RoomName) -> Namespace {
        self.namespace_of(room.namespace().and_then(|name| self.namespaces.get(name)))
    }

    fn namespace_of(&self, own: Option<&NamespaceConfig>) -> Namespace {
        let none = NamespaceConfig::default();
        let own = own.unwrap_or(&none);
        let age_seconds = own.history_age_seconds.unwrap_or(self.history.age_seconds);
        Namespace {
            history: Retention {
                length: own.history_length.unwrap_or(self.history.length),
                age_ms: age_seconds.saturating_mul(1000),
            },
            presence: own.presence.unwrap_or(self.presence.enabled),
            presence_max_members: own.presence_max_members.unwrap_or(self.presence.max_members),
            default_rights: own.default_rights.unwrap_or(self.rooms.default_rights),
            data_bytes: own.data_bytes.unwrap_or(self.limits.data_bytes),
            messages_per_second: own.messages_per_second.unwrap_or(self.rooms.messages_per_second),
            members: own.members.unwrap_or(self.rooms.members),
            members_may_post: own.members_may_post.unwrap_or(self.rooms.members_may_post),
        }
    }

    /// The largest `data` that may come anywhere, in bytes.
    pub fn largest_data_bytes(&self) -> usize {
        let own = self.namespaces.values().filter_map(|namespace| namespace.data_bytes);
        own.fold(self.limits.data_bytes, usize::max)
    }

    /// How much of the rooms' logs is kept.
    pub fn retentions(&self) -> Retentions {
        let own = self.namespaces.iter();
        let own = own.map(|(name, namespace)| (name.clone(), self.namespace_of(Some(namespace)).history));
        Retentions { default: self.namespace_of(None).history, by_namespace: own.collect() }
    }
}

/// Whether a text can be a namespace's name.
pub(super) fn is_name(text: &str) -> bool {
    text == "@" || (!text.contains(':') && !text.starts_with('@') && RoomName::parse(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_namespace_does_not_say_is_the_default() {
        let mut config = Config::default();
        config.rooms.members = 7;
        let team = NamespaceConfig {
            history_length: Some(5),
            presence: Some(false),
            data_bytes: Some(99_999),
            ..NamespaceConfig::default()
        };
        let own = NamespaceConfig { history_length: Some(3), ..NamespaceConfig::default() };
        config.namespaces = [("team".to_owned(), team), ("@".to_owned(), own)].into();
        let of = |name: &str| config.namespace(&RoomName::parse(name).unwrap());
        let team = of("team:a:b");
        assert_eq!((team.history.length, team.presence, team.members), (5, false, 7));
        assert_eq!(team.history.age_ms, config.history.age_seconds * 1000);
        for other in ["team", "teams:a", "lobby"] {
            assert_eq!(of(other), config.namespace_of(None), "{other}");
        }
        assert_eq!(of("@alice").history.length, 3);
        assert_eq!(config.largest_data_bytes(), 99_999);
        let retentions = config.retentions();
        assert_eq!(retentions.of(&RoomName::parse("team:x").unwrap()).length, 5);
        assert_eq!(retentions.of(&RoomName::parse("x").unwrap()), retentions.default);
    }

    #[test]
    fn names() {
        for good in ["team", "@", "a.b-c_d#"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a:b", "@alice", "a b", "~x", "{x}"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
