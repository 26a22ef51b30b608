//! What a connection's bytes go through: a socket of its own, or the body of an HTTP answer.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::sse::Pipe;

/// Where a connection writes to.
pub enum Outlet {
    /// An upgraded socket.
    Socket(TcpStream),
    /// An event stream.
    Stream(Pipe),
}

impl From<TcpStream> for Outlet {
    fn from(socket: TcpStream) -> Self {
        Self::Socket(socket)
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
            (Self::Stream(pipe), slices) => pipe.try_write(slices),
        }
    }

    /// The same, also when the system does not call it writable.
    pub(super) fn force_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => SockRef::from(socket).send_vectored(slices),
            Self::Stream(pipe) => pipe.try_write(slices),
        }
    }

    /// Waits until something can be written, or never will be again.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.writable().await,
            Self::Stream(pipe) => {
                pipe.writable().await;
                Ok(())
            }
        }
    }

    /// Waits until something can be read. From a stream's client nothing comes but its end.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.readable().await,
            Self::Stream(pipe) => {
                pipe.gone().await;
                Ok(())
            }
        }
    }

    /// Reads what is there; `WouldBlock` when nothing is, 0 at the end.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_read(buffer),
            Self::Stream(pipe) if pipe.is_gone() => Ok(0),
            Self::Stream(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Tells the client that nothing more will come, once everything is written.
    pub(super) fn end_writing(&self) {
        match self {
            // Fails when the client is gone, which reading will tell.
            Self::Socket(socket) => drop(SockRef::from(socket).shutdown(Shutdown::Write)),
            Self::Stream(pipe) => pipe.end(),
        }
    }
}
