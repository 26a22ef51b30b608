//! What things are called in Redis.
//!
//! A room's name holds no brace, so its channel and every key with its tag share a slot.

use fred::types::Key as RedisKey;
use proto::{RoomName, UserId};

/// What every channel begins with.
const CHANNEL: &str = "chat:";

/// Signals for every node.
pub(super) const CONTROL: &str = "chat:~control";

/// Room names never begin with it, so no room can be taken for one of the cluster's own channels.
const OWN: char = '~';

pub(super) fn channel(room: &RoomName) -> String {
    format!("{CHANNEL}{room}")
}

/// The name of a channel's room; none for the cluster's own.
pub(super) fn room_of_channel(channel: &str) -> Option<&str> {
    channel.strip_prefix(CHANNEL).filter(|name| !name.starts_with(OWN))
}

/// Where a node's probes come back.
pub(super) fn node_channel(node: &crate::NodeId) -> String {
    format!("{CHANNEL}{OWN}node:{node}")
}

/// The same in a cluster, where each primary needs one in a slot of its own: the first that `is_right`.
pub(super) fn shard_channel(node: &crate::NodeId, is_right: impl Fn(&str) -> bool) -> Option<String> {
    // A primary with one slot of all is found after 16,384 names on average.
    const ATTEMPTS: u32 = 200_000;
    (0..ATTEMPTS).map(|number| format!("{CHANNEL}{OWN}node:{node}:{number}")).find(|name| is_right(name))
}

pub(super) fn head(room: &RoomName) -> String {
    format!("{{{CHANNEL}{room}}}:head")
}

/// The keys of a room in the order that the scripts take them: the head, the log, the ids.
pub(super) fn of_room(room: &RoomName) -> Vec<RedisKey> {
    let named = |what: &str| format!("{{{CHANNEL}{room}}}:{what}").into();
    vec![named("head"), named("log"), named("ids")]
}

/// What is known of the events of a room besides the log: the fourth key of the function that amends them.
pub(super) fn marks(room: &RoomName) -> RedisKey {
    beside(room, "marks")
}

/// What is known of a room beside its log: `here`, `nodes` and `told`, `read`, `muted`.
pub(super) fn beside(room: &RoomName, what: &str) -> RedisKey {
    format!("{{{CHANNEL}{room}}}:{what}").into()
}

/// Where the nodes say that they live.
pub(super) const NODES: &str = "chat:~nodes";

/// A pattern of all heads.
pub(super) const HEADS: &str = "{chat:*}:head";

/// The room that a head is of.
pub(super) fn room_of_head(key: &str) -> Option<RoomName> {
    let name = key.strip_prefix('{')?.strip_prefix(CHANNEL)?.strip_suffix("}:head")?;
    RoomName::parse(name).ok()
}

/// What a user is kept from.
pub(super) fn sanctions(user: &UserId) -> String {
    format!("{CHANNEL}{OWN}ban:{user}")
}

/// How many sessions a user has.
pub(super) fn sessions(user: &UserId) -> String {
    format!("{CHANNEL}{OWN}user:{user}")
}

/// A bucket that all nodes share.
pub(super) fn rate(scope: &str) -> String {
    format!("{CHANNEL}{OWN}rate:{scope}")
}

pub(super) fn ticket(ticket: &str) -> String {
    format!("{CHANNEL}{OWN}ticket:{ticket}")
}

#[cfg(test)]
mod tests {
    use fred::util::redis_keyslot;

    use super::*;

    #[test]
    fn all_of_a_room_shares_a_slot() {
        for name in ["lobby", "team:1#a", "@a|b@c"] {
            let room = RoomName::parse(name).unwrap();
            let slot = redis_keyslot(channel(&room).as_bytes());
            for key in of_room(&room).into_iter().chain([
                marks(&room),
                beside(&room, "here"),
                beside(&room, "nodes"),
            ]) {
                assert_eq!(redis_keyslot(key.as_bytes()), slot, "{key:?}");
            }
            assert_eq!(room_of_channel(&channel(&room)), Some(room.as_str()));
        }
    }

    #[test]
    fn the_cluster_s_own_channels_are_no_rooms() {
        for channel in [CONTROL, "chat:~node:a", "lobby"] {
            assert_eq!(room_of_channel(channel), None, "{channel}");
        }
    }
}
