//! The streams of `eager` where readiness of descriptors can't be asked for: those of tokio.

use std::{
    io,
    net::SocketAddr,
    os::windows::io::{AsSocket, BorrowedSocket},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use crate::{Error, Listening};

/// An accepted connection of tokio's.
#[derive(Debug)]
pub struct EagerStream(TcpStream);

impl EagerStream {
    /// Keeps nothing back here.
    pub fn cork(&self, _: bool) {}

    /// The address of this side.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Looks at what has arrived, and leaves it there (`MSG_PEEK`).
    pub fn poll_peek(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_peek(context, buffer).map_ok(|_| ())
    }
}

impl AsSocket for EagerStream {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

impl AsyncRead for EagerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for EagerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A listener of tokio's that accepts [`EagerStream`]s: [`Listening::into_eager`].
#[derive(Debug)]
pub struct EagerListener(TcpListener);

impl EagerListener {
    /// The next connection. Safe to cancel.
    ///
    /// # Errors
    /// What `accept(2)` says.
    pub async fn accept(&self) -> io::Result<(EagerStream, SocketAddr)> {
        self.0.accept().await.map(|(stream, peer)| (EagerStream(stream), peer))
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
        self.into_tokio().map(EagerListener)
    }
}
