//! The transfer over all paths, and a request through each interface alone.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::header::VIA;
use mptcp_paths::doctor::{Counters, Facts, Outcome, PathShare, Probe, Trial};
use mptcp_socket::{Memory, Protocol, Spoken, Transport};
use url::Url;

use super::{Doctor, outcome};
use crate::{Client, Error, Phase, Response, client::ClientBuilder, report::plain};

/// For how long to wait for a connection, and for bytes: long enough for a satellite link with losses.
const PATIENCE: Duration = Duration::from_secs(4);
/// A short body is asked for again, so often and for so long, until a second path has carried bytes.
const MOST_REQUESTS: u32 = 20;
const REPEAT_FOR: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);
/// Enough to see whether options survive the handshake.
const PROBE_BYTES: u64 = 64 << 10;
/// How often to look at what the paths have carried, and up to how many bytes at every piece.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_CLOSELY: u64 = 1 << 20;
/// More interfaces than MPTCP has places for endpoints needn't be tried.
const MOST_PROBES: usize = 8;

/// Adds to the evidence what the way to a URL shows.
pub(super) async fn try_out(doctor: &Doctor, url: &str, facts: &mut Facts) -> Result<(), Error> {
    let settings = || {
        let client = doctor.client.clone().protocol(Protocol::Mptcp).decompression(false);
        // What was remembered of this destination may not be so any more.
        client.memory(Memory::default()).connect_timeout(PATIENCE).read_timeout(PATIENCE)
    };
    let client = settings().build()?;
    let before = Counters::read().unwrap_or_default();
    let mut trial = Trial { server: authority(url), proxy: client.proxy_of(url)?, ..Trial::default() };
    let end = transfer(doctor, &client, url, &mut trial).await?;
    // A connection that is kept would go on to be counted.
    drop(client);
    trial.counters = Counters::read().unwrap_or_default().since(&before);
    let (direct, remote) = (trial.proxy.is_none(), trial.remote);
    facts.trial = Some(trial);
    if !direct {
        return Ok(());
    }
    let names = facts.interfaces_to_probe();
    let mut probes = Vec::new();
    // A single way was tried already.
    for name in names.into_iter().take(MOST_PROBES).filter(|_| facts.interfaces_to_probe().len() > 1) {
        let client = settings().interface(&name).no_proxy().redirect_limit(0).pool_max_idle_per_host(0);
        probes.push(probe(name, client, end.as_ref(), url, remote).await);
    }
    if let Some(trial) = &mut facts.trial {
        trial.probes = probes;
    }
    Ok(())
}

/// Host and port of a URL, for people.
fn authority(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| url.to_owned(),
        |url| url.authority().rsplit('@').next().unwrap_or_default().to_owned(),
    )
}

/// Fetches the URL until there has been enough; gives the URL that answered, after redirects.
async fn transfer(
    doctor: &Doctor,
    client: &Client,
    url: &str,
    trial: &mut Trial,
) -> Result<Option<Url>, Error> {
    let (mut answered, mut start) = (None, None);
    for count in 1..=MOST_REQUESTS {
        let response = match client.get(url).send().await {
            Ok(response) => response,
            Err(error) => {
                // Once there was an answer, the connection is what is looked at.
                if answered.is_none() || matches!(error, Error::FellBack { .. }) {
                    trial.outcome = Some(failure(error)?);
                }
                break;
            }
        };
        let start = *start.get_or_insert_with(Instant::now);
        trial.server = response.url().authority().to_owned();
        trial.remote = response.connection().remote().map(plain);
        trial.via =
            response.headers().get(VIA).map(|via| String::from_utf8_lossy(via.as_bytes()).into_owned());
        answered = Some(response.url().clone());
        let (left_bytes, left_time) =
            (doctor.most_bytes.saturating_sub(trial.bytes), doctor.most_time.saturating_sub(start.elapsed()));
        let read = read(response, left_bytes, left_time).await;
        trial.bytes += read.bytes;
        trial.elapsed = start.elapsed();
        trial.outcome = if read.fell_back { Some(Outcome::FellBack) } else { outcome(read.spoken) };
        trial.paths = read.paths;
        let is_mptcp = trial.outcome == Some(Outcome::Mptcp);
        let enough = trial.bytes >= doctor.most_bytes || trial.elapsed >= doctor.most_time.min(REPEAT_FOR);
        if !is_mptcp || !read.whole || enough || trial.used_interfaces().len() > 1 || count == MOST_REQUESTS {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(answered)
}

/// What reading a body came to.
struct Read {
    bytes: u64,
    whole: bool,
    fell_back: bool,
    spoken: Spoken,
    paths: Vec<PathShare>,
}

async fn read(mut response: Response, most_bytes: u64, most_time: Duration) -> Read {
    let watch = response.watch();
    let (mut bytes, mut whole, mut fell_back) = (0, false, false);
    let (mut seen, mut looked) = (shares(&watch.transport()), Instant::now());
    let reading = async {
        while bytes < most_bytes {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    // The kernel forgets what paths have carried when the server closes the connection after the body.
                    if bytes < LOOK_CLOSELY || looked.elapsed() >= LOOK_EVERY {
                        (seen, looked) = (shares(&watch.transport()), Instant::now());
                    }
                    bytes += piece.len() as u64;
                }
                Ok(None) => {
                    whole = true;
                    break;
                }
                Err(error) => {
                    fell_back = matches!(error, Error::FellBack { .. });
                    break;
                }
            }
        }
    };
    // Time that is over is no failure: enough was seen.
    let _ = tokio::time::timeout(most_time, reading).await;
    let transport = watch.transport();
    let last = shares(&transport);
    let sum = |paths: &[PathShare]| paths.iter().map(|path| path.received).sum::<u64>();
    let paths = if sum(&last) < sum(&seen) { seen } else { last };
    Read { bytes, whole, fell_back, spoken: transport.spoken, paths }
}

/// What each path has carried, those that are gone included.
fn shares(transport: &Transport) -> Vec<PathShare> {
    let paths = transport.paths.iter().chain(&transport.gone);
    // One that has been taken down stays listed for a while, without its ports and figures.
    paths
        .filter(|path| path.remote.is_none_or(|remote| remote.port() != 0))
        .map(|path| PathShare {
            interface: path.interface.clone(),
            local: path.local.map(|local| plain(local).ip()),
            remote: path.remote.map(plain),
            received: path.bytes_received.unwrap_or(0),
            sent: path.bytes_sent.unwrap_or(0),
        })
        .collect()
}

/// What a request that failed says of the way; an error where it says nothing.
fn failure(error: Error) -> Result<Outcome, Error> {
    match error {
        Error::FellBack { .. } => Ok(Outcome::FellBack),
        Error::Connect { .. } | Error::Timeout { phase: Phase::Connect, .. } => {
            Ok(Outcome::NoConnection(error.to_string()))
        }
        // The server is there, and slow or rude.
        Error::Timeout { .. } | Error::NoAnswer { .. } | Error::Broken { .. } => {
            Ok(Outcome::Failed(error.to_string()))
        }
        other => Err(other),
    }
}

/// One request through an interface: to the address that answered the transfer, if any did.
async fn probe(
    name: String,
    client: ClientBuilder,
    answered: Option<&Url>,
    url: &str,
    remote: Option<SocketAddr>,
) -> Probe {
    let before = Counters::read().unwrap_or_default();
    let client = match (answered.and_then(Url::host_str), remote) {
        (Some(host), Some(remote)) => client.resolve_port(host, remote.port(), [remote]),
        _ => client,
    };
    let url = answered.map_or(url, Url::as_str);
    let sent = async { client.build()?.get(url).send().await };
    let outcome = match sent.await {
        Ok(response) => {
            let read = read(response, PROBE_BYTES, PATIENCE).await;
            if read.fell_back { Some(Outcome::FellBack) } else { outcome(read.spoken) }
        }
        // Whatever it is, it is this way's: a login page's certificate must not hide what was found elsewhere.
        Err(error) => Some(failure(error).unwrap_or_else(|error| Outcome::Failed(error.to_string()))),
    };
    let counters = Counters::read().unwrap_or_default().since(&before);
    // A kernel that can't tell is taken for one whose connection is what it set out to be.
    Probe { interface: name, outcome: outcome.unwrap_or(Outcome::Mptcp), counters }
}
