//! The heartbeat of a node: it says that it lives, and learns who else does.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use super::{Core, answer, call::Call, keys, link::number, shard::Shard};
use crate::{BusError, NodeInfo, Notice};

/// After so many beats without a sign a node is gone.
pub(super) const PATIENCE_BEATS: u32 = 3;

/// How long what a node said of itself is kept behind that, in milliseconds.
const MEMORY_MS: u64 = 10 * 60 * 1000;

/// Beats until the bus is closed.
pub(super) async fn run(core: Arc<Core>) {
    let beat = async {
        let mut ticks = interval(core.config.beat_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match core.beat(core.node.as_str()).await {
                Ok((was_gone, nodes)) => core.heard(was_gone, &nodes),
                Err(_) => core.roll.lock().missed(),
            }
        }
    };
    core.closing.run_until_cancelled(beat).await;
}

impl Core {
    pub(super) fn beat_patience(&self) -> Duration {
        PATIENCE_BEATS * self.config.beat_interval
    }

    fn heard(&self, was_gone: bool, nodes: &[NodeInfo]) {
        let gone = self.roll.lock().answered(nodes.iter().map(|node| node.id.as_str()), Instant::now());
        if !gone.is_empty() {
            tracing::info!(nodes = ?gone, "nodes are gone");
            // It fails only when nobody listens, here and below.
            let _ = self.notices.send(Notice::Gone(gone));
        }
        // The others may have taken this one for dead. At the very first beat there is nobody to tell of.
        if was_gone {
            let _ = self.notices.send(Notice::Anew);
        }
    }

    /// Says that `node` lives, or with no name only asks. Gives whether it had been gone, and the nodes that live.
    pub(super) async fn beat(&self, node: &str) -> Result<(bool, Vec<NodeInfo>), BusError> {
        let status = self.status.lock().clone();
        let patience = self.beat_patience().as_millis() as u64;
        let args = vec![node.into(), Value::Bytes(status), number(patience)?, number(patience + MEMORY_MS)?];
        let call = Call::Script(&self.beat_script, vec![keys::NODES.into()], args);
        let values = answer::array(self.link.call(keys::NODES, &call, Shard::commands).await?)?;
        let (was_gone, nodes) = values.split_first().ok_or_else(answer::odd)?;
        let nodes = nodes.chunks_exact(3).filter_map(|node| {
            Some(NodeInfo {
                id: answer::text(&node[0]).ok()?.to_owned(),
                silent_for: Duration::from_millis(node[1].as_u64()?),
                status: Bytes::copy_from_slice(node[2].as_bytes()?),
            })
        });
        Ok((was_gone.as_i64() == Some(1), nodes.collect()))
    }

    /// Says that this node is no more.
    pub(super) async fn sign_off(&self) -> Result<(), BusError> {
        let args = vec![keys::NODES.into(), self.node.as_str().into()];
        self.link.command(keys::NODES, "HDEL", args).await.map(drop)
    }
}
