//! The way from a connection's writer into the body of an HTTP answer: a small buffer that is full when hyper can't
//! write on, so that a client which does not read is felt as on a socket.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes that may wait for hyper, which holds about twice as many itself before it leaves them here. What waits for
/// longer is a cursor into a room.
const CAPACITY: usize = 16 * 1024;

/// The end that is written to. Dropping it ends the body.
pub struct Pipe(Arc<Shared>);

/// The body: the end that hyper reads.
pub struct Outflow(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes whoever waits to write.
    space: Notify,
    /// Wakes whoever waits for the client's end.
    gone: Notify,
}

#[derive(Default)]
struct State {
    waiting: BytesMut,
    /// Nothing more will be written.
    ended: bool,
    /// Nobody reads any more.
    gone: bool,
    reader: Option<Waker>,
}

/// A pipe, and the body that reads from it. `first` is in it already.
pub fn pipe(first: &[u8]) -> (Pipe, Outflow) {
    let state = State { waiting: BytesMut::from(first), ..State::default() };
    let shared = Arc::new(Shared { state: Mutex::new(state), ..Shared::default() });
    (Pipe(Arc::clone(&shared)), Outflow(shared))
}

impl Pipe {
    /// Takes what fits; `WouldBlock` when nothing does.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        let reader = {
            let mut state = self.0.state.lock();
            if state.gone || state.ended {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            for slice in slices {
                let fits = slice.len().min(CAPACITY.saturating_sub(state.waiting.len()));
                state.waiting.extend_from_slice(&slice[..fits]);
                written += fits;
            }
            state.reader.take()
        };
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        reader.into_iter().for_each(Waker::wake);
        Ok(written)
    }

    /// Waits until half of it is free, or nobody reads any more.
    pub async fn writable(&self) {
        loop {
            {
                let state = self.0.state.lock();
                if state.gone || state.waiting.len() <= CAPACITY / 2 {
                    return;
                }
            }
            self.0.space.notified().await;
        }
    }

    /// Waits until nobody reads any more.
    pub async fn gone(&self) {
        while !self.is_gone() {
            self.0.gone.notified().await;
        }
    }

    /// Whether nobody reads any more.
    pub fn is_gone(&self) -> bool {
        self.0.state.lock().gone
    }

    /// Ends the body behind what waits.
    pub fn end(&self) {
        let reader = {
            let mut state = self.0.state.lock();
            state.ended = true;
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end();
    }
}

impl Body for Outflow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let taken = {
            let mut state = self.0.state.lock();
            if state.waiting.is_empty() {
                if state.ended {
                    return Poll::Ready(None);
                }
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            // Taken whole: a stream at rest holds no buffer.
            std::mem::take(&mut state.waiting)
        };
        self.0.space.notify_one();
        Poll::Ready(Some(Ok(Frame::data(taken.freeze()))))
    }
}

impl Drop for Outflow {
    fn drop(&mut self) {
        {
            let mut state = self.0.state.lock();
            state.gone = true;
            state.waiting = BytesMut::new();
        }
        self.0.space.notify_one();
        self.0.gone.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn read(body: &mut Outflow) -> Option<Bytes> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        frame.unwrap().into_data().ok()
    }

    fn write(pipe: &Pipe, bytes: &[u8]) -> io::Result<usize> {
        pipe.try_write(&[IoSlice::new(bytes)])
    }

    #[tokio::test]
    async fn it_takes_what_fits_and_wakes_both_ends() {
        let (pipe, mut body) = pipe(b"first ");
        assert_eq!(pipe.try_write(&[IoSlice::new(b"a"), IoSlice::new(b"bc")]).unwrap(), 3);
        assert_eq!(read(&mut body).await.unwrap(), "first abc");

        let reading = tokio::spawn(async move {
            let first = read(&mut body).await;
            (first, body)
        });
        let much = vec![b'x'; CAPACITY + 1];
        assert_eq!(write(&pipe, &much).unwrap(), CAPACITY);
        assert_eq!(write(&pipe, b"x").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(write(&pipe, b"").unwrap(), 0, "nothing always fits");
        pipe.writable().await;
        let (first, mut body) = reading.await.unwrap();
        assert_eq!(first.unwrap().len(), CAPACITY);

        write(&pipe, b"last").unwrap();
        pipe.end();
        assert_eq!(write(&pipe, b"late").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(read(&mut body).await.unwrap(), "last");
        assert_eq!(read(&mut body).await, None);
    }

    #[tokio::test]
    async fn each_end_sees_the_other_go() {
        let (writer, mut body) = pipe(b"");
        drop(writer);
        assert_eq!(read(&mut body).await, None);

        let (writer, body) = pipe(b"");
        let much = vec![b'x'; CAPACITY];
        write(&writer, &much).unwrap();
        assert!(!writer.is_gone());
        drop(body);
        writer.gone().await;
        writer.writable().await;
        assert_eq!(write(&writer, b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
