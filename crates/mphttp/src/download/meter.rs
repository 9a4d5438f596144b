//! How fast a lane is.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Over how long a speed is measured, and from when on it is known.
const METER_WINDOW: Duration = Duration::from_millis(400);
const METER_LEAST: Duration = Duration::from_millis(80);

/// Measures a speed.
#[derive(Default)]
pub(super) struct Meter {
    looks: VecDeque<(Instant, u64)>,
    /// Since when there has been something to do without a pause.
    since: Option<Instant>,
    /// Bytes a second, the latest known.
    pub(super) rate: Option<f64>,
}

impl Meter {
    /// Takes note of how much there is now. While there is nothing to do, a speed stays what it was; so it does for a while
    /// when there is again.
    pub(super) fn look(&mut self, busy: bool, received: u64, warm_up: Duration, now: Instant) {
        if !busy {
            self.looks.clear();
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(now);
        self.looks.push_back((now, received));
        while self.looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= METER_WINDOW) {
            self.looks.pop_front();
        }
        let Some(&(at, before)) = self.looks.front() else { return };
        let elapsed = now.duration_since(at);
        if elapsed >= METER_LEAST && now.duration_since(since) >= warm_up && received > before {
            self.rate = Some((received - before) as f64 / elapsed.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_that_of_the_last_moments_and_stays_while_idle() {
        let start = Instant::now();
        let mut meter = Meter::default();
        let at = |tick: u32| start + Duration::from_millis(50) * tick;
        for tick in 0..20 {
            meter.look(true, u64::from(tick) * 50_000, Duration::ZERO, at(tick));
        }
        assert!((meter.rate.unwrap() - 1e6).abs() < 1.0);
        for tick in 20..40 {
            meter.look(true, 950_000 + u64::from(tick - 19) * 5_000, Duration::ZERO, at(tick));
        }
        assert!((meter.rate.unwrap() - 1e5).abs() < 1.0);
        meter.look(false, 2_000_000, Duration::ZERO, at(41));
        meter.look(true, 2_000_000, Duration::ZERO, at(100));
        meter.look(true, 9_000_000, Duration::from_secs(1), at(110));
        assert!((meter.rate.unwrap() - 1e5).abs() < 1.0);
    }
}
