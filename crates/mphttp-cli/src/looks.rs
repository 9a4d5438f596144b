//! Looks at a running transfer: how many bytes each link had carried at which time, and the rates that makes.

use std::{collections::BTreeMap, time::Duration};

use mphttp::download::Link;
use mptcp_socket::Transport;

/// One look at a running download.
#[derive(Clone, Debug)]
pub struct Look {
    /// Time since the download started.
    pub at: Duration,
    /// Payload bytes that each link has brought so far, by interface.
    pub bytes: BTreeMap<String, u64>,
}

impl Look {
    /// Sums a transport's paths by interface, those that have gone included.
    pub fn new(at: Duration, transport: &Transport) -> Self {
        let mut bytes = BTreeMap::new();
        for path in transport.gone.iter().chain(&transport.paths) {
            let Some(interface) = &path.interface else { continue };
            *bytes.entry(interface.clone()).or_default() += path.bytes_received.unwrap_or(0);
        }
        Self { at, bytes }
    }

    /// What a download tells of its links.
    pub fn of_links(at: Duration, links: &[Link]) -> Self {
        Self { at, bytes: links.iter().map(|link| (link.interface.clone(), link.bytes)).collect() }
    }
}

/// How many looks a rate spans, since single ones catch bursts.
const WINDOW: usize = 3;

/// The rate of one link over time: `(seconds, Mbit/s)`, each over a window of a few looks.
pub fn rates(looks: &[Look], link: &str) -> Vec<(f64, f64)> {
    let bytes = |look: &Look| look.bytes.get(link).copied().unwrap_or(0);
    looks
        .windows(WINDOW + 1)
        .filter_map(|window| {
            let (first, last) = (window.first()?, window.last()?);
            let seconds = last.at.saturating_sub(first.at).as_secs_f64();
            let carried = bytes(last).saturating_sub(bytes(first)) as f64;
            (seconds > 0.0).then(|| (last.at.as_secs_f64(), carried * 8.0 / 1e6 / seconds))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_megabits_a_second() {
        let looks: Vec<Look> = (0..20u64)
            .map(|n| Look {
                at: Duration::from_millis(100 * n),
                bytes: BTreeMap::from([("wifi".to_owned(), n * 1_000_000)]),
            })
            .collect();
        assert!(rates(&looks, "wifi").iter().all(|(_, rate)| (*rate - 80.0).abs() < 0.01));
        assert!(rates(&looks, "lte").iter().all(|(_, rate)| *rate == 0.0));
        assert!(rates(&looks[..2], "wifi").is_empty());
    }
}
