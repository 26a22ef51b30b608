//! What can stand behind the gateways, by name.

/// What stands behind the gateways, and when an `ok` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// One Redis that syncs its append-only file always.
    #[default]
    Single,
    /// Three primaries with a replica each.
    Cluster(Oks),
    /// A primary and two replicas, watched by three sentinels.
    Sentinel(Oks),
}

/// When an append is answered `ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oks {
    /// When all replicas have it, too: nothing acknowledged is ever lost.
    Replicated,
    /// When the primary has it: a failover may lose it, and then everyone is told.
    Local,
}

impl Shape {
    /// By its name on the command line.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "single" => Self::Single,
            "cluster" => Self::Cluster(Oks::Replicated),
            "cluster-local" => Self::Cluster(Oks::Local),
            "sentinel" => Self::Sentinel(Oks::Replicated),
            "sentinel-local" => Self::Sentinel(Oks::Local),
            _ => return None,
        })
    }

    /// Whether a failover may lose what was acknowledged.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Cluster(Oks::Local) | Self::Sentinel(Oks::Local))
    }

    /// How many primaries share the rooms.
    pub fn primaries(self) -> usize {
        if matches!(self, Self::Cluster(_)) { 3 } else { 1 }
    }

    /// What the gateways' `[history]` says of it.
    pub(super) fn history(self) -> &'static str {
        match self {
            // One that lacks it could be promoted, were it not all of them.
            Self::Sentinel(Oks::Replicated) => "ack = \"replicated\"\nack_replicas = 2\n",
            Self::Cluster(Oks::Replicated) => "ack = \"replicated\"\nack_replicas = 1\n",
            _ => "",
        }
    }
}
