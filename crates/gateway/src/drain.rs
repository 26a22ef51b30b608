//! The end of a node that is told to end: nobody is cut off, and not everybody comes back at once.

use std::{sync::Arc, time::Duration};

use proto::Close;
use tokio::{
    signal::unix::{Signal, SignalKind, signal as listen},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{app::App, connection::End};

/// Closes are spread over at most half of the drain, but never more thinly than one in so long: a node with three
/// connections need not take five seconds to tell them.
const CLOSE_INTERVAL: Duration = Duration::from_millis(5);

/// Between two looks at whether all was handed out.
const LOOK: Duration = Duration::from_millis(1);

/// So long it may take to say a last word to everybody when nobody is waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Listens for SIGTERM and SIGINT from this call on, before which either ends the process; what it gives waits for the first.
/// From then on, a second signal ends the process at once.
///
/// It listens also when nobody waits any more, for the node was told by another way: whoever sends the first signal then
/// does not know that, and wants no more than a drain.
pub fn signal() -> impl Future<Output = ()> {
    let first = CancellationToken::new();
    match (listen(SignalKind::terminate()), listen(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            let come = first.clone();
            tokio::spawn(async move {
                either(&mut terminate, &mut interrupt).await;
                come.cancel();
                either(&mut terminate, &mut interrupt).await;
                tracing::warn!("a second signal: exiting at once");
                std::process::exit(130);
            });
        }
        _ => tracing::error!("signals can't be listened for: only SIGKILL will end this process"),
    }
    first.cancelled_owned()
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Not ready, no more accepts, sockets closed one after the other with a time to come back, the answers awaited;
/// and an end before the deadline, whatever the clients do.
pub async fn drain(app: &Arc<App>, stop: &CancellationToken) {
    let window = Duration::from_secs(app.config.now().drain_seconds);
    // Something must be left for the exit itself.
    let deadline = Instant::now() + window.mul_f64(0.9);
    app.begin_drain();
    stop.cancel();
    let connections = app.connections.all();
    tracing::info!(connections = connections.len(), seconds = window.as_secs(), "draining");
    let ended = time::timeout_at(deadline, async {
        if app.ends_with_its_rooms() {
            hand_out(app).await;
        }
        let step = CLOSE_INTERVAL.min(window / 2 / connections.len().max(1) as u32);
        let begun = Instant::now();
        for (number, connection) in connections.iter().enumerate() {
            if Instant::now() >= deadline {
                break;
            }
            connection.end(End::Close(Close::Restart, Some(retry_after(connections.len()))));
            // A timer has a grain of a millisecond, so at high numbers several go together.
            let due = begun + step * number as u32;
            if due > Instant::now() {
                time::sleep_until(due).await;
            }
        }
        drop(connections);
        // Those whose handshake was under way when the drain began.
        for late in app.connections.all() {
            if Instant::now() >= deadline {
                break;
            }
            late.end(End::Close(Close::Restart, Some(retry_after(1))));
        }
        app.tasks.close();
        app.tasks.wait().await;
        app.bus.close().await;
    })
    .await;
    match ended {
        Ok(()) => tracing::info!("drained"),
        Err(_) => {
            tracing::warn!(left = app.tasks.len(), "the drain's time is over");
            cut_off(app).await;
        }
    }
}

/// Has what is in the rooms go out to everybody: it will be nowhere else. Nothing more comes in.
async fn hand_out(app: &App) {
    app.appends.close();
    app.appends.wait().await;
    while app.rooms.all().iter().any(|room| room.is_flushing()) {
        time::sleep(LOOK).await;
    }
}

/// Closes at once whatever the drain did not come to, and waits for nobody's last word.
async fn cut_off(app: &App) {
    app.cut.cancel();
    app.tasks.close();
    for connection in app.connections.all() {
        connection.end(End::Close(Close::GoingAway, None));
    }
    if time::timeout(LAST_WORDS, app.tasks.wait()).await.is_err() {
        tracing::warn!(left = app.tasks.len(), "exiting without a word to these");
    }
}

/// When one of `crowd` clients may come back: at random, so that they do not come all at once, within a second
/// and another one for each thousand of them, 15 at most.
pub fn retry_after(crowd: usize) -> Duration {
    let spread = (1000 + crowd as u64).min(15_000);
    let random = getrandom::u64().unwrap_or(spread / 2);
    Duration::from_millis(100 + random % spread)
}
