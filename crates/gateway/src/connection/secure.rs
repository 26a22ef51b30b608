//! An upgraded socket behind TLS.
//!
//! The session stands behind a lock, for whoever writes (the flushers of the rooms, replies) is not whoever reads. What was
//! encrypted can't be taken back, so it counts as written, and what the socket did not take of it stays in the session: no
//! more than [`BUFFER`] bytes, and nothing further is encrypted before they are gone.

use std::{
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use parking_lot::Mutex;
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::{rustls::ServerConnection, server::TlsStream};

/// Bytes that may be encrypted and wait for the socket: a record of TLS, as large as they come.
pub(crate) const BUFFER: usize = 16 * 1024;

/// A socket and its TLS session.
pub struct Secure {
    socket: TcpStream,
    session: Mutex<ServerConnection>,
}

/// Whether the system is believed when it does not call a socket writable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Writable,
    Anyway,
}

impl Secure {
    /// Takes a stream over, what its session holds for either side included.
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        let (socket, session) = stream.into_inner();
        Self { socket, session: Mutex::new(session) }
    }

    /// Encrypts what fits; `WouldBlock` when nothing does.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>], when: When) -> io::Result<usize> {
        let mut session = self.session.lock();
        self.push_out(&mut session, when)?;
        let mut slices: SmallVec<[IoSlice<'_>; 4]> = slices.iter().copied().collect();
        let mut rest = &mut slices[..];
        let mut taken = 0;
        while !rest.is_empty() && !session.wants_write() {
            match session.writer().write_vectored(rest)? {
                // More was encrypted with one key than is good, in TLS 1.2.
                0 if taken == 0 => return Err(io::ErrorKind::BrokenPipe.into()),
                0 => break,
                encrypted => {
                    taken += encrypted;
                    IoSlice::advance_slices(&mut rest, encrypted);
                }
            }
            self.push_out(&mut session, when)?;
        }
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Writes on what is encrypted, as far as the socket takes it; gives how many bytes that were.
    pub(super) fn push(&self, when: When) -> io::Result<usize> {
        self.push_out(&mut self.session.lock(), when)
    }

    fn push_out(&self, session: &mut ServerConnection, when: When) -> io::Result<usize> {
        let mut pushed = 0;
        while session.wants_write() {
            match session.write_tls(&mut Raw(&self.socket, when)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => pushed += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pushed)
    }

    /// Whether something encrypted waits for the socket.
    pub(super) fn is_backed_up(&self) -> bool {
        self.session.lock().wants_write()
    }

    /// Waits until the socket has taken some of what waits, if something does, or would take more.
    pub(super) async fn writable(&self) -> io::Result<()> {
        loop {
            self.socket.writable().await?;
            if self.push(When::Writable)? > 0 || !self.is_backed_up() {
                return Ok(());
            }
        }
    }

    /// Waits until something can be read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        // It may have been decrypted with what was read before.
        if !self.session.lock().wants_read() {
            return Ok(());
        }
        poll_fn(|context| self.socket.poll_read_ready(context)).await
    }

    /// Reads what is there; `WouldBlock` when nothing is, 0 at the end, be it announced (`close_notify`) or not: a client's
    /// last word is its close frame.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.lock();
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if session.read_tls(&mut Raw(&self.socket, When::Writable))? == 0 {
                return Ok(0);
            }
            let processed = session.process_new_packets();
            // An answer of TLS' own: another key, or what is wrong. What the socket does not take of it now goes out before
            // whatever is written next.
            let pushed = self.push_out(&mut session, When::Writable);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            pushed?;
        }
    }

    /// Tells the client that nothing more will come.
    pub(super) fn end_writing(&self) {
        self.part();
        // Fails when the client is gone, which reading will tell.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Write);
    }

    fn part(&self) {
        let mut session = self.session.lock();
        session.send_close_notify();
        // Whoever does not take it sees the end of the socket.
        let _ = self.push_out(&mut session, When::Anyway);
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.part();
    }
}

/// The socket, as rustls wants it.
struct Raw<'a>(&'a TcpStream, When);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self.1, slices) {
            (When::Anyway, slices) => SockRef::from(self.0).send_vectored(slices),
            // As in the clear: a `send` costs the kernel less than a `writev` of one piece.
            (When::Writable, [only]) => self.0.try_write(only),
            (When::Writable, several) => self.0.try_write_vectored(several),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
