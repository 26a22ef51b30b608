//! How much of the rooms' logs is kept.

use std::collections::HashMap;

use proto::RoomName;

/// How much of a room's log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At least so many events; Redis trims whole stream nodes and may keep about a hundred more.
    pub length: u64,
    /// Milliseconds since the last append after which the log expires.
    pub age_ms: u64,
}

/// The same for all rooms, by their [namespaces](RoomName::namespace).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retentions {
    /// What holds where nothing else is said.
    pub default: Retention,
    /// What holds in these namespaces.
    pub by_namespace: HashMap<String, Retention>,
}

impl Retentions {
    /// What holds in a room.
    pub fn of(&self, room: &RoomName) -> Retention {
        let own = room.namespace().and_then(|namespace| self.by_namespace.get(namespace));
        own.copied().unwrap_or(self.default)
    }
}

impl From<Retention> for Retentions {
    fn from(default: Retention) -> Self {
        Self { default, by_namespace: HashMap::new() }
    }
}
