//! How a session ends.

use std::{io, time::Duration};

use proto::{
    Close,
    server::{self, Closing},
};
use tokio::time;

use super::Session;
use crate::{
    connection::End,
    metrics::ConnectionState,
    socket::{
        decoder::{Decoder, Incoming},
        frame,
    },
};

/// How long a connection that ends waits for the log's answers to what its client sent.
const ANSWERS_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the server waits for the answer to its close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl Session {
    /// Leaves the rooms, says why the connection ends, and waits a little for the client's last word.
    pub(super) async fn say_goodbye(&self, decoder: &mut Decoder) {
        let end = self.connection.ending().unwrap_or(End::Lost);
        self.who.lock().gauge.set(ConnectionState::Closing);
        match end {
            End::Close(close, retry_after) => {
                let closing = retry_after.map(|wait| {
                    let closing = Closing::of(close, Some(wait.as_millis() as u64));
                    frame::text(&server::encode(&closing))
                });
                let _ = time::timeout(ANSWERS_TIMEOUT, self.connection.wait_for_room(1)).await;
                self.connection.finish(closing, frame::close(close));
                let _ = time::timeout(CLOSE_TIMEOUT, self.drain(decoder)).await;
            }
            End::Client(code) => {
                self.connection.finish(None, frame::close_reply(code));
                let _ = time::timeout(CLOSE_TIMEOUT, self.flush_all()).await;
            }
            End::Lost => self.connection.leave_all(),
        }
        match end {
            End::Close(close, _) => self.app.metrics.closed(close),
            End::Client(_) => self.app.metrics.closed(Close::Bye),
            End::Lost => self.app.metrics.lost(),
        }
        self.app.connections.closed(&self.connection);
        let user = self.identity().map(|identity| identity.user.clone());
        tracing::debug!(
            session = self.connection.id,
            user = user.as_ref().map(proto::UserId::as_str),
            ?end,
            seconds = self.connection.age().as_secs(),
            "connection ended"
        );
    }

    async fn flush_all(&self) -> io::Result<()> {
        while self.connection.has_unsent() {
            self.connection.unblock().await?;
        }
        Ok(())
    }

    /// Writes what is left and reads until the client answered the close frame or is gone.
    async fn drain(&self, decoder: &mut Decoder) -> io::Result<()> {
        self.flush_all().await?;
        loop {
            loop {
                match decoder.next_message() {
                    Ok(Some(Incoming::Close(_))) | Err(_) => return Ok(()),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                }
            }
            if self.fill(decoder).await? == 0 {
                return Ok(());
            }
        }
    }
}
