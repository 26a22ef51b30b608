//! How much of the rooms' logs is kept.

use std::collections::HashMap;

use proto::RoomName;

/// How much of a room's log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At least so many events; Redis trims whole stream nodes and may keep about a hundred more.
    pub length: u64,
    /// Milliseconds since the last append after which the log expires; in Redis up to half as many later, for its life is not
    /// renewed by each append.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_of_the_namespace_before_its_first_colon() {
        let kept = |length| Retention { length, age_ms: 1 };
        let by_namespace = [("team".into(), kept(2)), ("@".into(), kept(3))].into();
        let all = Retentions { default: kept(1), by_namespace };
        for (room, length) in
            [("team", 1), ("team:1", 2), ("team:1:2", 2), ("teams:1", 1), (":team", 1), ("@team:1", 3)]
        {
            assert_eq!(all.of(&RoomName::parse(room).unwrap()).length, length, "{room}");
        }
    }
}
