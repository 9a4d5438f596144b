//! Which interfaces a download may use, now.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::Paths;

/// How often they are looked up, while all is well and while nothing comes.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LOOK_EVERY_STALLED: Duration = Duration::from_millis(250);

pub(super) struct Ways {
    paths: Paths,
    names: Vec<String>,
    looked: Option<Instant>,
    /// Interfaces that have come since this was last asked.
    fresh: Vec<String>,
}

impl Ways {
    pub(super) const fn new(paths: Paths) -> Self {
        Self { paths, names: Vec::new(), looked: None, fresh: Vec::new() }
    }

    /// The interfaces through which the server may be tried, best first; looked up anew when it is time.
    pub(super) fn look(&mut self, server: IpAddr, stalled: bool, now: Instant) -> &[String] {
        match &self.paths {
            Paths::Off => {}
            Paths::Interfaces(names) => self.names.clone_from(names),
            Paths::Auto => {
                let every = if stalled { LOOK_EVERY_STALLED } else { LOOK_EVERY };
                if self.looked.is_none_or(|at| now.duration_since(at) >= every) {
                    self.looked = Some(now);
                    // A system whose routes can't be read has none that are known.
                    let ways = mptcp_paths::ways_to(server).unwrap_or_default();
                    let names: Vec<String> = ways.into_iter().map(|way| way.interface).collect();
                    self.fresh.extend(names.iter().filter(|name| !self.names.contains(name)).cloned());
                    self.names = names;
                }
            }
        }
        &self.names
    }

    /// Interfaces that have come since this was last called.
    pub(super) fn fresh(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh)
    }

    /// Interfaces that the caller has named: no others may be used.
    pub(super) fn demanded(&self) -> &[String] {
        match &self.paths {
            Paths::Interfaces(names) => names,
            Paths::Auto | Paths::Off => &[],
        }
    }
}
