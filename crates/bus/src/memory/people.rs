//! What is known of users and nodes beside any room.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::UserId;
use tokio::time::{Duration, Instant};

use crate::{Sanction, Sanctions};

/// Buckets that are kept at most; those that are full are forgotten first, and without loss.
const BUCKETS: usize = 100_000;

#[derive(Default)]
pub(super) struct People(Mutex<State>);

#[derive(Default)]
struct State {
    /// Each with the time until which it holds.
    sanctions: HashMap<UserId, [Option<(Bytes, u64)>; 2]>,
    /// Of each user, how many sessions each node has.
    sessions: HashMap<UserId, BTreeMap<String, u64>>,
    /// When each bucket is full again.
    rates: HashMap<String, Instant>,
    /// What each node that lives says of itself.
    nodes: BTreeMap<String, Bytes>,
}

impl People {
    pub(super) fn describe(&self, node: &str, status: Bytes) {
        self.0.lock().nodes.insert(node.to_owned(), status);
    }

    /// A node is no more.
    pub(super) fn gone(&self, node: &str) {
        let mut state = self.0.lock();
        state.nodes.remove(node);
        state.sessions.retain(|_, nodes| {
            nodes.remove(node);
            !nodes.is_empty()
        });
    }

    pub(super) fn nodes(&self) -> Vec<(String, Bytes)> {
        self.0.lock().nodes.iter().map(|(node, status)| (node.clone(), status.clone())).collect()
    }

    pub(super) fn set_sanction(
        &self,
        user: &UserId,
        kind: Sanction,
        value: Option<(&[u8], u64)>,
        now_ms: u64,
    ) {
        let mut state = self.0.lock();
        state.sanctions.retain(|_, both| both.iter().flatten().any(|(_, until)| *until > now_ms));
        let both = state.sanctions.entry(user.clone()).or_default();
        both[kind as usize] = value.map(|(value, until)| (Bytes::copy_from_slice(value), until));
    }

    pub(super) fn sanctions(&self, user: &UserId, now_ms: u64) -> Sanctions {
        let state = self.0.lock();
        let valid = |kind: Sanction| {
            let (value, until) = state.sanctions.get(user)?[kind as usize].as_ref()?;
            (*until > now_ms).then(|| value.clone())
        };
        Sanctions { ban: valid(Sanction::Ban), revocation: valid(Sanction::Revocation) }
    }

    pub(super) fn claim(&self, user: &UserId, node: &str, own: u64, most: u64) -> bool {
        let mut state = self.0.lock();
        let nodes = state.sessions.entry(user.clone()).or_default();
        let others: u64 = nodes.iter().filter(|(other, _)| *other != node).map(|(_, count)| count).sum();
        let fits = most == 0 || own + others <= most;
        if fits && own > 0 {
            nodes.insert(node.to_owned(), own);
        } else if fits {
            nodes.remove(node);
        }
        if nodes.is_empty() {
            state.sessions.remove(user);
        }
        fits
    }

    pub(super) fn take_rate(&self, scope: &str, per_second: u32, burst: u32) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.0.lock();
        if state.rates.len() >= BUCKETS {
            state.rates.retain(|_, full| *full > now);
        }
        let interval = Duration::from_secs(1) / per_second.max(1);
        let full = state.rates.get(scope).copied().unwrap_or(now).max(now) + interval;
        let wait = (full - now).saturating_sub(interval * burst);
        if !wait.is_zero() {
            return Some(wait);
        }
        state.rates.insert(scope.to_owned(), full);
        None
    }
}
