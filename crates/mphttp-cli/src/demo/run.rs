//! The demo's three downloads: a lab, a server on one host, a client on the other.

use std::{
    io::Write,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use mphttp::{Client, Protocol, Server, files::Files};
use mptcp_socket::Listen;
use netlab::{Host, Lab, Link, LinkSpec, Rate};
use sha2::{Digest, Sha256};
use tokio::{runtime, sync::oneshot};

use super::{
    live::Live,
    record::{Cut, Run, spoken},
};
use crate::looks::Look;

/// The two links, in the order in which the client prefers them.
pub const LINKS: [&str; 2] = ["wifi", "lte"];
const PORT: u16 = 8000;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What each byte of a packet costs beyond the payload is not the server's to bear: a run that takes this much longer
/// than the links allow has hung.
const PATIENCE: u32 = 6;

/// What one run is.
struct Script {
    title: &'static str,
    protocol: Protocol,
    /// Cut the first link when half of the file is there.
    cut: bool,
}

const SCRIPTS: [Script; 3] = [
    Script { title: "TCP", protocol: Protocol::Tcp, cut: false },
    Script { title: "MPTCP", protocol: Protocol::Mptcp, cut: false },
    Script { title: "MPTCP, wifi dies half-way", protocol: Protocol::Mptcp, cut: true },
];

/// Builds the lab and runs everything.
pub fn all(bytes: u64, rate: u64, quiet: bool) -> anyhow::Result<Vec<Run>> {
    let lab = Lab::new()?;
    let (client, server) = (lab.host("client")?, lab.host("server")?);
    let mut links = Vec::new();
    for name in LINKS {
        links.push(lab.link(&client, &server, LinkSpec::new().name(name).rate(Rate::mbit(rate)))?);
    }
    let wifi = links.first().context("the lab has no link")?;
    // A kernel without MPTCP still shows its TCP, and the table says why.
    if mptcp_socket::host_support().is_ok() {
        lab.enable_multipath(&client, &server)?;
    }
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let digest = make_file(&folder.path().join("file"), bytes).context("can't write the file to download")?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = serve(&server, folder.path(), stopped)?;
    let limit =
        Duration::from_secs(5) + PATIENCE * Duration::from_secs_f64(bytes as f64 * 8.0 / (rate as f64 * 1e6));
    let mut runs = Vec::new();
    for script in SCRIPTS {
        let download = Download {
            url: url(wifi.address(&server)?),
            bytes,
            rate,
            digest: &digest,
            wifi: wifi.clone(),
            quiet,
            script: &script,
        };
        let run = client.run(|| {
            let limited = async { tokio::time::timeout(limit, download.run()).await };
            runtime()?
                .block_on(limited)
                .unwrap_or_else(|_| Err(anyhow::anyhow!("{} took too long", script.title)))
        })??;
        if script.cut {
            wifi.set_black_hole(false)?;
        }
        runs.push(run);
    }
    // The server ends by this or, if it has ended already, needs no telling.
    let _ = stop.send(());
    serving.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    Ok(runs)
}

fn runtime() -> std::io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

fn url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("http://{v4}:{PORT}/file"),
        IpAddr::V6(v6) => format!("http://[{v6}]:{PORT}/file"),
    }
}

/// A file that doesn't compress and whose every part differs, so that its digest shows any mix-up.
fn make_file(path: &Path, bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    let mut hasher = Sha256::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = bytes;
    let mut block = Vec::with_capacity(1 << 16);
    while left > 0 {
        block.clear();
        while block.len() < 1 << 16 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_ne_bytes());
        }
        block.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(block.len()));
        hasher.update(&block);
        file.write_all(&block)?;
        left -= block.len() as u64;
    }
    file.flush()?;
    Ok(hasher.finalize().to_vec())
}

type Serving = std::thread::JoinHandle<anyhow::Result<()>>;

/// Starts the server on its host and returns once it listens.
fn serve(host: &Host, folder: &Path, stopped: oneshot::Receiver<()>) -> anyhow::Result<Serving> {
    let listening = host.run(|| Listen::new(Protocol::Mptcp).bind_all(PORT))??;
    let files = Files::new(folder)?;
    Ok(host.thread(move || {
        let shutdown = async move {
            let _ = stopped.await;
        };
        let server = Server::new(listening).grace(Duration::ZERO);
        Ok(runtime()?.block_on(server.run(files, shutdown))?)
    })?)
}

struct Download<'a> {
    url: String,
    bytes: u64,
    rate: u64,
    digest: &'a [u8],
    wifi: Link,
    quiet: bool,
    script: &'a Script,
}

impl Download<'_> {
    async fn run(self) -> anyhow::Result<Run> {
        let mut live = Live::new(self.script.title, self.bytes, &LINKS, self.rate, self.quiet);
        let client = Client::builder().protocol(self.script.protocol).no_proxy().build()?;
        let start = Instant::now();
        let mut response = client.get(&self.url).send().await?.error_for_status()?;
        let watch = response.watch();
        let mut hasher = Sha256::new();
        let (mut received, mut looks, mut cut) =
            (0, vec![Look::new(Duration::ZERO, &watch.transport())], None);
        let (mut last_bytes, mut longest_gap) = (Instant::now(), Duration::ZERO);
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk?,
                _ = ticks.tick() => {
                    let look = Look::new(start.elapsed(), &watch.transport());
                    live.show(received, &look, cut.as_ref().map(|cut: &Cut| cut.link));
                    looks.push(look);
                    continue;
                }
            };
            let Some(chunk) = chunk else { break };
            longest_gap = longest_gap.max(last_bytes.elapsed());
            last_bytes = Instant::now();
            hasher.update(&chunk);
            received += chunk.len() as u64;
            if self.script.cut && cut.is_none() && received >= self.bytes / 2 {
                let wifi = self.wifi.clone();
                tokio::task::spawn_blocking(move || wifi.set_black_hole(true)).await??;
                cut = Some(Cut { link: LINKS[0], at_seconds: start.elapsed().as_secs_f64() });
            }
        }
        let elapsed = start.elapsed();
        let transport = watch.transport();
        looks.push(Look::new(elapsed, &transport));
        live.finish();
        let (protocol, why_tcp) = spoken(&transport);
        Ok(Run {
            title: self.script.title,
            protocol,
            why_tcp,
            bytes: received,
            seconds: elapsed.as_secs_f64(),
            longest_gap_seconds: longest_gap.as_secs_f64(),
            by_link: looks.last().map(|look| look.bytes.clone()).unwrap_or_default(),
            whole: received == self.bytes && hasher.finalize().as_slice() == self.digest,
            cut,
            looks,
        })
    }
}
