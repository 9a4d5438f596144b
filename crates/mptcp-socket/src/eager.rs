//! Streams that act first and wait only if they must: a short connection then never meets the runtime's poller.
//!
//! tokio's own streams are registered when they are made and taken out when they go, which is two system calls and an event
//! for each connection. A connection that brings its one request along, and is closed after the answer, needs none of that.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd};

use crate::{Error, Listening, sys};

/// How often a stream acts before it is registered: from then on, the runtime sees to it that other tasks have their turn.
const EAGER: u8 = 4;

/// An accepted connection that is registered with tokio only once it has to wait, or is used for long.
#[derive(Debug)]
pub struct EagerStream {
    // Declared, and so dropped, before the stream: a descriptor is taken out before it is closed.
    registration: Option<AsyncFd<sys::Lent>>,
    stream: std::net::TcpStream,
    acted: u8,
    corked: AtomicBool,
}

impl EagerStream {
    /// A stream that doesn't block (`O_NONBLOCK`).
    fn new(stream: std::net::TcpStream) -> Self {
        Self { registration: None, stream, acted: 0, corked: AtomicBool::new(false) }
    }

    /// Keeps back what is written from now on as long as it fills no segment, until the stream is shut down (`MSG_MORE` in
    /// `send(2)`): the end of the connection then travels with the last bytes. Nothing is kept for longer than 200 ms.
    pub fn cork(&self, on: bool) {
        self.corked.store(on, Ordering::Relaxed);
    }

    /// The address of this side.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Looks at what has arrived, and leaves it there (`MSG_PEEK`).
    pub fn poll_peek(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_receive(context, buffer, true)
    }

    /// Whether it is to wait for readiness before it acts.
    fn register(&mut self) -> io::Result<()> {
        if self.registration.is_none() {
            self.registration = Some(sys::register(&self.stream)?);
        }
        Ok(())
    }

    fn act(&mut self) -> io::Result<()> {
        if self.acted < EAGER {
            self.acted += 1;
            return Ok(());
        }
        self.register()
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        peek: bool,
    ) -> Poll<io::Result<()>> {
        self.act()?;
        loop {
            let guard = match &self.registration {
                Some(registration) => Some(ready!(registration.poll_read_ready(context))?),
                None => None,
            };
            match sys::receive(&self.stream, buffer, peek) {
                Ok(received) => {
                    // A part of the room filled is all that there was: it spares the read that would find nothing. The end
                    // of the stream stays known all the same.
                    if let Some(mut guard) = guard
                        && !peek
                        && received > 0
                        && buffer.remaining() > 0
                    {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match guard {
                    Some(mut guard) => guard.clear_ready(),
                    None => self.register()?,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.act()?;
        let flags = if *self.corked.get_mut() { sys::SEND_CORKED } else { sys::SEND };
        loop {
            let guard = match &self.registration {
                Some(registration) => Some(ready!(registration.poll_write_ready(context))?),
                None => None,
            };
            match SockRef::from(&self.stream).send_vectored_with_flags(buffers, flags) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match guard {
                    Some(mut guard) => guard.clear_ready(),
                    None => self.register()?,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(sent) => {
                    // There was room for a part only: it spares the call that would find none.
                    if let Some(mut guard) = guard
                        && sent < buffers.iter().map(|buffer| buffer.len()).sum()
                    {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(sent));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsFd for EagerStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for EagerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().poll_receive(context, buffer, false)
    }
}

impl AsyncWrite for EagerStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

/// A listener of tokio's that accepts [`EagerStream`]s: [`Listening::into_eager`].
#[derive(Debug)]
pub struct EagerListener(AsyncFd<std::net::TcpListener>);

impl EagerListener {
    /// The next connection. Safe to cancel.
    ///
    /// # Errors
    /// What `accept(2)` says.
    pub async fn accept(&self) -> io::Result<(EagerStream, SocketAddr)> {
        let (stream, peer) = self.0.async_io(Interest::READABLE, sys::accept).await?;
        Ok((EagerStream::new(stream), peer))
    }
}

impl AsFd for EagerListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

impl Listening {
    /// The listener for tokio, registered with the runtime of the caller.
    ///
    /// # Errors
    /// [`Error::Runtime`] if it can't be registered.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled, as tokio itself.
    pub fn into_eager(self) -> Result<EagerListener, Error> {
        let listener = self.into_std();
        listener.set_nonblocking(true).map_err(Error::Runtime)?;
        sys::register_listener(listener).map(EagerListener).map_err(Error::Runtime)
    }
}
