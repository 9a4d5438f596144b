//! What a link is to be like.

use std::time::Duration;

use crate::boxes::BoxKind;
use crate::error::Error;

/// A data rate on the wire, Ethernet headers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    bits_per_second: u64,
}

impl Rate {
    /// Bits per second.
    #[must_use]
    pub const fn bit(bits_per_second: u64) -> Self {
        Rate { bits_per_second }
    }

    /// Thousands of bits per second.
    #[must_use]
    pub const fn kbit(kilobits: u64) -> Self {
        Rate { bits_per_second: kilobits.saturating_mul(1_000) }
    }

    /// Millions of bits per second.
    #[must_use]
    pub const fn mbit(megabits: u64) -> Self {
        Rate { bits_per_second: megabits.saturating_mul(1_000_000) }
    }

    /// The rate in bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }

    pub(crate) const fn bytes_per_second(self) -> u64 {
        self.bits_per_second / 8
    }
}

/// How much a link holds back when more arrives than it can send; what comes on top is dropped (tail drop).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Bytes(u64),
    Time(Duration),
}

impl Queue {
    /// In bytes at a rate; never less than two frames, else nothing could pass.
    pub(crate) fn bytes(self, rate: Rate) -> u64 {
        let bytes = match self {
            Queue::Bytes(bytes) => bytes,
            Queue::Time(time) => {
                let bytes = u128::from(rate.bytes_per_second()) * time.as_nanos() / 1_000_000_000;
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
        };
        bytes.max(2 * 1514)
    }
}

/// What a link between two hosts is like, the same in both directions. The default: as fast as the machine,
/// no delay, no loss, no box.
///
/// There are two kinds of link. One with at most a rate and a queue is *plain*: the kernel does all of it,
/// the hosts queue what they send themselves (token bucket filter), and it costs next to nothing. One with a
/// delay, loss or a box is *forwarded*: a thread of the lab carries every frame in user space, because not
/// every kernel has netem and none has the boxes; rate and queue are then in the middle of the link, as at a
/// distant router, and the sender isn't held back by its own queue. 2 x 100 Mbit/s are no trouble for it;
/// gigabits are.
#[derive(Debug, Clone)]
#[must_use]
pub struct LinkSpec {
    pub(crate) name: Option<String>,
    pub(crate) rate: Option<Rate>,
    pub(crate) queue: Queue,
    pub(crate) delay: Duration,
    pub(crate) loss: f64,
    pub(crate) seed: Option<u64>,
    pub(crate) middlebox: Option<BoxKind>,
}

impl Default for LinkSpec {
    fn default() -> Self {
        LinkSpec {
            name: None,
            rate: None,
            queue: Queue::Time(Duration::from_millis(50)),
            delay: Duration::ZERO,
            loss: 0.0,
            seed: None,
            middlebox: None,
        }
    }
}

impl LinkSpec {
    /// The default link.
    pub fn new() -> Self {
        LinkSpec::default()
    }

    /// The interface's name on both hosts, at most 15 bytes; without it "link1", "link2" …
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The rate in each direction.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// The delay in one direction, in addition to what rate and queue cause: a round trip takes twice as
    /// long.
    pub fn delay(mut self, one_way: Duration) -> Self {
        self.delay = one_way;
        self
    }

    /// The share of frames that get lost at random, 0.0 to 1.0, in each direction.
    pub fn loss(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    /// The seed of the random losses. Without it the link's number: a lab loses the same frames in every run,
    /// as far as the same frames are sent.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The queue's length in bytes, in each direction. Without a rate there is no queue.
    pub fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue = Queue::Bytes(bytes);
        self
    }

    /// The queue's length as the time that the link needs to send it; the default is 50 ms.
    pub fn queue_time(mut self, time: Duration) -> Self {
        self.queue = Queue::Time(time);
        self
    }

    /// A box on the link.
    pub fn middlebox(mut self, kind: BoxKind) -> Self {
        self.middlebox = Some(kind);
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.rate.is_some_and(|rate| rate.bytes_per_second() == 0) {
            return Err(Error::BadSpec("a rate below 8 bit/s"));
        }
        if !(0.0..=1.0).contains(&self.loss) {
            return Err(Error::BadSpec("a loss outside of 0.0 to 1.0"));
        }
        Ok(())
    }

    pub(crate) fn is_forwarded(&self) -> bool {
        !self.delay.is_zero() || self.loss > 0.0 || self.middlebox.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_in_time_grows_with_the_rate() {
        let queue = Queue::Time(Duration::from_millis(50));
        assert_eq!(queue.bytes(Rate::mbit(100)), 625_000);
        assert_eq!(queue.bytes(Rate::mbit(10)), 62_500);
    }

    #[test]
    fn a_queue_always_holds_two_frames() {
        assert_eq!(Queue::Bytes(0).bytes(Rate::mbit(1)), 3028);
        assert_eq!(Queue::Time(Duration::ZERO).bytes(Rate::mbit(1)), 3028);
    }

    #[test]
    fn only_what_the_kernel_cannot_do_is_forwarded() {
        let plain = LinkSpec::new().rate(Rate::mbit(100)).queue_bytes(100_000);
        assert!(!plain.is_forwarded());
        assert!(plain.clone().delay(Duration::from_millis(1)).is_forwarded());
        assert!(plain.clone().loss(0.01).is_forwarded());
        assert!(plain.middlebox(BoxKind::DropMptcpSyn).is_forwarded());
    }

    #[test]
    fn impossible_values_are_refused() {
        assert!(LinkSpec::new().loss(1.5).check().is_err());
        assert!(LinkSpec::new().loss(f64::NAN).check().is_err());
        assert!(LinkSpec::new().rate(Rate::bit(7)).check().is_err());
        assert!(LinkSpec::new().loss(1.0).rate(Rate::bit(8)).check().is_ok());
    }
}
