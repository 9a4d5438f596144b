//! The figures that an operator sees, as JSON for the status page and as Prometheus wants them.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mphttp::{
    Server,
    metrics::{self, Kind, Text},
    report::{PathReport, TransportReport},
    server::{OpenConnection, PathCounts, Role, Sample, SpokenCounts, Stats},
};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::access_log::AccessLog;

/// How old figures may be that are shown: any number of askers costs two looks a second.
const FRESH: Duration = Duration::from_millis(500);
/// How many connections a report lists: a page with more is of no use to anybody.
const LISTED: usize = 500;

/// Where the figures come from.
#[derive(Debug)]
pub struct Figures {
    stats: Stats,
    log: Option<AccessLog>,
    address: Option<SocketAddr>,
    protocol: &'static str,
    why_tcp: Option<&'static str>,
    begun: Instant,
    latest: Mutex<Option<Seen>>,
}

/// One look.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    time: SystemTime,
    sample: Arc<Sample>,
}

impl Figures {
    /// Those of a server, and of its log.
    pub fn new(server: &Server, log: Option<AccessLog>) -> Self {
        let listening = server.listening();
        let why_tcp = listening.why_tcp();
        Self {
            stats: server.stats(),
            log,
            address: server.local_addr().ok(),
            protocol: if why_tcp.is_some() { "tcp" } else { listening.protocol().as_str() },
            why_tcp: why_tcp.map(|reason| reason.as_str()),
            begun: Instant::now(),
            latest: Mutex::new(None),
        }
    }

    async fn look(self: Arc<Self>) -> Seen {
        // Held while looking: who asks meanwhile gets what is found.
        let mut latest = self.latest.lock().await;
        if let Some(seen) = latest.as_ref().filter(|seen| seen.at.elapsed() < FRESH) {
            return seen.clone();
        }
        let stats = self.stats.clone();
        // Some microseconds for each connection: nothing for a thread that others wait for.
        let looked = tokio::task::spawn_blocking(move || Seen {
            sample: Arc::new(stats.sample()),
            at: Instant::now(),
            time: SystemTime::now(),
        });
        match looked.await {
            Ok(seen) => latest.insert(seen).clone(),
            // The runtime is about to end.
            Err(_) => Seen {
                at: Instant::now(),
                time: SystemTime::now(),
                sample: Arc::new(Stats::default().sample()),
            },
        }
    }

    /// The text for Prometheus.
    pub async fn metrics(self: Arc<Self>) -> String {
        let seen = Arc::clone(&self).look().await;
        let mut text = Text::new();
        metrics::server(&mut text, &seen.sample);
        if let Some(log) = &self.log {
            let help =
                "Lines of the access log that were lost: the disk or reader was too slow, or took no more.";
            text.single("mphttp_access_log_lines_lost_total", Kind::Counter, help, log.lost());
        }
        metrics::process(&mut text);
        text.into_string()
    }

    /// The object for the status page.
    ///
    /// # Errors
    /// None that is known: what is told can be written as JSON.
    pub async fn json(self: Arc<Self>) -> Result<Vec<u8>, serde_json::Error> {
        let seen = Arc::clone(&self).look().await;
        let sample = &*seen.sample;
        let counts = &sample.counts;
        let spoke = |mptcp: bool| {
            let of_kind = sample.spoken.iter().filter(|counts| counts.spoken.is_mptcp() == mptcp);
            of_kind.fold((0, 0), |(total, open), counts| (total + counts.total, open + counts.open))
        };
        // The newest are what people look for.
        let listed = sample.connections.iter().rev().take(LISTED);
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            time_ms: milliseconds(seen.time),
            uptime_seconds: self.begun.elapsed().as_secs(),
            address: self.address,
            protocol: self.protocol,
            why_tcp: self.why_tcp,
            totals: Totals {
                accepted: counts.accepted,
                mptcp: spoke(true).0,
                tcp: spoke(false).0,
                open_mptcp: spoke(true).1,
                open_tcp: spoke(false).1,
                fallbacks: sample.fallbacks,
                requests: counts.requests,
                in_flight: sample.in_flight(),
                malformed: counts.malformed,
                refused_tcp: counts.refused_tcp,
                tls_failures: counts.tls_failed,
                accept_errors: counts.accept_errors,
                log_lines_lost: self.log.as_ref().map_or(0, AccessLog::lost),
            },
            reasons: sample.spoken.iter().filter(|counts| counts.total > 0).map(Reason::from).collect(),
            paths: sample.paths.iter().filter(|counts| counts.total > 0).map(Paths::from).collect(),
            connections_left_out: sample.connections.len().saturating_sub(LISTED),
            connections: listed.map(Connection::from).collect(),
        };
        serde_json::to_vec(&report)
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    /// When the figures were read, in milliseconds since 1970.
    time_ms: u64,
    uptime_seconds: u64,
    address: Option<SocketAddr>,
    protocol: &'static str,
    why_tcp: Option<&'static str>,
    totals: Totals,
    reasons: Vec<Reason>,
    paths: Vec<Paths>,
    connections_left_out: usize,
    /// The newest first.
    connections: Vec<Connection>,
}

#[derive(Serialize)]
struct Totals {
    accepted: u64,
    mptcp: u64,
    tcp: u64,
    open_mptcp: u64,
    open_tcp: u64,
    fallbacks: u64,
    requests: u64,
    in_flight: u64,
    malformed: u64,
    refused_tcp: u64,
    tls_failures: u64,
    accept_errors: u64,
    log_lines_lost: u64,
}

#[derive(Serialize)]
struct Reason {
    protocol: &'static str,
    why_tcp: Option<&'static str>,
    why_tcp_text: Option<&'static str>,
    total: u64,
    open: u64,
}

impl From<&SpokenCounts> for Reason {
    fn from(counts: &SpokenCounts) -> Self {
        let reason = counts.spoken.reason();
        Self {
            protocol: counts.spoken.as_str(),
            why_tcp: reason.map(|reason| reason.as_str()),
            why_tcp_text: reason.map(|reason| reason.explain()),
            total: counts.total,
            open: counts.open,
        }
    }
}

#[derive(Serialize)]
struct Paths {
    protocol: &'static str,
    role: &'static str,
    bytes_sent: u64,
    bytes_received: u64,
    retransmits: u64,
    total: u64,
    open: u64,
}

impl From<&PathCounts> for Paths {
    fn from(counts: &PathCounts) -> Self {
        Self {
            protocol: if counts.mptcp { "mptcp" } else { "tcp" },
            role: counts.role.map_or("", Role::as_str),
            bytes_sent: counts.bytes_sent,
            bytes_received: counts.bytes_received,
            retransmits: counts.retransmits,
            total: counts.total,
            open: counts.open,
        }
    }
}

#[derive(Serialize)]
struct Connection {
    id: u64,
    client: SocketAddr,
    local: SocketAddr,
    tls: bool,
    age_seconds: f64,
    requests: u64,
    protocol: &'static str,
    why_tcp: Option<&'static str>,
    why_tcp_text: Option<&'static str>,
    paths_total: u32,
    paths: Vec<Path>,
}

#[derive(Serialize)]
struct Path {
    /// Null for one that has gone.
    role: Option<&'static str>,
    /// Payload bytes sent that have arrived: what the path is worth, where those sent include what was sent again.
    bytes_acked: Option<u64>,
    #[serde(flatten)]
    path: PathReport,
}

impl From<&OpenConnection> for Connection {
    fn from(connection: &OpenConnection) -> Self {
        let TransportReport { protocol, why_tcp, why_tcp_text, paths, paths_total, .. } =
            TransportReport::from(&connection.transport);
        let roles = connection.roles.iter().map(|role| Some(role.as_str())).chain(std::iter::repeat(None));
        let all = connection.transport.paths.iter().chain(&connection.transport.gone);
        let acked = all.map(|path| path.bytes_acked);
        let paths = paths.into_iter().zip(roles).zip(acked);
        Self {
            id: connection.id,
            client: connection.peer.remote,
            local: connection.peer.local,
            tls: connection.peer.tls,
            age_seconds: (connection.age.as_secs_f64() * 1e3).round() / 1e3,
            requests: connection.requests,
            protocol,
            why_tcp,
            why_tcp_text,
            paths_total,
            paths: paths.map(|((path, role), bytes_acked)| Path { role, bytes_acked, path }).collect(),
        }
    }
}
