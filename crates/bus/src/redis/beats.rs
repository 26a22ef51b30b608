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

/// What a beat is answered.
pub(super) struct Heard {
    /// Whether the others may have taken this node for dead.
    was_gone: bool,
    /// Those that have not been heard for some time; nobody knows yet whether they could speak.
    silent: Vec<String>,
    /// Those that live.
    pub(super) nodes: Vec<NodeInfo>,
}

/// Beats until the bus is closed.
pub(super) async fn run(core: Arc<Core>) {
    let beat = async {
        let mut ticks = interval(core.config.beat_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match core.beat(core.node.as_str(), "").await {
                Ok(heard) => core.heard(&heard),
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

    fn heard(&self, heard: &Heard) {
        let gone = {
            let (mut roll, now) = (self.roll.lock(), Instant::now());
            heard.silent.iter().for_each(|node| roll.suspect(node, now));
            roll.answered(heard.nodes.iter().map(|node| node.id.as_str()), now)
        };
        if !gone.is_empty() {
            tracing::info!(nodes = ?gone, "nodes are gone");
            // It fails only when nobody listens, here and below.
            let _ = self.notices.send(Notice::Gone(gone));
        }
        // At the very first beat there is nobody to tell of.
        if heard.was_gone {
            let _ = self.notices.send(Notice::Anew);
        }
    }

    /// Says that `node` lives, or with no name only asks; `word` is nothing, or that it is "off".
    pub(super) async fn beat(&self, node: &str, word: &str) -> Result<Heard, BusError> {
        let status = self.status.lock().clone();
        let patience = self.beat_patience().as_millis() as u64;
        let (patience, memory) = (number(patience)?, number(patience + MEMORY_MS)?);
        let args = vec![node.into(), Value::Bytes(status), patience, memory, word.into()];
        let call = Call::Script(&self.beat_script, vec![keys::NODES.into()], args);
        let values = answer::array(self.link.call(keys::NODES, &call, Shard::commands).await?)?;
        let [was_gone, silent, rest @ ..] = &values[..] else { return Err(answer::odd()) };
        let silent = silent.as_usize().filter(|silent| *silent <= rest.len()).ok_or_else(answer::odd)?;
        let (silent, live) = rest.split_at(silent);
        let nodes = live.chunks_exact(3).filter_map(|node| {
            Some(NodeInfo {
                id: answer::text(&node[0]).ok()?.to_owned(),
                silent_for: Duration::from_millis(node[1].as_u64()?),
                status: Bytes::copy_from_slice(node[2].as_bytes()?),
            })
        });
        Ok(Heard {
            was_gone: was_gone.as_i64() == Some(1),
            silent: silent.iter().filter_map(|node| Some(answer::text(node).ok()?.to_owned())).collect(),
            nodes: nodes.collect(),
        })
    }

    /// Says that this node is no more: as if it had been silent for too long. The others come to see it with all their
    /// patience, in which its users come back by way of another.
    pub(super) async fn sign_off(&self) -> Result<(), BusError> {
        self.beat(self.node.as_str(), "off").await.map(drop)
    }
}
