//! Gauges of connections that can't drift: each connection holds a guard, and the guard knows what it counts
//! as.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};

use super::Metrics;

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// An event stream.
    Stream,
}

impl Transport {
    const ALL: [Self; 2] = [Self::WebSocket, Self::Stream];

    fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Stream => "sse",
        }
    }

    fn gauge(self) -> Gauge {
        match self {
            Self::WebSocket => gauge!("chorus_connections"),
            Self::Stream => gauge!("chorus_streams"),
        }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is there, but nobody's yet.
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

    fn gauge(self, transport: Transport) -> Gauge {
        gauge!("chorus_connections_by_state", "state" => self.as_str(), "transport" => transport.as_str())
    }
}

/// The gauges of both transports, in the order of the enum.
pub(super) struct Gauges([OfTransport; Transport::ALL.len()]);

struct OfTransport {
    accepts: Counter,
    all: Gauge,
    by_state: [Gauge; ConnectionState::ALL.len()],
}

impl Gauges {
    pub(super) fn new() -> Self {
        Self(Transport::ALL.map(|transport| OfTransport {
            accepts: counter!("chorus_accepts_total", "transport" => transport.as_str()),
            all: transport.gauge(),
            by_state: ConnectionState::ALL.map(|state| state.gauge(transport)),
        }))
    }
}

/// Counts one connection for as long as it lives.
pub struct ConnectionGauge {
    metrics: Arc<Metrics>,
    transport: Transport,
    state: ConnectionState,
}

impl Metrics {
    /// Counts a new connection; it begins as [`ConnectionState::Authenticating`].
    pub fn connection(self: &Arc<Self>, transport: Transport) -> ConnectionGauge {
        let state = ConnectionState::Authenticating;
        let gauges = &self.connections.0[transport as usize];
        gauges.accepts.increment(1);
        gauges.all.increment(1.0);
        gauges.by_state[state as usize].increment(1.0);
        ConnectionGauge { metrics: Arc::clone(self), transport, state }
    }
}

impl ConnectionGauge {
    /// Counts it as something else from now on.
    pub fn set(&mut self, state: ConnectionState) {
        let gauges = &self.metrics.connections.0[self.transport as usize];
        gauges.by_state[self.state as usize].decrement(1.0);
        gauges.by_state[state as usize].increment(1.0);
        self.state = state;
    }
}

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        let gauges = &self.metrics.connections.0[self.transport as usize];
        gauges.all.decrement(1.0);
        gauges.by_state[self.state as usize].decrement(1.0);
    }
}
