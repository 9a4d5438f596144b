//! One transfer of the benchmark, watched ten times a second, and cut off at its limits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mphttp::{
    Client, Protocol, Transport,
    download::{Downloaded, Paths, Progress},
};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::{
    error_reporting::Failure,
    exit::Exit,
    get::progress::{bits, size},
    looks::Look,
};

/// Between transfers.
pub const PAUSE: Duration = Duration::from_millis(200);
/// How long a connection, an answer, or more of a body may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a striped transfer is measured against its limits.
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One TCP connection, by the routes.
    Tcp,
    /// One Multipath TCP connection, whose paths the kernel makes.
    Mptcp,
    /// Ranges over a TCP connection for each link.
    Striped,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Mptcp, Self::Striped];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Mptcp => "MPTCP",
            Self::Striped => "striped",
        }
    }

    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Mptcp => Protocol::Mptcp,
            // Not MPTCP first: that would be a mixture of the two.
            Self::Tcp | Self::Striped => Protocol::Tcp,
        }
    }
}

/// Where a transfer ends, if its body doesn't before.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub time: Duration,
    pub bytes: u64,
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// A transfer that is over.
#[derive(Clone, Debug, Serialize)]
pub struct Transfer {
    pub kind: Kind,
    /// Why it failed; the figures are those until then.
    pub error: Option<String>,
    /// Bytes of the body.
    pub bytes: u64,
    /// From the start of connecting on.
    pub seconds: f64,
    /// Until the connection stood; null for striped ones that were cut off.
    pub connect_seconds: Option<f64>,
    /// Whether it was the body that ended, not a limit.
    pub whole: bool,
    /// What its connection spoke: `tcp` or `mptcp`; null of several.
    pub protocol: Option<&'static str>,
    /// Why it was TCP, where MPTCP was asked for: a stable word, a clause, and what to do about it.
    pub why_tcp: Option<&'static str>,
    pub why_tcp_text: Option<&'static str>,
    pub remedy: Option<&'static str>,
    /// By what means a download came: `single` where it could not be striped.
    pub strategy: Option<&'static str>,
    /// Bytes by interface.
    pub links: BTreeMap<String, u64>,
    /// Seconds from the start, and bytes of the body until then.
    pub samples: Vec<(f64, u64)>,
    #[serde(skip)]
    pub looks: Vec<Look>,
}

impl Transfer {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            error: None,
            bytes: 0,
            seconds: 0.0,
            connect_seconds: None,
            whole: false,
            protocol: None,
            why_tcp: None,
            why_tcp_text: None,
            remedy: None,
            strategy: None,
            links: BTreeMap::new(),
            samples: vec![(0.0, 0)],
            looks: vec![Look { at: Duration::ZERO, bytes: BTreeMap::new() }],
        }
    }

    /// One that came to nothing.
    pub fn failed(kind: Kind, error: &anyhow::Error) -> Self {
        Self { error: Some(error.to_string()), ..Self::new(kind) }
    }

    /// Mean rate over the whole of it, in Mbit/s; none if it failed.
    pub fn megabits(&self) -> Option<f64> {
        let counts = self.error.is_none() && self.seconds > 0.0;
        counts.then(|| self.bytes as f64 * 8.0 / 1e6 / self.seconds)
    }

    fn sample(&mut self, at: Duration, bytes: u64, look: Look) {
        self.samples.push((seconds(at), bytes));
        (self.bytes, self.seconds) = (bytes, seconds(at));
        self.links.clone_from(&look.bytes);
        self.looks.push(look);
    }

    fn spoke(&mut self, transport: &Transport) {
        self.protocol = Some(transport.spoken.as_str());
        if let Some(reason) = transport.reason().filter(|_| self.kind == Kind::Mptcp) {
            self.why_tcp = Some(reason.as_str());
            self.why_tcp_text = Some(reason.explain());
            self.remedy = reason.remedy();
        }
    }

    /// One line about it.
    pub fn line(&self) -> String {
        let name = self.kind.name();
        if let Some(error) = &self.error {
            return format!("{name:<8} failed: {error}");
        }
        let rate = bits(self.bytes as f64 / self.seconds.max(1e-9));
        let why = self.why_tcp_text.map(|why| format!("; TCP: {why}")).unwrap_or_default();
        format!("{name:<8} {rate:>11}  {} in {:.1} s{why}", size(self.bytes), self.seconds)
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// Makes one transfer.
pub async fn run(
    kind: Kind,
    client: &Client,
    url: &str,
    paths: &Paths,
    limits: Limits,
) -> anyhow::Result<Transfer> {
    let transfer = match kind {
        Kind::Tcp | Kind::Mptcp => connection(kind, client, url, limits).await?,
        Kind::Striped => striped(client, url, paths, limits).await?,
    };
    if transfer.bytes == 0 {
        let message = "the server's answer has no body to measure";
        return Err(Failure::new(Exit::Other, message).hint("name the URL of a large file").into());
    }
    Ok(transfer)
}

async fn connection(kind: Kind, client: &Client, url: &str, limits: Limits) -> anyhow::Result<Transfer> {
    let mut transfer = Transfer::new(kind);
    let start = Instant::now();
    let mut response = client.get(url).send().await?.error_for_status()?;
    let watch = response.watch();
    transfer.connect_seconds = Some(seconds(response.connect_time()));
    let end = sleep_until((Instant::now() + limits.time).into());
    tokio::pin!(end);
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bytes = 0;
    while bytes < limits.bytes {
        tokio::select! {
            // A body that never pauses must not keep the clock from being read.
            biased;
            () = &mut end => break,
            _ = ticks.tick() => {
                let at = start.elapsed();
                transfer.sample(at, bytes, Look::new(at, &watch.transport()));
            }
            piece = response.chunk() => {
                let Some(piece) = piece? else {
                    transfer.whole = true;
                    break;
                };
                bytes += piece.len() as u64;
            }
        }
    }
    let (at, transport) = (start.elapsed(), watch.transport());
    transfer.sample(at, bytes, Look::new(at, &transport));
    transfer.spoke(&transport);
    Ok(transfer)
}

async fn striped(client: &Client, url: &str, paths: &Paths, limits: Limits) -> anyhow::Result<Transfer> {
    let start = Instant::now();
    let seen = Arc::new(Mutex::new(Transfer::new(Kind::Striped)));
    let look = Arc::clone(&seen);
    let lock =
        |transfer: &Arc<Mutex<Transfer>>| transfer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let download = client
        .download(url)
        .paths(paths.clone())
        // A link that fails is part of the picture, a server that fails is not.
        .retry_for(PATIENCE)
        .progress(move |progress: &Progress| {
            let at = start.elapsed();
            let mut transfer = look.lock().unwrap_or_else(PoisonError::into_inner);
            transfer.strategy = Some(progress.strategy.as_str());
            transfer.sample(at, progress.bytes, Look::of_links(at, &progress.links));
        });
    let over = async {
        let mut ticks = interval(CHECK_EVERY);
        let mut answered = None;
        loop {
            ticks.tick().await;
            let bytes = seen.lock().unwrap_or_else(PoisonError::into_inner).bytes;
            if bytes > 0 {
                answered.get_or_insert_with(Instant::now);
            }
            if bytes >= limits.bytes || answered.is_some_and(|at| at.elapsed() >= limits.time) {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = over => Ok(lock(&seen)),
        done = download.discard() => {
            let done = done?;
            let mut transfer = lock(&seen);
            finish(&mut transfer, &done);
            Ok(transfer)
        }
    }
}

fn finish(transfer: &mut Transfer, done: &Downloaded) {
    transfer.whole = true;
    transfer.connect_seconds = Some(seconds(done.connect_time));
    transfer.strategy = Some(done.strategy.as_str());
    transfer.sample(done.elapsed, done.bytes, Look::of_links(done.elapsed, &done.links));
}
