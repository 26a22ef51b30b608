//! Every connection of this node, at hand when the node drains.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use dashmap::DashMap;

use crate::{
    connection::{Connection, Outlet},
    metrics::Metrics,
};

/// Connections over the limit that are told so at the same time. Past these a flood gets a bare 503.
const FAREWELLS: usize = 256;

/// The connections of this node. No guard of the map leaves this module.
pub struct Connections {
    open: DashMap<u64, Arc<Connection>>,
    next: AtomicU64,
    farewells: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

/// The right to be told in words that there is no place.
pub struct Farewell(Arc<AtomicUsize>);

impl Connections {
    /// None yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let (next, farewells) = (AtomicU64::new(1), Arc::default());
        Self { open: DashMap::new(), next, farewells, metrics }
    }

    /// Takes in an upgraded socket, or a stream, which will hold at most `outbox_bytes` of replies.
    pub fn open(&self, io: impl Into<Outlet>, outbox_bytes: usize) -> Arc<Connection> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(id, io, outbox_bytes, Arc::clone(&self.metrics)));
        self.open.insert(id, Arc::clone(&connection));
        connection
    }

    /// Forgets a connection that has ended.
    pub fn closed(&self, connection: &Connection) {
        self.open.remove(&connection.id);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// All of them, as they are now.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.open.iter().map(|entry| Arc::clone(&entry)).collect()
    }

    /// Whether a connection that finds no place can be told so in words, and not just by a 503.
    pub fn farewell(&self) -> Option<Farewell> {
        let farewell = Farewell(Arc::clone(&self.farewells));
        (self.farewells.fetch_add(1, Ordering::Relaxed) < FAREWELLS).then_some(farewell)
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
