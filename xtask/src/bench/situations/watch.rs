//! What can be seen of a transfer from outside, alike for every client: the bytes that have arrived at the client's
//! interfaces, looked at every few milliseconds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use anyhow::{Context, Result};
use netlab::Host;

/// The counters of a host's interfaces. Not over netlink, where one waits for whatever else is changed in the machine's
/// networks (such as those of the fetch before, which are being cleared away).
pub struct Meter {
    counters: File,
}

impl Meter {
    /// # Errors
    /// When /proc isn't there.
    pub fn new(host: &Host) -> Result<Self> {
        // Opened on the host, it shows that host's interfaces to whoever reads it.
        let counters =
            host.run(|| File::open("/proc/thread-self/net/dev"))?.context("no counters in /proc")?;
        Ok(Self { counters })
    }

    /// The bytes that have arrived at the interfaces with these names.
    ///
    /// # Errors
    /// When one of them isn't there.
    pub fn received(&self, names: [&str; 2]) -> Result<[u64; 2]> {
        let mut buffer = [0; 8192];
        let length = self.counters.read_at(&mut buffer, 0)?;
        let text = std::str::from_utf8(&buffer[..length])?;
        let [first, second] = names.map(|name| received(text, name));
        Ok([first.context("no counter of the first link")?, second.context("no counter of the second link")?])
    }
}

fn received(text: &str, name: &str) -> Option<u64> {
    let counters = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    counters.split_ascii_whitespace().next()?.parse().ok()
}

/// More than the handshakes of several connections, their refusals and the acknowledgement of a request have, and less
/// than the first flight of a file.
const FIRST_BYTES: u64 = 2_000;

/// So many bytes are progress; fewer may be keepalives, probes and attempts.
const PROGRESS: u64 = 10_000;

/// What was seen so far. Times are since the start of the program.
#[derive(Default)]
pub struct Watch {
    first: Option<Duration>,
    /// When there was progress last, and how much had arrived by then.
    mark: Option<(Duration, u64)>,
    longest: Duration,
}

impl Watch {
    /// Takes note that `bytes` in all have arrived by `now`.
    pub fn note(&mut self, now: Duration, bytes: u64) {
        if bytes < FIRST_BYTES {
            return;
        }
        self.first.get_or_insert(now);
        let (since, before) = *self.mark.get_or_insert((now, bytes));
        if bytes >= before + PROGRESS {
            self.longest = self.longest.max(now - since);
            self.mark = Some((now, bytes));
        }
    }

    /// When the first bytes were there, if they ever were.
    pub fn first(&self) -> Option<Duration> {
        self.first
    }

    /// The longest time without progress between the first bytes and the end of the program.
    pub fn longest_gap(&self, end: Duration) -> Duration {
        let last = self.mark.map_or(Duration::ZERO, |(since, _)| end.saturating_sub(since));
        self.longest.max(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn counters_are_found_by_the_interfaces_name() {
        let text =
            "Inter-|   Receive\n face |bytes    packets\n    lo:  12  1 0\n first: 345 6 0\nfirst2:7 8 0\n";
        assert_eq!(
            ["lo", "first", "first2", "second"].map(|name| received(text, name)),
            [Some(12), Some(345), Some(7), None]
        );
    }

    #[test]
    fn handshakes_are_not_the_first_bytes() {
        let mut watch = Watch::default();
        watch.note(ms(1), 300);
        assert_eq!(watch.first(), None);
        watch.note(ms(200), 15_000);
        watch.note(ms(210), 30_000);
        assert_eq!(watch.first(), Some(ms(200)));
        assert_eq!(watch.longest_gap(ms(215)), ms(10), "the time before the first bytes is no gap");
    }

    #[test]
    fn a_trickle_is_a_gap() {
        let mut watch = Watch::default();
        for (now, bytes) in [(10, 20_000), (20, 40_000), (300, 41_000), (600, 42_000), (900, 60_000)] {
            watch.note(ms(now), bytes);
        }
        assert_eq!(watch.longest_gap(ms(910)), ms(880));
    }

    #[test]
    fn silence_until_the_end_is_a_gap() {
        let mut watch = Watch::default();
        assert_eq!(watch.longest_gap(ms(50)), ms(0));
        watch.note(ms(10), 20_000);
        watch.note(ms(20), 40_000);
        assert_eq!(watch.longest_gap(ms(60_000)), ms(59_980));
    }
}
