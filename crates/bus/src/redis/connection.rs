//! Connections are opened, and opened again.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    interfaces::{ClientLike, EventInterface},
    types::config::Server,
};
use tokio::{
    sync::broadcast,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::Notice;

use super::{CLOSING, Core, inspect, metric, shard::Shard};

/// Keeps a client's connection until the bus is closed. fred reconnects by itself, but gives up for ever on some
/// errors, such as a server that refuses the password for a while.
pub(super) async fn keep_connected(closing: CancellationToken, client: Client) {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        let mut connection = client.connect();
        tokio::select! {
            ended = &mut connection => {
                let error = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
                tracing::warn!(error, "redis connection gave up");
            }
            () = closing.cancelled() => {
                // One that hangs is not worth waiting for.
                let _ = timeout(CLOSING, client.quit()).await;
                connection.abort();
                return;
            }
        }
        if closing.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

/// Has the path probed at once when the commands' connection is there again, and remembers why it is not.
pub(super) async fn watch_commands(
    core: Arc<Core>,
    shard: Arc<Shard>,
    mut connected: broadcast::Receiver<Server>,
) {
    let mut errors = shard.commands.error_rx();
    let mut first = true;
    let watch = async {
        loop {
            tokio::select! {
                // Lagging behind is another reconnect.
                _ = connected.recv() => {
                    if !std::mem::replace(&mut first, false) {
                        metric::reconnected();
                        tracing::info!(shard = %shard, "redis commands reconnected");
                        // It may have lost what it was told last.
                        let _ = core.notices.send(Notice::Anew);
                    }
                    // The event comes a little before the client takes commands.
                    let _ = shard.commands.wait_for_connect().await;
                    shard.set_trouble(None);
                    shard.pulse.probe_now();
                    // It may be another server now.
                    let _ = inspect::shard(&shard, core.config.ack).await;
                }
                error = errors.recv() => {
                    if let Ok((error, _)) = error {
                        shard.set_trouble(Some(error.to_string()));
                        // It may be none of the primaries any more.
                        core.link.is_stale();
                    }
                }
            }
        }
    };
    shard.closing.run_until_cancelled(watch).await;
}
