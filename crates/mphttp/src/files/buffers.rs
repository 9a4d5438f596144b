//! Buffers that are used again: a file is sent through few of them, which stay in the processor's caches, and nobody has to
//! clear one before it is read into.

use std::{cell::RefCell, mem};

use bytes::Bytes;

/// The smallest and the largest that are kept, in bytes, as powers of two.
const SMALLEST: u32 = 12;
const LARGEST: u32 = 17;

/// What a thread keeps of each size, in bytes.
const KEPT: usize = 512 * 1024;

thread_local! {
    static FREE: RefCell<[Vec<Box<[u8]>>; (LARGEST - SMALLEST + 1) as usize]> = const {
        RefCell::new([const { Vec::new() }; (LARGEST - SMALLEST + 1) as usize])
    };
}

/// A buffer with some bytes at its beginning, which goes back when it is dropped, on whichever thread that is.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Box<[u8]>,
    length: usize,
}

impl Buffer {
    /// Room for `length` bytes, with anything in it.
    pub(super) fn of(length: usize) -> Self {
        let kept = size(length).and_then(|size| with(size, Vec::pop).flatten());
        let memory = kept.unwrap_or_else(|| {
            let whole = size(length).map_or(length, |size| 1 << (SMALLEST as usize + size));
            vec![0; whole].into_boxed_slice()
        });
        Self { memory, length }
    }

    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.length).unwrap_or_default()
    }

    pub(super) fn into_bytes(mut self) -> Bytes {
        match size(self.length) {
            Some(_) => Bytes::from_owner(self),
            // It never comes back.
            None => mem::take(&mut self.memory).into(),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = mem::take(&mut self.memory);
        let Some(size) = size(self.length) else { return };
        with(size, |free| {
            if (free.len() + 1) * memory.len() <= KEPT {
                free.push(memory);
            }
        });
    }
}

/// Which of the sizes holds so many bytes; none for what is too small to matter or too large to be kept.
fn size(length: usize) -> Option<usize> {
    let power = length.checked_next_power_of_two()?.trailing_zeros();
    (SMALLEST..=LARGEST).contains(&power).then(|| (power - SMALLEST) as usize)
}

/// Nothing if the thread is about to end.
fn with<T>(size: usize, work: impl FnOnce(&mut Vec<Box<[u8]>>) -> T) -> Option<T> {
    FREE.try_with(|free| free.borrow_mut().get_mut(size).map(work)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_used_again_and_shows_only_what_was_asked_for() {
        let mut first = Buffer::of(70_000);
        first.as_mut().fill(7);
        let at = first.as_ref().as_ptr();
        let bytes = first.into_bytes();
        assert_eq!(bytes.len(), 70_000);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_ne!(Buffer::of(70_000).as_ref().as_ptr(), at, "a part of it is in use");
        drop(part);
        let again = Buffer::of(100_000);
        assert_eq!((again.as_ref().as_ptr(), again.as_ref().len()), (at, 100_000));
    }

    #[test]
    fn a_thread_keeps_so_much_and_no_more() {
        drop((0..20).map(|_| Buffer::of(1 << LARGEST)).collect::<Vec<_>>());
        let kept = with((LARGEST - SMALLEST) as usize, |free| free.len()).unwrap();
        assert_eq!(kept, KEPT >> LARGEST);
        for length in [0, 1, 2048, (1 << LARGEST) + 1, 5 << 20] {
            assert_eq!((size(length), Buffer::of(length).as_ref().len()), (None, length));
        }
    }
}
