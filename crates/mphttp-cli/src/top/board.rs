//! What there is to show: connections and paths with their rates, which take two looks, in order.

use std::{
    cmp::Ordering,
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mphttp::report::PathReport;
use mptcp_paths::connections::{Connection, Connections, Process, Subflow};
use serde::Serialize;

use super::SortKey;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub key: SortKey,
    pub reverse: bool,
}

/// Remembers the figures of the look before.
#[derive(Default)]
pub struct Board {
    before: Option<(Instant, HashMap<u64, Carried>)>,
}

/// Bytes so far: received, sent.
type Carried = (Option<u64>, Option<u64>);

/// One look, as the screen shows it and `--json` prints it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct View {
    /// Over how long the rates were measured; null at the first look.
    pub interval_seconds: Option<f64>,
    pub connections: Vec<Row>,
    pub not_seen: NotSeen,
}

/// What this user could not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotSeen {
    /// Processes that would not let themselves be looked at.
    pub processes: usize,
    /// Connections that some process holds, and none that can be seen.
    pub connections_without_process: usize,
    /// Connections whose paths an old kernel shows to root only.
    pub connections_without_paths: usize,
}

/// A connection.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The kernel's number for the socket, as a text: not every JSON parser keeps 64 bits.
    pub id: String,
    pub processes: Vec<Holder>,
    pub uid: u32,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: &'static str,
    /// Whether it has fallen back to TCP.
    pub fallback: bool,
    /// Payload bytes received and sent, by the connection's own count; null before Linux 6.5.
    pub bytes_received: Option<u64>,
    pub bytes_sent: Option<u64>,
    /// Bits a second, sums over the paths.
    #[serde(rename = "receive_bits_per_second")]
    pub receive_rate: Option<f64>,
    #[serde(rename = "send_bits_per_second")]
    pub send_rate: Option<f64>,
    /// Segments retransmitted, sum over the paths.
    pub retransmits: Option<u64>,
    pub paths: Vec<PathRow>,
}

/// A process that holds the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    pub pid: u32,
    pub name: String,
}

/// A path of a connection.
#[derive(Clone, Debug, Serialize)]
pub struct PathRow {
    #[serde(flatten)]
    pub report: PathReport,
    /// Used only when no other path works.
    pub backup: bool,
    pub min_rtt_ms: Option<f64>,
    pub congestion: Option<String>,
    /// Bits a second.
    #[serde(rename = "receive_bits_per_second")]
    pub receive_rate: Option<f64>,
    #[serde(rename = "send_bits_per_second")]
    pub send_rate: Option<f64>,
}

impl Board {
    /// Takes a look that was made at `now`; gives it with the rates since the one before.
    pub fn update(&mut self, look: Connections, now: Instant) -> View {
        let carried: HashMap<u64, Carried> = look
            .connections
            .iter()
            .flat_map(|connection| &connection.subflows)
            .map(|subflow| (subflow.cookie, (subflow.path.bytes_received, subflow.path.bytes_sent)))
            .collect();
        let before = self.before.replace((now, carried));
        let elapsed = before.as_ref().map(|(then, _)| now.saturating_duration_since(*then));
        let since = |subflow: &Subflow| {
            let (_, before) = before.as_ref()?;
            // A path that has come since began at nothing.
            let (received, sent) = before.get(&subflow.cookie).copied().unwrap_or((Some(0), Some(0)));
            let rate = |now: Option<u64>, then: Option<u64>| rate(now?.saturating_sub(then?), elapsed?);
            Some((rate(subflow.path.bytes_received, received), rate(subflow.path.bytes_sent, sent)))
        };
        let connections: Vec<Row> = look
            .connections
            .iter()
            .map(|connection| {
                let paths = connection.subflows.iter();
                Row::new(connection, paths.map(|s| PathRow::new(s, since(s).unwrap_or_default())).collect())
            })
            .collect();
        let held = look.connections.iter().filter(|connection| connection.inode != 0);
        let not_seen = NotSeen {
            processes: look.processes_hidden,
            connections_without_process: held.filter(|held| held.processes.is_empty()).count(),
            connections_without_paths: look.incomplete,
        };
        View { interval_seconds: elapsed.map(|elapsed| elapsed.as_secs_f64()), connections, not_seen }
    }
}

/// Bits a second.
fn rate(bytes: u64, elapsed: Duration) -> Option<f64> {
    let seconds = elapsed.as_secs_f64();
    // Fractions of a bit tell nothing.
    (seconds > 0.0).then(|| (bytes as f64 * 8.0 / seconds).round())
}

/// A sum of what is known; unknown if nothing is.
fn sum<T: std::iter::Sum<T>>(parts: impl Iterator<Item = Option<T>>) -> Option<T> {
    let known: Vec<T> = parts.flatten().collect();
    (!known.is_empty()).then(|| known.into_iter().sum())
}

impl Row {
    fn new(connection: &Connection, paths: Vec<PathRow>) -> Self {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            id: connection.cookie.to_string(),
            processes: connection.processes.iter().map(Holder::from).collect(),
            uid: connection.uid,
            local: plain(connection.local),
            remote: plain(connection.remote),
            state: connection.state.as_str(),
            fallback: connection.info.fallback,
            bytes_received: connection.info.bytes_received,
            bytes_sent: connection.info.bytes_sent,
            receive_rate: sum(paths.iter().map(|path| path.receive_rate)),
            send_rate: sum(paths.iter().map(|path| path.send_rate)),
            retransmits: sum(paths.iter().map(|path| path.report.retransmits.map(u64::from))),
            paths,
        }
    }

    /// The program's name; the user's number where nobody can be seen.
    pub fn program(&self) -> String {
        match self.processes.as_slice() {
            [] => format!("(user {})", self.uid),
            [one] => one.name.clone(),
            [first, others @ ..] => format!("{} +{}", first.name, others.len()),
        }
    }

    pub fn pid(&self) -> Option<u32> {
        self.processes.first().map(|process| process.pid)
    }

    /// The longest round trip of its paths, in milliseconds.
    pub fn rtt(&self) -> Option<f64> {
        self.paths.iter().filter_map(|path| path.report.rtt_ms).max_by(f64::total_cmp)
    }
}

impl From<&Process> for Holder {
    fn from(process: &Process) -> Self {
        Self { pid: process.pid, name: process.name.clone() }
    }
}

impl PathRow {
    pub fn new(subflow: &Subflow, (receive_rate, send_rate): (Option<f64>, Option<f64>)) -> Self {
        Self {
            report: PathReport::from(&subflow.path),
            backup: subflow.is_backup(),
            min_rtt_ms: subflow.path.min_rtt.map(|rtt| rtt.as_micros() as f64 / 1e3),
            congestion: subflow.congestion.clone(),
            receive_rate,
            send_rate,
        }
    }

    /// The state in at most six letters; `backup` if that is what it is, and all is well otherwise.
    pub fn state(&self) -> &'static str {
        match self.report.state {
            "established" if self.backup => "backup",
            "established" => "up",
            "syn-sent" | "syn-received" => "syn",
            "closed" => "closed",
            "other" => "?",
            _ => "fin",
        }
    }
}

impl View {
    /// Puts the connections in order; those that are alike stay by their ids, so that no row jumps.
    pub fn sort(&mut self, order: Order) {
        let most = |a: Option<f64>, b: Option<f64>| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0));
        let both = |row: &Row| sum([row.receive_rate, row.send_rate].into_iter());
        let bytes = |row: &Row| row.bytes_received.unwrap_or(0).saturating_add(row.bytes_sent.unwrap_or(0));
        let compare = |a: &Row, b: &Row| -> Ordering {
            match order.key {
                SortKey::Rate => most(both(a), both(b)),
                SortKey::Receive => most(a.receive_rate, b.receive_rate),
                SortKey::Send => most(a.send_rate, b.send_rate),
                SortKey::Bytes => bytes(b).cmp(&bytes(a)),
                SortKey::Rtt => most(a.rtt(), b.rtt()),
                SortKey::Retransmits => b.retransmits.cmp(&a.retransmits),
                SortKey::Paths => b.paths.len().cmp(&a.paths.len()),
                SortKey::Pid => a.pid().unwrap_or(u32::MAX).cmp(&b.pid().unwrap_or(u32::MAX)),
                SortKey::Program => a.program().cmp(&b.program()),
            }
        };
        self.connections.sort_by(|a, b| {
            let by_key = compare(a, b);
            let by_key = if order.reverse { by_key.reverse() } else { by_key };
            by_key.then_with(|| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)))
        });
    }

    /// What could not be seen, for people.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let NotSeen { processes, connections_without_process, connections_without_paths } = self.not_seen;
        if connections_without_process > 0 {
            notes.push(if processes > 0 {
                format!(
                    "{connections_without_process} of these belong to processes of other users: run as root to see them"
                )
            } else {
                format!("{connections_without_process} of these belong to processes that are not seen from here (another container)")
            });
        }
        if connections_without_paths > 0 {
            notes.push(format!(
                "this kernel shows the paths of {connections_without_paths} connections to root only"
            ));
        }
        notes
    }

    /// Sums over all connections: received, sent, in bits a second.
    pub fn rates(&self) -> (Option<f64>, Option<f64>) {
        let rows = || self.connections.iter();
        (sum(rows().map(|row| row.receive_rate)), sum(rows().map(|row| row.send_rate)))
    }

    pub fn paths(&self) -> usize {
        self.connections.iter().map(|row| row.paths.len()).sum()
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
pub mod tests;
