//! The users who are connected to this node, and by which connections.

use std::sync::Arc;

use dashmap::DashMap;
use proto::UserId;

use crate::connection::Connection;

/// The users who are connected to this node. No guard of the map leaves this module.
#[derive(Default)]
pub struct Users {
    map: DashMap<UserId, Vec<Arc<Connection>>>,
}

impl Users {
    /// Counts a connection in.
    pub fn enter(&self, user: &UserId, connection: &Arc<Connection>) {
        let mut connections = self.map.entry(user.clone()).or_default();
        // Nearly everybody has one, and a list grows by four at once.
        if connections.is_empty() {
            connections.reserve_exact(1);
        }
        connections.push(Arc::clone(connection));
    }

    /// Counts a connection out.
    pub fn leave(&self, user: &UserId, connection: &Arc<Connection>) {
        if let Some(mut connections) = self.map.get_mut(user) {
            connections.retain(|other| !Arc::ptr_eq(other, connection));
        }
        self.map.remove_if(user, |_, connections| connections.is_empty());
    }

    /// The connections of a user.
    pub fn connections(&self, user: &UserId) -> Vec<Arc<Connection>> {
        self.map.get(user).map(|connections| connections.clone()).unwrap_or_default()
    }

    /// How many connections a user has.
    pub fn count(&self, user: &UserId) -> usize {
        self.map.get(user).map_or(0, |connections| connections.len())
    }

    /// How many users there are.
    pub fn total(&self) -> usize {
        self.map.len()
    }

    /// All users.
    pub fn all(&self) -> Vec<UserId> {
        self.map.iter().map(|entry| entry.key().clone()).collect()
    }
}
