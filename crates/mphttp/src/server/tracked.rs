//! A connection's bytes: what is read and written is noted by the connection's gauge, and what was read ahead is read again.

use std::{
    future::Future,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{accept::Slot, gauge::Gauge, open::Entry, parking::Parkable};

/// How much is read ahead at most: most heads fit, and then there is one read and not two.
const AHEAD: usize = 1024;

/// The connection's bytes, seen by its gauge. Holds the connection's slot, also after an upgrade took it over.
#[derive(Debug)]
pub(super) struct Tracked<IO> {
    // Declared, and so dropped, before the stream: its last look needs it.
    _entry: Option<Entry>,
    io: IO,
    gauge: Arc<Gauge>,
    /// Bytes that were read before and are to be read again.
    again: Bytes,
    _slot: Slot,
}

impl<IO> Tracked<IO> {
    pub(super) fn new(io: IO, gauge: Arc<Gauge>, slot: Slot, entry: Option<Entry>) -> Self {
        Self { _entry: entry, io, gauge, again: Bytes::new(), _slot: slot }
    }

    /// Puts what `make` makes of the stream in its place; the connection ends if that is nothing.
    pub(super) async fn replace<New, F>(self, make: impl FnOnce(IO) -> F) -> Option<Tracked<New>>
    where
        F: Future<Output = Option<New>>,
    {
        let Self { _entry, io, gauge, again, _slot } = self;
        let io = make(io).await?;
        Some(Tracked { _entry, io, gauge, again, _slot })
    }

    pub(super) fn get_ref(&self) -> &IO {
        &self.io
    }

    pub(super) fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Gives bytes back that were read, before those that were given back already.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.again = if self.again.is_empty() { bytes } else { [&*bytes, &*self.again].concat().into() };
    }

    /// Notes what was read ahead.
    fn keep(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.gauge.has_read(bytes.len());
            self.again = if self.again.is_empty() {
                Bytes::copy_from_slice(bytes)
            } else {
                [&*self.again, bytes].concat().into()
            };
        }
    }

    /// What was read before and is to be read again.
    pub(super) fn again(&self) -> &[u8] {
        &self.again
    }

    fn note_write(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Pending => self.gauge.waits_to_write(),
            Poll::Ready(Ok(written)) => self.gauge.has_written(*written),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<IO: Parkable> Tracked<IO> {
    fn before_write(&self) {
        self.gauge.unflushed();
        // The end of the connection travels with the end of its last answer.
        self.io.cork(self.gauge.ends());
    }

    /// Waits until something has arrived, and reads ahead what costs nothing to keep. `false`: there is no more to come.
    pub(super) fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.again.is_empty() || !self.io.is_drained() {
            return Poll::Ready(Ok(true));
        }
        let mut room = [MaybeUninit::uninit(); AHEAD];
        let mut first = ReadBuf::uninit(&mut room);
        let more = ready!(self.io.poll_arrival(context, &mut first))?;
        self.keep(first.filled());
        Poll::Ready(Ok(more))
    }

    /// Reads ahead, though something was already. `false`: there is no more to come.
    pub(super) fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut room = [MaybeUninit::uninit(); AHEAD];
        let mut next = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut next))?;
        self.keep(next.filled());
        Poll::Ready(Ok(!next.filled().is_empty()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Tracked<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            let length = self.again.len().min(buffer.remaining());
            buffer.put_slice(&self.again.split_to(length));
            if self.again.is_empty() {
                // An empty part of them would keep them all.
                self.again = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.gauge.has_read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: Parkable> AsyncWrite for Tracked<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.before_write();
        let polled = Pin::new(&mut self.io).poll_write(context, buffer);
        self.note_write(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.before_write();
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, buffers);
        self.note_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        // hyper flushes when all that it had was written.
        self.gauge.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gauge.unflushed();
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
