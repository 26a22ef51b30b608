//! What holds in the rooms of a namespace: what the configuration says of it, and for the rest what it says of all rooms.

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

use bus::{Retention, Retentions};
use proto::RoomName;
use serde::{Deserialize, Serialize};

use super::{Config, NamespaceConfig};
use crate::auth::Rights;

/// The namespaces of which something else is said than of all rooms.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Namespaces {
    pub(super) given: BTreeMap<String, NamespaceConfig>,
    /// Made by the first who asks, for it takes the other sections, too; nothing of them changes afterwards.
    #[serde(skip)]
    pub(super) resolved: OnceLock<Resolved>,
}

/// What holds in each.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    default: Namespace,
    by_name: HashMap<Box<str>, Namespace>,
    data_bytes: usize,
}

/// What holds in the rooms of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// How much of their logs is kept.
    pub history: Retention,
    /// Whether it is known who is there.
    pub presence: bool,
    /// Members up to which it is told who they are.
    pub presence_max_members: u64,
    /// What a user may do whose token names no rooms. Users' own rooms do not ask for it.
    pub default_rights: Rights,
    /// Whether whoever has the right to post may, or only who moderates.
    pub members_may_post: bool,
    /// Bytes of a message's data.
    pub data_bytes: usize,
    /// Messages a second of a user in each room; 0 for any number.
    pub messages_per_second: u32,
    /// Users who may be in a room at once; 0 for any number.
    pub members: u64,
}

impl Namespaces {
    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// What is said of each.
    pub(super) fn given(&self) -> impl Iterator<Item = (&str, &NamespaceConfig)> {
        self.given.iter().map(|(name, given)| (&**name, given))
    }

    /// Whether a room can be of a namespace of this name.
    pub(super) fn is_name(name: &str) -> bool {
        name == "@" || (!name.contains([':', '@']) && RoomName::parse(name).is_ok())
    }
}

impl Config {
    /// What holds in a room. One look into a map, or none in the default namespace.
    pub fn namespace(&self, room: &RoomName) -> &Namespace {
        let resolved = self.resolved();
        room.namespace().and_then(|name| resolved.by_name.get(name)).unwrap_or(&resolved.default)
    }

    /// Bytes of the largest data that some room takes.
    pub fn largest_data_bytes(&self) -> usize {
        self.resolved().data_bytes
    }

    /// How much of the rooms' logs is kept.
    pub fn retentions(&self) -> Retentions {
        let Resolved { default, by_name, .. } = self.resolved();
        let by_namespace =
            by_name.iter().map(|(name, namespace)| (name.to_string(), namespace.history)).collect();
        Retentions { default: default.history, by_namespace }
    }

    fn resolved(&self) -> &Resolved {
        self.namespaces.resolved.get_or_init(|| {
            let default = self.resolve(&NamespaceConfig::default());
            let by_name: HashMap<Box<str>, _> =
                self.namespaces.given().map(|(name, given)| (name.into(), self.resolve(given))).collect();
            let all = by_name.values().chain([&default]);
            let data_bytes = all.map(|namespace| namespace.data_bytes).max().unwrap_or(default.data_bytes);
            Resolved { default, by_name, data_bytes }
        })
    }

    fn resolve(&self, own: &NamespaceConfig) -> Namespace {
        let Self { history, presence, rooms, limits, .. } = self;
        let age_seconds = own.history_age_seconds.unwrap_or(history.age_seconds);
        Namespace {
            history: Retention {
                length: own.history_length.unwrap_or(history.length),
                age_ms: age_seconds.saturating_mul(1000),
            },
            presence: own.presence.unwrap_or(presence.enabled),
            presence_max_members: own.presence_max_members.unwrap_or(presence.max_members),
            default_rights: own.default_rights.unwrap_or(rooms.default_rights),
            members_may_post: own.members_may_post.unwrap_or(rooms.members_may_post),
            data_bytes: own.data_bytes.unwrap_or(limits.data_bytes),
            messages_per_second: own.messages_per_second.unwrap_or(rooms.messages_per_second),
            members: own.members.unwrap_or(rooms.members),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::config::Sources;

    fn load(text: &str) -> Config {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Config::load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }).unwrap()
    }

    const TEXT: &str = "
        [history]
        length = 50
        [rooms]
        messages_per_second = 3
        [namespaces.team]
        history_age_seconds = 60
        default_rights = 'r'
        data_bytes = 20_000
        [namespaces.'a.b']
        presence = false
        presence_max_members = 7
        members_may_post = false
        [namespaces.'@']
        messages_per_second = 0
        members = 2
    ";

    #[test]
    fn what_a_namespace_does_not_say_is_as_in_every_room() {
        let config = load(TEXT);
        let of = |room: &str| *config.namespace(&RoomName::parse(room).unwrap());
        let usual = Namespace {
            history: Retention { length: 50, age_ms: 86_400_000 },
            presence: true,
            presence_max_members: 100,
            default_rights: Rights::READ_WRITE,
            members_may_post: true,
            data_bytes: 16_384,
            messages_per_second: 3,
            members: 0,
        };
        for room in ["lobby", "team", "teams:1", "Team:1", "a:b", ":team:1"] {
            assert_eq!(of(room), usual, "{room}");
        }
        let history = Retention { length: 50, age_ms: 60_000 };
        let team = Namespace { history, default_rights: Rights::READ, data_bytes: 20_000, ..usual };
        assert_eq!((of("team:1"), of("team:1:2"), of("team:")), (team, team, team));
        let quiet = Namespace { presence: false, presence_max_members: 7, members_may_post: false, ..usual };
        assert_eq!(of("a.b:c"), quiet);
        assert_eq!(of("@team:1"), Namespace { messages_per_second: 0, members: 2, ..usual });

        assert_eq!(config.largest_data_bytes(), 20_000);
        let kept = |room| config.retentions().of(&RoomName::parse(room).unwrap());
        assert_eq!((kept("team:1"), kept("team"), kept("@bob")), (history, usual.history, usual.history));
    }

    #[test]
    fn what_is_printed_of_them_says_the_same() {
        let config = load(TEXT);
        let again = load(&config.to_toml());
        for room in ["lobby", "team:1", "a.b:c", "@bob"] {
            let room = RoomName::parse(room).unwrap();
            assert_eq!(config.namespace(&room), again.namespace(&room), "{}", config.to_toml());
        }
        assert!(!Config::default().to_toml().contains("namespaces"));
    }

    #[test]
    fn names() {
        for good in ["team", "@", "a.b-c_d#"] {
            assert!(Namespaces::is_name(good), "{good}");
        }
        for bad in ["", "a:b", "@alice", "a b", "~x", "{x}"] {
            assert!(!Namespaces::is_name(bad), "{bad}");
        }
    }
}
