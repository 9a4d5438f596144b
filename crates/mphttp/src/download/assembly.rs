//! A body put together in order from pieces that come in any, within a bounded window.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::checksum::{Checksum, Tally};
use crate::Error;

/// Shared by those who put pieces in and the one who takes the body out.
pub(super) struct Assembly {
    inner: Mutex<Inner>,
    window: u64,
    /// A piece came, or the end.
    readable: Notify,
    /// There is room.
    writable: Notify,
}

#[derive(Default)]
struct Inner {
    pieces: BTreeMap<u64, Bytes>,
    /// The first byte that was not taken yet.
    next: u64,
    ended: bool,
    tally: Tally,
}

impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly").field("window", &self.window).finish_non_exhaustive()
    }
}

impl Inner {
    /// Keeps what of a piece was not taken yet, unless as much of the same is there already: a fetch that was ended just when it
    /// put something may come after, or before, the one that brings the same bytes again, in other pieces. Says whether it did.
    fn keep(&mut self, offset: u64, bytes: Bytes) -> bool {
        let taken = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let place = offset.max(self.next);
        let there = self.pieces.get(&place).map_or(0, Bytes::len);
        let longer = bytes.len() > taken.saturating_add(there);
        if longer {
            self.pieces.insert(place, bytes.slice(taken..));
        }
        longer
    }
}

impl Assembly {
    pub(super) fn new(window: u64) -> Self {
        Self { inner: Mutex::default(), window, readable: Notify::new(), writable: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first byte that was not taken yet.
    pub(super) fn next(&self) -> u64 {
        self.inner().next
    }

    /// Forgets everything, unless some of it was taken already: that can't be taken back. Says whether it could.
    pub(super) fn restart(&self) -> bool {
        let mut inner = self.inner();
        // In one step: nobody may take something of the old body before the new one comes.
        let untouched = inner.next == 0;
        if untouched {
            inner.pieces.clear();
        }
        untouched
    }

    /// Whether a piece for this place has to wait.
    pub(super) fn is_full(&self, offset: u64) -> bool {
        offset >= self.inner().next.saturating_add(self.window)
    }

    /// Puts a piece in its place; waits while that is beyond the window.
    pub(super) async fn put(&self, offset: u64, bytes: Bytes) {
        loop {
            // Asked for before the look, so that room made in between is not missed.
            let room = self.writable.notified();
            if !self.is_full(offset) {
                break;
            }
            room.await;
        }
        let mut inner = self.inner();
        if inner.keep(offset, bytes) {
            drop(inner);
            self.readable.notify_one();
        }
    }

    /// How many bytes of the body are kept; what is there twice counts once.
    #[cfg(test)]
    pub(super) fn covered(&self) -> usize {
        let inner = self.inner();
        let ranges = inner.pieces.iter().map(|(&offset, bytes)| offset..offset + bytes.len() as u64);
        usize::try_from(ranges.collect::<super::ranges::Ranges>().len()).unwrap_or(usize::MAX)
    }

    /// What is taken from now on is to have these digests.
    pub(super) fn expect(&self, checksums: &[Checksum]) {
        self.inner().tally = Tally::new(checksums);
    }

    /// Everything was taken: an error if it was not what it should be.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.inner().tally.check()
    }

    /// No more pieces will come.
    pub(super) fn end(&self) {
        self.inner().ended = true;
        self.readable.notify_one();
    }

    /// The next bytes; `None` once there will be none. For one reader.
    pub(super) async fn take(&self) -> Option<Bytes> {
        loop {
            let piece = self.readable.notified();
            {
                let mut inner = self.inner();
                let next = inner.next;
                while inner.pieces.first_key_value().is_some_and(|(&offset, _)| offset < next) {
                    if let Some((offset, bytes)) = inner.pieces.pop_first() {
                        inner.keep(offset, bytes);
                    }
                }
                if let Some(bytes) = inner.pieces.remove(&next) {
                    inner.tally.update(next, &bytes);
                    inner.next += bytes.len() as u64;
                    self.writable.notify_waiters();
                    return Some(bytes);
                }
                if inner.ended {
                    return None;
                }
            }
            piece.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Duration};

    #[tokio::test]
    async fn pieces_come_out_in_order_and_wait_for_room() {
        let assembly = Arc::new(Assembly::new(4));
        assembly.put(2, Bytes::from_static(b"cd")).await;
        let far = tokio::spawn({
            let assembly = Arc::clone(&assembly);
            async move { assembly.put(4, Bytes::from_static(b"ef")).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!far.is_finished());
        assembly.put(0, Bytes::from_static(b"ab")).await;
        assert_eq!(assembly.take().await.unwrap(), "ab");
        far.await.unwrap();
        assembly.end();
        assert_eq!(assembly.take().await.unwrap(), "cd");
        assert_eq!(assembly.take().await.unwrap(), "ef");
        assert_eq!(assembly.take().await, None);
        assert_eq!(assembly.next(), 6);
    }

    #[tokio::test]
    async fn what_comes_again_in_other_pieces_changes_nothing() {
        let assembly = Assembly::new(100);
        for (offset, piece) in [(2, "cdef"), (0, "abc"), (3, "de"), (5, "fgh"), (0, "a")] {
            assembly.put(offset, Bytes::from(piece)).await;
        }
        assembly.end();
        let mut got = Vec::new();
        while let Some(piece) = assembly.take().await {
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, b"abcdefgh");
    }
}
