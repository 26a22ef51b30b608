//! That a node is to drain, said by whoever runs the cluster to any node of it.

use std::borrow::Cow;

use bus::BusError;
use proto::server;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;

/// What the nodes tell each other. It is lost as any signal may be: then nothing happens, which shows, and it is said again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order<'a> {
    Drain { node: Cow<'a, str> },
}

/// Has the live nodes drain that go by a name, or the one that has an id; the ids of those that were told. Said to one
/// that drains already it changes nothing.
///
/// # Errors
/// When the bus can't be reached.
pub async fn drain(app: &App, by: &str, node: &str) -> Result<Vec<String>, BusError> {
    let live = app.bus.nodes().await?.into_iter().map(|node| node.id);
    let named = |id: &String| id == node || id.rsplit_once('~').is_some_and(|(name, _)| name == node);
    let told: Vec<String> = live.filter(named).collect();
    for id in &told {
        app.bus.signal(server::encode(&Order::Drain { node: id.into() }).into()).await?;
        tracing::info!(target: "audit", by, node = id, "node told to drain");
    }
    Ok(told)
}

/// Waits until this node is told to drain. For ever, if the bus is closed first.
///
/// It hears from this call on, and not only once it is awaited: a node can be told as soon as it listens.
pub fn ordered(app: &App) -> impl Future<Output = ()> {
    let mut signals = app.bus.signals();
    async move {
        loop {
            match signals.recv().await {
                Ok(signal) => {
                    // Whoever reaches Redis can say anything, and most signals are about users.
                    let order = serde_json::from_slice(&signal);
                    if matches!(order, Ok(Order::Drain { node }) if node == app.bus.node().as_str()) {
                        tracing::info!("told to drain");
                        return;
                    }
                }
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "signals were lost: told to drain or not");
                }
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
