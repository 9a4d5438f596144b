//! What a run of the demo leaves behind: how many bytes each link had carried at which time.

use std::collections::BTreeMap;

use mptcp_socket::Transport;
use serde::Serialize;

use crate::looks::Look;

/// A finished run, as `--json` prints it and the table shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// What was tried, for people.
    pub title: &'static str,
    /// What the connection spoke at its end.
    pub protocol: &'static str,
    /// The stable word for why it was TCP.
    pub why_tcp: Option<&'static str>,
    /// Size of the body.
    pub bytes: u64,
    /// From the start of the connect to the last byte.
    pub seconds: f64,
    /// The longest time in which no byte of the body arrived.
    pub longest_gap_seconds: f64,
    /// Bytes by link.
    pub by_link: BTreeMap<String, u64>,
    /// Whether the file is the one that the server has, by SHA-256.
    pub whole: bool,
    /// When a link was cut, in seconds from the start, and which.
    pub cut: Option<Cut>,
    /// The looks, for the picture.
    #[serde(skip)]
    pub looks: Vec<Look>,
}

/// A link's death during a run.
#[derive(Clone, Debug, Serialize)]
pub struct Cut {
    /// The link.
    pub link: &'static str,
    /// Seconds from the start of the run.
    pub at_seconds: f64,
}

impl Run {
    /// Mean rate over the whole run.
    pub fn megabits(&self) -> f64 {
        self.bytes as f64 * 8.0 / 1e6 / self.seconds.max(1e-9)
    }

    /// The share of a link in all bytes, 0 to 1.
    pub fn share(&self, link: &str) -> f64 {
        let all: u64 = self.by_link.values().sum();
        self.by_link.get(link).copied().unwrap_or(0) as f64 / (all.max(1)) as f64
    }
}

/// What a transport speaks, as the two JSON fields.
pub fn spoken(transport: &Transport) -> (&'static str, Option<&'static str>) {
    (transport.spoken.as_str(), transport.reason().map(mptcp_socket::Reason::as_str))
}
