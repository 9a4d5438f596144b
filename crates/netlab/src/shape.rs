//! The arithmetic of a link: when a frame has left, which frames don't fit, which get lost. Pure: no clock,
//! no I/O.

use std::time::Duration;

use crate::spec::Rate;

/// The sending side of a link that needs time for every byte: frames wait for those before them.
#[derive(Debug, Default)]
pub(crate) struct Transmitter {
    free_at: Duration,
}

impl Transmitter {
    /// When a frame of so many bytes that arrives `now` (since any fixed moment) will have left completely;
    /// `None` if it is dropped because it doesn't fit into a queue of `limit` bytes behind those still
    /// waiting.
    pub(crate) fn admit(&mut self, now: Duration, bytes: u64, rate: Rate, limit: u64) -> Option<Duration> {
        let wait = self.free_at.saturating_sub(now);
        let rate = u128::from(rate.bytes_per_second().max(1));
        let waiting = wait.as_nanos() * rate / 1_000_000_000;
        if waiting > 0 && waiting + u128::from(bytes) > u128::from(limit) {
            return None;
        }
        let time = u128::from(bytes) * 1_000_000_000 / rate;
        self.free_at = now + wait + Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX));
        Some(self.free_at)
    }
}

/// A small deterministic random number generator (xorshift64*), so that a seed gives the same losses
/// everywhere.
#[derive(Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // One step of splitmix64, so that neighbouring seeds have nothing in common; zero would be a fixed
        // point.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Dice { state: (state ^ (state >> 31)).max(1) }
    }

    /// True with this probability.
    pub(crate) fn hits(&mut self, probability: f64) -> bool {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (random as f64) < probability * (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    // 1000 bytes a millisecond
    const RATE: Rate = Rate::mbit(8);

    #[test]
    fn frames_leave_one_after_the_other_at_the_rate() {
        let mut transmitter = Transmitter::default();
        for sent in 1..=10 {
            assert_eq!(transmitter.admit(MS * 5, 1000, RATE, 100_000), Some(MS * (5 + sent)));
        }
    }

    #[test]
    fn a_pause_gives_no_credit() {
        let mut transmitter = Transmitter::default();
        assert_eq!(transmitter.admit(MS, 1000, RATE, 100_000), Some(MS * 2));
        assert_eq!(transmitter.admit(MS * 50, 1000, RATE, 100_000), Some(MS * 51));
    }

    #[test]
    fn what_does_not_fit_is_dropped_until_room_is_made() {
        let mut transmitter = Transmitter::default();
        let admitted = (0..10).filter(|_| transmitter.admit(MS, 1000, RATE, 3000).is_some()).count();
        assert_eq!(admitted, 3);
        assert_eq!(transmitter.admit(MS, 1000, RATE, 3000), None);
        assert_eq!(transmitter.admit(MS * 2, 1000, RATE, 3000), Some(MS * 5));
    }

    #[test]
    fn a_frame_larger_than_the_queue_passes_an_idle_link() {
        assert_eq!(Transmitter::default().admit(MS, 9000, RATE, 3000), Some(MS * 10));
    }

    #[test]
    fn dice_are_fair_and_repeatable() {
        let count = |seed| {
            let mut dice = Dice::new(seed);
            (0..100_000).filter(|_| dice.hits(0.02)).count()
        };
        for seed in [0, 1, 2, u64::MAX] {
            assert!((1800..2200).contains(&count(seed)), "seed {seed}: {}", count(seed));
            assert_eq!(count(seed), count(seed));
        }
        assert!((0..1000).all(|_| Dice::new(7).hits(1.0)));
        assert!((0..1000).all(|seed| !Dice::new(seed).hits(0.0)));
    }
}
