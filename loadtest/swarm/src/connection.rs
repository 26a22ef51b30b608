//! One member: its socket, how far it came in, and what it has of a frame.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;
use rustc_hash::FxHashMap;
use rustix::io::Errno;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Protocol, Socket, Type};

use crate::dialect::Position;
use crate::plan::{Pace, Plan};
use crate::secure;
use crate::tally::Order;
use crate::wire;

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// TCP is connecting.
    Connecting,
    /// The answer to the upgrade has not come.
    Upgrading,
    /// It is a WebSocket, and waits to be greeted.
    Greeting,
    /// So many rooms have not been answered.
    Joining(u32),
    /// In all its rooms.
    Live,
    /// Over.
    Closed,
}

/// How often a port is tried, over all times that a connection is made.
const MOST_ATTEMPTS: u32 = 1000;

/// A member.
#[derive(Debug)]
pub struct Connection {
    /// Its number in the plan.
    pub number: u32,
    /// How far it came.
    pub stage: Stage,
    /// How it reads.
    pub pace: Pace,
    /// The numbers that it has had; kept when it is cut.
    pub order: Order,
    /// Where it stands in each room; kept when it is cut.
    pub positions: FxHashMap<u32, Position>,
    /// The beginning of a frame.
    pub partial: Vec<u8>,
    socket: Option<TcpStream>,
    /// What is spoken through it, where that is TLS.
    session: Option<Box<ClientConnection>>,
    unsent: Vec<u8>,
    /// How often it was bound to a port.
    attempts: u32,
}

impl Connection {
    /// One that is not connected yet.
    pub fn new(plan: &Plan, number: u32) -> Self {
        Self {
            number,
            stage: Stage::Closed,
            pace: plan.pace(number),
            order: Order::default(),
            positions: FxHashMap::default(),
            partial: Vec::new(),
            socket: None,
            session: None,
            unsent: Vec::new(),
            attempts: 0,
        }
    }

    /// Begins to connect, from the next of its ports that is free.
    ///
    /// # Errors
    /// When the system has no address, port or file for it.
    pub fn connect(&mut self, plan: &Plan, tls: Option<&Arc<ClientConfig>>) -> io::Result<&mut TcpStream> {
        self.session = tls.map(|tls| secure::session(tls, plan.target(self.number).ip())).transpose()?;
        let socket = loop {
            let source = plan.source(self.number, self.attempts).into();
            self.attempts += 1;
            match self.connect_from(source, plan) {
                // Somebody listens there, or a connection from there to the same server has not been forgotten yet.
                Err(error) if is_taken(&error) && self.attempts < MOST_ATTEMPTS => {}
                begun => break begun?,
            }
        };
        self.stage = Stage::Connecting;
        self.partial = Vec::new();
        self.unsent = Vec::new();
        Ok(self.socket.insert(TcpStream::from_std(socket.into())))
    }

    fn connect_from(&self, source: SocketAddr, plan: &Plan) -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.pace != Pace::Prompt {
            // Else the kernel reads megabytes on its behalf, and nobody is slow.
            socket.set_recv_buffer_size(4096)?;
        }
        // A port of a connection that ended a moment ago is good again.
        socket.set_reuse_address(true)?;
        socket.bind(&source.into())?;
        match socket.connect(&plan.target(self.number).into()) {
            // It has no `ErrorKind` of its own in stable Rust.
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            other => other?,
        }
        Ok(socket)
    }

    /// Whether the connection that was begun stands; an error when it failed.
    ///
    /// # Errors
    /// Why it failed.
    pub fn connected(&self) -> io::Result<bool> {
        let Some(socket) = &self.socket else { return Ok(false) };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends bytes, now or when the socket takes them.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            let written = self.write(bytes)?;
            self.unsent.extend(&bytes[written..]);
        } else {
            self.unsent.extend(bytes);
        }
        Ok(())
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        let mut frame = Vec::with_capacity(text.len() + 14);
        wire::put(&mut frame, wire::Opcode::Text, text.as_bytes());
        self.send(&frame)
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn flush(&mut self) -> io::Result<()> {
        if let (Some(session), Some(socket)) = (&mut self.session, &mut self.socket) {
            secure::push(session, socket)?;
        }
        if self.unsent.is_empty() {
            return Ok(());
        }
        let unsent = std::mem::take(&mut self.unsent);
        let written = self.write(&unsent)?;
        self.unsent.extend(&unsent[written..]);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(socket) = &mut self.socket else { return Ok(bytes.len()) };
        if let Some(session) = &mut self.session {
            return secure::write(session, socket, bytes);
        }
        let mut written = 0;
        while written < bytes.len() {
            match socket.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Reads into a buffer; 0 when nothing is there.
    ///
    /// # Errors
    /// When the connection broke or ended.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(socket) = &mut self.socket else { return Ok(0) };
        if let Some(session) = &mut self.session {
            return secure::read(session, socket, buffer);
        }
        loop {
            return match socket.read(buffer) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Cuts it, without a close.
    pub fn cut(&mut self) {
        self.socket = None;
        self.session = None;
        self.stage = Stage::Closed;
    }
}

/// Whether a port is no good.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable)
}
