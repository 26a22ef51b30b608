//! One client's session, from the upgraded socket to its end.
//!
//! A session is one task that does three things at once: it reads frames and does what they ask, it writes what
//! the room's flushers could not (the socket was blocked, or the tail did not reach back far enough), and it
//! watches the clock. Whichever finds a reason to end notes it at the [`Connection`]; all three stop then, and the
//! session says goodbye.
//!
//! A node holds ten thousands of sessions that wait for their next frame, so everything that a session does but
//! rarely is boxed: its task is as large as its waiting, not as its largest command.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::{
    ClientFrame, Close, DecodeLimits, ErrorCode, Ref, Request, RoomName,
    server::{self, Failure, Success, Welcome},
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    app::App,
    auth::{self, Credential, Identity},
    command,
    config::Config,
    connection::{Connection, End, Outlet},
    connections::Farewell,
    drain,
    limits::{Bucket, Permit},
    metrics::{ConnectionGauge, ConnectionState, Transport},
    moderation::Stay,
    refusal::Refusal,
    socket::{
        decoder::{Decoder, Incoming},
        frame,
    },
};

mod catch_up;
mod clock;
mod departure;
mod ends;
mod goodbye;
mod stream;
#[cfg(test)]
mod tests;

pub use ends::Ends;
use ends::Received;
pub use stream::{Stream, StreamOpening};

/// What a session does with the messages that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It takes them for the protocol's frames.
    Chat,
    /// It sends them back: the diagnostic `/echo`. All but that is as in a chat, for a conformance run to mean
    /// something; only nobody is asked who he is.
    Echo,
}

/// What a handshake brought along.
pub struct Opening {
    /// What it asked for.
    pub service: Service,
    /// The credential, if there was one.
    pub credential: Option<Credential>,
    /// The rooms to join at once, as they were written.
    pub rooms: Vec<String>,
    /// Where the client is.
    pub address: IpAddr,
    /// The place that the connection takes, or just the right to be told that there is none.
    pub place: Result<Permit, Farewell>,
}

/// One client's session.
pub struct Session {
    /// What the node shares.
    pub app: Arc<App>,
    /// The socket.
    pub connection: Arc<Connection>,
    /// The configuration that was in force when it began. What the client was told in `welcome` holds to its end.
    pub terms: Arc<Config>,
    /// Where the client is.
    pub address: IpAddr,
    service: Service,
    who: Mutex<Who>,
    /// Wakes the watch when the identity changed.
    identified: Notify,
}

/// Who the client is, and what the node counts it as.
struct Who {
    identity: Option<Arc<Identity>>,
    gauge: ConnectionGauge,
    /// The place among the connections of its user.
    stay: Option<Stay>,
    /// What the handshake asked for. Boxed, for it is soon gone.
    asked: Option<Box<Asked>>,
}

/// What a handshake asked for.
struct Asked {
    /// By this, as long as it was not looked at.
    credential: Option<Credential>,
    /// To be joined as soon as there is an identity.
    rooms: Vec<String>,
}

/// What the reader keeps between frames.
struct Reader {
    decoder: Decoder,
    rate: Bucket,
    /// Malformed frames in a row.
    malformed: u32,
    /// Frames in a row that came too fast.
    hasty: u32,
    received: Received,
}

/// A session and what only its own task touches.
pub struct Visit {
    session: Session,
    reader: Reader,
    _place: Result<Permit, Farewell>,
}

impl Visit {
    /// Begins one. `early` is what the socket gave behind the handshake; it is copied, for it pins the whole buffer
    /// that the handshake was read into.
    pub fn begin(app: Arc<App>, io: Outlet, early: &Bytes, opening: Opening) -> Self {
        let Opening { service, credential, rooms, address, place } = opening;
        let terms = app.config.held();
        let limits = &terms.limits;
        let connection = app.connections.open(io, limits.outbox_bytes);
        let mut reader = Reader {
            decoder: Decoder::new(limits.frame_bytes),
            rate: Bucket::new(limits.frames_per_second, limits.frame_burst, Instant::now()),
            malformed: 0,
            hasty: 0,
            received: Received { frames: 0, bytes: early.len() as u64 },
        };
        reader.decoder.feed(early);
        if place.is_err() {
            connection.end(End::Close(Close::Overloaded, Some(drain::retry_after(1))));
        }
        app.end_if_draining(&connection);
        let gauge = app.metrics.connection(Transport::WebSocket);
        let asked = Some(Box::new(Asked { credential, rooms }));
        let who = Mutex::new(Who { identity: None, gauge, stay: None, asked });
        let session = Session { app, connection, terms, address, service, who, identified: Notify::new() };
        Self { session, reader, _place: place }
    }

    /// Serves the client until either side ends it. By reference: what a future takes by value it holds twice.
    pub async fn run(&mut self) {
        let Self { session, reader, .. } = self;
        tokio::select! {
            () = session.converse(reader) => {}
            () = session.write_on() => {}
            () = session.watch() => {}
        }
        Box::pin(session.say_goodbye(&mut reader.decoder, reader.received)).await;
    }
}

impl Session {
    /// Who the client is, once it said so.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.who.lock().identity.clone()
    }

    /// Takes over an identity, the first or a renewed one.
    pub fn identify(&self, identity: Identity) {
        {
            let mut who = self.who.lock();
            self.connection.set_issued_at(identity.issued_at_ms);
            if who.identity.replace(Arc::new(identity)).is_none() {
                who.gauge.set(ConnectionState::Open);
            }
        }
        self.identified.notify_one();
    }

    // ---- replies ----

    /// Answers a request that succeeded, if it wants to know.
    pub fn ok(&self, reference: Option<Ref>, result: Success<'_>) {
        if reference.is_some() {
            self.send(&Success { reference, ..result });
        }
    }

    /// Answers a request that failed.
    pub fn error(&self, reference: Option<Ref>, code: ErrorCode, message: &str) {
        self.error_with_hint(reference, code, message, None);
    }

    /// The same, of what is ready to be said.
    pub fn refuse(&self, reference: Option<Ref>, refusal: Refusal) {
        self.fail(&refusal.frame(reference));
    }

    /// The same of a room that no request with a `ref` was about.
    pub fn refuse_room(&self, room: RoomName, refusal: Refusal) {
        self.fail(&Failure { room: Some(room), ..refusal.frame(None) });
    }

    /// The same, with a time after which it may succeed.
    pub fn error_with_hint(
        &self,
        reference: Option<Ref>,
        code: ErrorCode,
        message: &str,
        retry_after: Option<Duration>,
    ) {
        let retry_after_ms = retry_after.map(|wait| wait.as_millis().max(1) as u64);
        self.fail(&Failure { reference, code, message: message.into(), retry_after_ms, room: None });
    }

    fn fail(&self, failure: &Failure<'_>) {
        self.app.metrics.failed(failure.code);
        self.send(failure);
    }

    /// Sends a frame to this client only.
    pub fn send<T: serde::Serialize>(&self, frame: &T) {
        self.connection.send(frame::text(&server::encode(frame)));
    }

    // ---- reading ----

    /// Authenticates by what the handshake brought, then reads frames and does what they ask.
    async fn converse(&self, reader: &mut Reader) {
        Box::pin(self.greet()).await;
        // Whoever was refused is not listened to.
        if self.connection.ending().is_some() {
            return;
        }
        let end = 'talk: loop {
            loop {
                let incoming = match reader.decoder.next_message() {
                    Ok(Some(incoming)) => incoming,
                    Ok(None) => break,
                    Err(close) => break 'talk End::Close(close, None),
                };
                reader.received.frames += 1;
                match incoming {
                    Incoming::Text(text) if self.service == Service::Echo => {
                        self.app.metrics.frames_received.increment(1);
                        self.echo(frame::text(text.as_bytes()), &mut reader.rate);
                    }
                    Incoming::Text(text) => {
                        self.app.metrics.frames_received.increment(1);
                        let pace = Pace {
                            rate: &mut reader.rate,
                            malformed: &mut reader.malformed,
                            hasty: &mut reader.hasty,
                        };
                        Box::pin(self.take(text, pace)).await;
                    }
                    Incoming::Binary(bytes) if self.service == Service::Echo => {
                        self.app.metrics.frames_received.increment(1);
                        self.echo(frame::binary(bytes), &mut reader.rate);
                    }
                    Incoming::Ping(payload) => {
                        // It costs what any frame costs, so it counts as one.
                        if reader.rate.take(1, Instant::now()).is_ok() {
                            reader.hasty = 0;
                        } else {
                            reader.hasty += 1;
                        }
                        if reader.hasty > self.terms.limits.frame_burst {
                            break 'talk End::Close(Close::RateLimited, None);
                        }
                        self.connection.send(frame::pong(&payload));
                    }
                    Incoming::Pong => {}
                    Incoming::Binary(_) => break 'talk End::Close(Close::BinaryUnsupported, None),
                    Incoming::Close(code) => break 'talk End::Client(code),
                }
                self.connection.wait_for_room(self.terms.limits.requests_in_flight).await;
            }
            match self.fill(&mut reader.decoder).await {
                Ok(0) | Err(_) => break 'talk End::Lost,
                Ok(read) => {
                    reader.received.bytes += read as u64;
                    self.app.metrics.received_bytes.increment(read as u64);
                }
            }
        };
        self.connection.end(end);
    }

    /// Authenticates whoever brought a credential along, and is not to go already.
    async fn greet(&self) {
        if self.connection.ending().is_some() {
            return;
        }
        let credential = self.who.lock().asked.as_mut().and_then(|asked| asked.credential.take());
        let Some(credential) = credential.filter(|_| self.service == Service::Chat) else { return };
        match auth::identify(&self.app.auth, &*self.app.bus, &credential).await {
            Ok(identity) => self.welcome(identity).await,
            Err(error) => self.connection.end(End::Close(error.close(), None)),
        }
    }

    /// Reads what the socket has, through a buffer that all sessions of a thread share: an idle one owns none.
    async fn fill(&self, decoder: &mut Decoder) -> io::Result<usize> {
        thread_local! {
            static BUFFER: std::cell::RefCell<Box<[u8]>> = std::cell::RefCell::new(vec![0; 32 * 1024].into());
        }
        loop {
            self.connection.readable().await?;
            let read: io::Result<usize> = BUFFER.with_borrow_mut(|buffer| {
                let read = self.connection.try_read(buffer)?;
                decoder.feed(&buffer[..read]);
                Ok(read)
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Sends a message back. There is no `error` to tell whoever is too fast, so that ends it.
    fn echo(&self, message: Bytes, rate: &mut Bucket) {
        match rate.take(1, Instant::now()) {
            Ok(()) => self.connection.send(message),
            Err(_) => self.connection.end(End::Close(Close::RateLimited, None)),
        }
    }

    /// Does what one text frame asks.
    async fn take(&self, text: &str, pace: Pace<'_>) {
        let limits = &self.terms.limits;
        let bounds =
            DecodeLimits { data_bytes: self.terms.largest_data_bytes(), json_depth: limits.json_depth };
        let request = Request::decode(text, bounds);
        let Some(identity) = self.identity() else {
            return match request {
                Ok(Request { frame: ClientFrame::Auth(auth), .. }) => {
                    match self.app.auth.verify(&auth.token).await {
                        Ok(identity) => self.welcome(identity).await,
                        Err(error) => self.connection.end(End::Close(error.close(), None)),
                    }
                }
                _ => self.connection.end(End::Close(Close::AuthRequired, None)),
            };
        };
        let reference = match &request {
            Ok(request) => &request.reference,
            Err(error) => &error.reference,
        };
        if let Err(wait) = pace.rate.take(1, Instant::now()) {
            *pace.hasty += 1;
            if *pace.hasty > limits.frame_burst {
                return self.connection.end(End::Close(Close::RateLimited, None));
            }
            let message = "too many frames: see the limits in welcome";
            return self.error_with_hint(reference.clone(), ErrorCode::RateLimited, message, Some(wait));
        }
        *pace.hasty = 0;
        match request {
            Ok(request) => {
                *pace.malformed = 0;
                command::run(self, &identity, request).await;
            }
            Err(error) => {
                *pace.malformed += u32::from(error.code == ErrorCode::BadRequest);
                self.error(error.reference, error.code, &error.message);
                if *pace.malformed >= limits.malformed_in_a_row {
                    self.connection.end(End::Close(Close::BadRequest, None));
                }
            }
        }
    }

    async fn welcome(&self, identity: Identity) {
        self.connection.set_issued_at(identity.issued_at_ms);
        match self.app.moderation.admit(&identity, &self.connection).await {
            Ok(stay) => self.who.lock().stay = Some(stay),
            Err(expulsion) => {
                self.app.metrics.refused(expulsion.refusal());
                return expulsion.close(&self.connection);
            }
        }
        let limits = &self.terms.limits;
        self.send(&Welcome {
            session: self.app.session_name(self.connection.id),
            user: identity.user.clone(),
            node: self.terms.node.clone(),
            heartbeat_ms: self.terms.heartbeat.interval_ms,
            limits: server::Limits {
                id_ttl_ms: proto::ID_TTL_MS,
                data_bytes: self.terms.largest_data_bytes(),
                frame_bytes: limits.frame_bytes,
                json_depth: limits.json_depth,
                rooms_per_connection: limits.rooms_per_connection,
                requests_in_flight: limits.requests_in_flight,
                frames_per_second: limits.frames_per_second,
                frame_burst: limits.frame_burst,
                replay_bytes_per_second: u64::from(limits.replay_bytes_per_second),
            },
        });
        self.identify(identity);
        let Some(identity) = self.identity() else { return };
        let asked = self.who.lock().asked.take();
        for room in asked.into_iter().flat_map(|asked| asked.rooms) {
            self.connection.wait_for_room(limits.requests_in_flight).await;
            if self.connection.ending().is_some() {
                return;
            }
            command::join_from_query(self, &identity, &room).await;
        }
    }
}

/// How fast and how well a client speaks; borrowed apart from the decoder, whose text is in use meanwhile.
struct Pace<'a> {
    rate: &'a mut Bucket,
    malformed: &'a mut u32,
    hasty: &'a mut u32,
}
