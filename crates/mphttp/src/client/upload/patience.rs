//! How long to try: until nothing has got through for a while.

use std::time::{Duration, Instant};

/// The waits between attempts, doubling in between.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is left of it.
#[derive(Debug)]
pub(super) struct Patience {
    pub(super) limit: Duration,
    /// When something last got through.
    last: Instant,
    wait: Duration,
    /// The server has taken more since the attempt before.
    proven: bool,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, last: Instant::now(), wait: FIRST_WAIT, proven: true }
    }

    /// The server has more than ever before.
    pub(super) fn progress(&mut self) {
        *self = Self::new(self.limit);
    }

    /// An attempt was cut off; its connection last took bytes at that time.
    ///
    /// What a connection takes may never arrive. It is believed once, so that time counts from the break; a server that
    /// takes bytes again and again, and keeps none, is not.
    pub(super) fn cut_off(&mut self, latest: Option<Instant>) {
        if std::mem::take(&mut self.proven)
            && let Some(latest) = latest
        {
            self.last = self.last.max(latest);
        }
    }

    /// How long to wait before the next attempt, which the server may have `asked` for; `None`: no more attempts.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let left = self.limit.saturating_sub(self.last.elapsed());
        if left.is_zero() || asked.is_some_and(|asked| asked > left) {
            return None;
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        Some(asked.unwrap_or(wait).max(wait).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_the_time_is_over() {
        let mut patience = Patience::new(Duration::from_secs(60));
        let waits: Vec<_> = (0..8).map(|_| patience.next(None).unwrap().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(patience.next(Some(Duration::from_secs(30))), Some(Duration::from_secs(30)));
        assert_eq!(patience.next(Some(Duration::from_secs(61))), None);
        patience.progress();
        assert_eq!(patience.next(None), Some(FIRST_WAIT));
        assert_eq!(Patience::new(Duration::ZERO).next(None), None);
    }

    #[test]
    fn bytes_that_never_arrive_are_believed_once() {
        let mut patience = Patience::new(Duration::from_secs(60));
        let later = Instant::now() + Duration::from_secs(5);
        patience.cut_off(Some(later));
        assert_eq!(patience.last, later);
        patience.cut_off(Some(later + Duration::from_secs(5)));
        assert_eq!(patience.last, later);
    }
}
