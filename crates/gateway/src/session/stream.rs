//! The session of an event stream: a client that only listens.
//!
//! It is a session like any other, with the same rooms, cursors, catching up and clock; but nothing is read from it, and
//! all that could be refused was refused before the stream began.

use std::{net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time};

use super::{Service, Session, Who};
use crate::{
    app::App,
    auth::{Identity, ticket},
    command::{self, Seat},
    config::Secret,
    connection::End,
    limits::Permit,
    metrics::Transport,
    serve::Line,
    sse::{Blocks, Pipe},
};

/// What a request for a stream came to.
pub struct StreamOpening {
    /// Who the client is.
    pub identity: Identity,
    /// Where it will stand in its rooms.
    pub seats: Vec<Seat>,
    /// The ticket that it came with, to be kept for its return.
    pub ticket: Option<Secret>,
    /// Where the client is.
    pub address: IpAddr,
    /// The place that it takes.
    pub place: Permit,
    /// The connection that its answer goes out on.
    pub line: Line,
}

/// An event stream's session.
pub struct Stream {
    session: Session,
    identity: Option<Identity>,
    seats: Vec<Seat>,
    ticket: Option<Secret>,
    line: Line,
    _place: Permit,
}

impl Stream {
    /// Begins one that writes to `pipe`.
    pub fn begin(app: Arc<App>, pipe: Pipe, opening: StreamOpening) -> Self {
        let StreamOpening { identity, seats, ticket, address, place, line } = opening;
        let terms = app.config.held();
        let connection = app.connections.open(pipe, terms.limits.outbox_bytes);
        // Every block says where the client stands in all of its rooms, also before it has heard of the last of them.
        let places = seats.iter().map(|seat| (seat.room().clone(), seat.position().clone()));
        connection.write_blocks(Blocks::new(places.collect()));
        line.leave_lobby();
        app.end_if_draining(&connection);
        let gauge = app.metrics.connection(Transport::Stream);
        let who = Mutex::new(Who { identity: None, gauge, stay: None, asked: None });
        let session = Session {
            app,
            connection,
            terms,
            address,
            service: Service::Chat,
            who,
            identified: Notify::new(),
        };
        let identity = Some(identity);
        Self { session, identity, seats, ticket, line, _place: place }
    }

    /// Serves the client until either side ends it.
    pub async fn run(&mut self) {
        let Self { session, identity, seats, ticket, line, .. } = self;
        tokio::select! {
            () = session.enter(identity.take(), seats) => {}
            () = session.listen() => {}
            () = session.write_on() => {}
            () = session.watch() => {}
            () = keep(session, ticket.as_ref()) => {}
        }
        Box::pin(session.end_stream(line)).await;
    }
}

impl Session {
    /// Says who it is, and takes the seats, as fast as the client reads. It has no end of its own.
    async fn enter(&self, identity: Option<Identity>, seats: &mut Vec<Seat>) {
        if let Some(identity) = identity {
            self.welcome(identity).await;
        }
        for seat in seats.drain(..) {
            self.connection.wait_for_room(self.terms.limits.requests_in_flight).await;
            let Some(identity) = self.identity() else { break };
            command::take_seat(self, &identity, seat, None, true);
        }
        std::future::pending::<()>().await;
    }

    /// Waits for the end of a client that says nothing.
    async fn listen(&self) {
        // Neither can fail, for there is no socket of our own.
        while self.connection.readable().await.is_ok() && !matches!(self.connection.try_read(&mut []), Ok(0))
        {
        }
        self.connection.end(End::Lost);
    }
}

/// Keeps the stream's ticket for as long as the stream is there.
async fn keep(session: &Session, ticket: Option<&Secret>) {
    let Some(ticket) = ticket else { return std::future::pending().await };
    loop {
        time::sleep(Duration::from_millis(ticket::STREAM_TTL_MS / 3)).await;
        ticket::renew(&*session.app.bus, ticket.expose()).await;
    }
}
