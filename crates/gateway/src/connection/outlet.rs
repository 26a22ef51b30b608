//! What a connection's bytes go through: a socket of its own, or the body of an HTTP answer.

use std::{
    future::poll_fn,
    io::{self, IoSlice, Read},
    net::Shutdown,
};

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream};
use tokio_rustls::server::TlsStream;

use super::secure::{Secure, When};
use crate::sse::Pipe;

/// Where a connection writes to.
pub enum Outlet {
    /// An upgraded socket.
    Socket(TcpStream),
    /// The same behind TLS. Boxed, for a session of TLS is large, and no others are to have room for it.
    Secure(Box<Secure>),
    /// An event stream.
    Stream(Pipe),
}

impl From<TcpStream> for Outlet {
    fn from(socket: TcpStream) -> Self {
        Self::Socket(socket)
    }
}

impl From<TlsStream<TcpStream>> for Outlet {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::Secure(Box::new(Secure::new(stream)))
    }
}

impl From<Pipe> for Outlet {
    fn from(pipe: Pipe) -> Self {
        Self::Stream(pipe)
    }
}

impl Outlet {
    /// Writes what fits; `WouldBlock` when nothing does.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            // A `send` costs the kernel less than a `writev` of one piece.
            (Self::Socket(socket), [only]) => socket.try_write(only),
            (Self::Socket(socket), several) => socket.try_write_vectored(several),
            (Self::Secure(secure), slices) => secure.try_write(slices, When::Writable),
            (Self::Stream(pipe), slices) => pipe.try_write(slices),
        }
    }

    /// The same, also when the system does not call it writable.
    pub(super) fn force_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => SockRef::from(socket).send_vectored(slices),
            Self::Secure(secure) => secure.try_write(slices, When::Anyway),
            Self::Stream(pipe) => pipe.try_write(slices),
        }
    }

    /// Writes on what counts as written and waits here, also when the system calls nothing writable; gives how many bytes
    /// that were.
    pub(super) fn push(&self) -> io::Result<usize> {
        match self {
            Self::Secure(secure) => secure.push(When::Anyway),
            // One has no such thing, and a body is hyper's to write.
            Self::Socket(_) | Self::Stream(_) => Ok(0),
        }
    }

    /// Whether something that counts as written waits here, so that it must be asked again.
    pub(super) fn is_backed_up(&self) -> bool {
        match self {
            Self::Secure(secure) => secure.is_backed_up(),
            Self::Socket(_) | Self::Stream(_) => false,
        }
    }

    /// Waits until something can be written, or never will be again.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.writable().await,
            Self::Secure(secure) => secure.writable().await,
            Self::Stream(pipe) => {
                pipe.writable().await;
                Ok(())
            }
        }
    }

    /// Waits until something can be read. From a stream's client nothing comes but its end.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            // Its task is the only one that waits for this, so the socket need keep no list of who does: that is a sixth of
            // what an idle connection's task takes.
            Self::Socket(socket) => poll_fn(|context| socket.poll_read_ready(context)).await,
            Self::Secure(secure) => secure.readable().await,
            Self::Stream(pipe) => {
                // Boxed: there are few, and sockets are to have no room for it.
                Box::pin(pipe.gone()).await;
                Ok(())
            }
        }
    }

    /// Reads what is there; `WouldBlock` when nothing is, 0 at the end.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => read_out(socket, buffer),
            Self::Secure(secure) => secure.try_read(buffer),
            Self::Stream(pipe) if pipe.is_gone() => Ok(0),
            Self::Stream(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Tells the client that nothing more will come, once everything is written.
    pub(super) fn end_writing(&self) {
        match self {
            // Fails when the client is gone, which reading will tell.
            Self::Socket(socket) => drop(SockRef::from(socket).shutdown(Shutdown::Write)),
            Self::Secure(secure) => secure.end_writing(),
            Self::Stream(pipe) => pipe.end(),
        }
    }
}

/// Reads. What leaves room in the buffer was all that there is (epoll(7), questions and answers), and the socket is noted as
/// not readable: whoever waits next then needs no read that finds nothing.
fn read_out(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    let outcome = socket.try_io(Interest::READABLE, || {
        read = (&*SockRef::from(socket)).read(buffer)?;
        if (1..buffer.len()).contains(&read) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    if read > 0 { Ok(read) } else { outcome.map(|()| read) }
}
