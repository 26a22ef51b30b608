//! Which primary has what.

use std::sync::Arc;

use fred::{types::config::Server, util::redis_keyslot};

use super::shard::Shard;

/// How many slots every cluster has.
pub(super) const SLOTS: usize = 16_384;

/// A slot that no primary is known to have.
pub(super) const NOBODY: u16 = u16::MAX;

/// The shards, and the slots that they have. It is never changed, only replaced.
pub(super) struct Map {
    shards: Vec<Arc<Shard>>,
    /// The index of the shard that has the slot; empty when there are no slots and one shard has everything.
    slots: Vec<u16>,
}

impl Map {
    /// A Redis that is no cluster.
    pub(super) fn one(shard: Arc<Shard>) -> Self {
        Self { shards: vec![shard], slots: Vec::new() }
    }

    /// A cluster.
    pub(super) fn cluster(shards: Vec<Arc<Shard>>, slots: Vec<u16>) -> Self {
        debug_assert_eq!(slots.len(), SLOTS);
        Self { shards, slots }
    }

    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// Which has this channel or key.
    pub(super) fn of(&self, name: &str) -> Option<&Arc<Shard>> {
        if self.slots.is_empty() {
            return self.shards.first();
        }
        let slot = redis_keyslot(name.as_bytes());
        self.shards.get(usize::from(*self.slots.get(usize::from(slot))?))
    }

    /// Whether the shard has this channel or key.
    pub(super) fn has(&self, shard: &Arc<Shard>, name: &str) -> bool {
        self.of(name).is_some_and(|owner| Arc::ptr_eq(owner, shard))
    }

    /// The shard at an address.
    pub(super) fn at(&self, server: &Server) -> Option<&Arc<Shard>> {
        self.shards.iter().find(|shard| shard.server.as_ref() == Some(server))
    }

    /// The same with one slot elsewhere; none when nothing would change, or the shard is not known.
    pub(super) fn with(&self, slot: u16, server: &Server) -> Option<Self> {
        let index = self.shards.iter().position(|shard| shard.server.as_ref() == Some(server))?;
        let index = u16::try_from(index).ok()?;
        let mut slots = self.slots.clone();
        let before = std::mem::replace(slots.get_mut(usize::from(slot))?, index);
        (before != index).then(|| Self { shards: self.shards.clone(), slots })
    }

    pub(super) fn is_same(&self, servers: &[Server], slots: &[u16]) -> bool {
        self.slots == slots
            && self.shards.len() == servers.len()
            && self.shards.iter().zip(servers).all(|(shard, server)| shard.server.as_ref() == Some(server))
    }
}
