//! Gauges of connections that can't drift: each connection holds a guard, and the guard knows what it counts
//! as.

use std::sync::Arc;

use metrics::{Gauge, gauge};

use super::Metrics;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is a WebSocket, but nobody's yet.
    Authenticating,
    /// It is somebody's.
    Open,
    /// Its end is announced.
    Closing,
}

impl ConnectionState {
    const ALL: [Self; 3] = [Self::Authenticating, Self::Open, Self::Closing];

    fn as_str(self) -> &'static str {
        match self {
            Self::Authenticating => "authenticating",
            Self::Open => "open",
            Self::Closing => "closing",
        }
    }

    fn gauge(self) -> Gauge {
        gauge!("chorus_connections_by_state", "state" => self.as_str(), "transport" => "websocket")
    }
}

pub(super) struct Gauges {
    all: Gauge,
    by_state: [Gauge; ConnectionState::ALL.len()],
}

impl Gauges {
    pub(super) fn new() -> Self {
        Self { all: gauge!("chorus_connections"), by_state: ConnectionState::ALL.map(ConnectionState::gauge) }
    }
}

/// Counts one connection for as long as it lives.
pub struct ConnectionGauge {
    metrics: Arc<Metrics>,
    state: ConnectionState,
}

impl Metrics {
    /// Counts a new connection; it begins as [`ConnectionState::Authenticating`].
    pub fn connection(self: &Arc<Self>) -> ConnectionGauge {
        let state = ConnectionState::Authenticating;
        self.connections.all.increment(1.0);
        self.connections.by_state[state as usize].increment(1.0);
        ConnectionGauge { metrics: self.clone(), state }
    }
}

impl ConnectionGauge {
    /// Counts it as something else from now on.
    pub fn set(&mut self, state: ConnectionState) {
        let gauges = &self.metrics.connections.by_state;
        gauges[self.state as usize].decrement(1.0);
        gauges[state as usize].increment(1.0);
        self.state = state;
    }
}

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        let gauges = &self.metrics.connections;
        gauges.all.decrement(1.0);
        gauges.by_state[self.state as usize].decrement(1.0);
    }
}
