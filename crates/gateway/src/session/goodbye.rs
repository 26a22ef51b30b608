//! How a session ends.

use std::{io, sync::Arc, time::Duration};

use proto::{
    Close,
    server::{self, Closing},
};
use tokio::time;

use super::{Received, Session};
use crate::{
    connection::{Connection, End},
    metrics::ConnectionState,
    serve::Line,
    socket::{
        decoder::{Decoder, Incoming},
        frame,
    },
};

/// How long a connection that ends waits for the log's answers to what its client sent.
const ANSWERS_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the server waits for the answer to its close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The same for a client that reads slowly: its close frame stands behind what its socket holds already, and lost
/// with it would be why it was closed. It owns no more than that meanwhile, and its place.
const LINGER: Duration = Duration::from_secs(10);

/// How often a blocked socket is tried for the last frames.
const NUDGE_INTERVAL: Duration = Duration::from_millis(500);

/// Queues a connection's last frames. A stream has no close frame: what would stand there is always announced.
pub(super) fn part(connection: &Arc<Connection>, close: Close, retry_after: Option<Duration>) {
    let announces = !connection.is_announced() && (retry_after.is_some() || connection.is_stream());
    let closing = announces.then(|| {
        let closing = Closing::of(close, retry_after.map(|wait| wait.as_millis() as u64));
        frame::text(&server::encode(&closing))
    });
    if let Some(wait) = retry_after {
        connection.come_back_after(wait);
    }
    connection.finish(closing, frame::close(close));
}

impl Session {
    /// Leaves the rooms, says why the connection ends, and waits a little for the client's last word.
    pub(super) async fn say_goodbye(&self, decoder: &mut Decoder, received: Received) {
        let (end, rooms) = (self.connection.ending().unwrap_or(End::Lost), self.connection.rooms());
        self.who.lock().gauge.set(ConnectionState::Closing);
        match end {
            End::Close(close, retry_after) => {
                self.wait_at_most(ANSWERS_TIMEOUT, self.connection.wait_for_room(1)).await;
                part(&self.connection, close, retry_after);
                self.app.metrics.closed(close);
                self.wait_at_most(self.patience(close), self.drain(close, decoder)).await;
            }
            End::Client(code) => {
                self.connection.finish(None, frame::close_reply(code));
                self.app.metrics.closed(Close::Bye);
                self.wait_at_most(CLOSE_TIMEOUT, self.flush_all()).await;
            }
            End::Lost => {
                self.connection.leave_all();
                self.app.metrics.lost();
            }
        }
        self.tell_the_end(end, rooms, received);
    }

    /// The same of an event stream: there is no last word of the client's to wait for, only that it got ours.
    pub(super) async fn end_stream(&self, line: &Line) {
        let (end, rooms) = (self.connection.ending().unwrap_or(End::Lost), self.connection.rooms());
        self.who.lock().gauge.set(ConnectionState::Closing);
        match end {
            End::Close(close, retry_after) => {
                part(&self.connection, close, retry_after);
                self.app.metrics.closed(close);
                let written = async {
                    self.flush_all().await?;
                    self.connection.end_writing();
                    line.ended().await;
                    io::Result::Ok(())
                };
                self.wait_at_most(self.patience(close), written).await;
            }
            End::Client(_) | End::Lost => {
                self.connection.leave_all();
                self.app.metrics.lost();
            }
        }
        // Whoever did not take the rest in that time is not waited for by anybody else.
        line.cut();
        self.tell_the_end(end, rooms, Received::default());
    }

    /// Waits for what may not come: for so long at most, and not when the drain's time is over.
    async fn wait_at_most<T>(&self, most: Duration, what: impl Future<Output = T>) {
        tokio::select! {
            _ = time::timeout(most, what) => {}
            () = self.app.cut.cancelled() => {}
        }
    }

    async fn flush_all(&self) -> io::Result<()> {
        while self.connection.has_unsent() {
            tokio::select! {
                opened = self.connection.unblock() => opened?,
                () = time::sleep(NUDGE_INTERVAL) => drop(self.connection.nudge()),
            }
        }
        Ok(())
    }

    fn patience(&self, close: Close) -> Duration {
        let slow = close == Close::SlowConsumer || self.connection.is_blocked();
        // A drain has its deadline, and many clients to part from.
        if slow && !self.app.is_draining() { LINGER } else { CLOSE_TIMEOUT }
    }

    /// Writes what is left and reads until the client answered the close frame or is gone.
    async fn drain(&self, close: Close, decoder: &mut Decoder) -> io::Result<()> {
        self.flush_all().await?;
        if close.fails_connection() {
            // There is no reading on from what broke the rules, so no answer could be told (RFC 6455, 7.1.7). But its
            // bytes must go somewhere: the kernel answers what nobody reads with a reset, which overtakes our close.
            self.connection.end_writing();
            return self.discard().await;
        }
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

    /// Reads until the client is gone, and keeps nothing of it.
    async fn discard(&self) -> io::Result<()> {
        let mut bytes = [0; 1024];
        loop {
            self.connection.readable().await?;
            match self.connection.try_read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
