//! Many requests from several workers with mphttp's client: our side of the requests-per-second bench, in a process of
//! its own like the peer's, with the same output.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use mphttp::{Client, Protocol};
use serde::{Deserialize, Serialize};

/// What to send.
#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    url: String,
    #[arg(long)]
    protocol: Protocol,
    #[arg(long)]
    requests: u64,
    #[arg(long)]
    workers: usize,
    /// A new connection for every request
    #[arg(long)]
    no_reuse: bool,
}

/// What came of it; the Go program prints the same.
#[derive(Serialize, Deserialize)]
pub struct Outcome {
    pub requests: u64,
    pub failed: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub protocol: String,
}

/// Sends the requests and prints the [`Outcome`] as JSON.
///
/// # Errors
/// When there is no client or no runtime; failed requests are counted instead.
pub fn run(args: &Args) -> Result<()> {
    let client = Client::builder()
        .protocol(args.protocol)
        .no_proxy()
        .decompression(false)
        .pool_max_idle_per_host(args.workers)
        .build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(load(client, args))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn load(client: Client, args: &Args) -> Result<Outcome> {
    let (begun_requests, failed, bytes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let counts = Arc::new((begun_requests, failed, bytes, AtomicBool::new(true)));
    let begun = Instant::now();
    let workers: Vec<_> = (0..args.workers)
        .map(|_| {
            let (client, counts, url) = (client.clone(), Arc::clone(&counts), args.url.clone());
            let (requests, reuse) = (args.requests, !args.no_reuse);
            tokio::spawn(async move {
                let (begun_requests, failed, bytes, mptcp) = &*counts;
                while begun_requests.fetch_add(1, Ordering::Relaxed) < requests {
                    match fetch(&client, &url, reuse).await {
                        Ok((count, speaks_mptcp)) => {
                            bytes.fetch_add(count, Ordering::Relaxed);
                            mptcp.fetch_and(speaks_mptcp, Ordering::Relaxed);
                        }
                        Err(error) => {
                            if failed.fetch_add(1, Ordering::Relaxed) == 0 {
                                eprintln!("{error:#}");
                            }
                        }
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.context("a worker panicked")?;
    }
    let (_, failed, bytes, mptcp) = &*counts;
    Ok(Outcome {
        requests: args.requests,
        failed: failed.load(Ordering::Relaxed),
        bytes: bytes.load(Ordering::Relaxed),
        seconds: begun.elapsed().as_secs_f64(),
        protocol: if mptcp.load(Ordering::Relaxed) { "mptcp" } else { "tcp" }.to_string(),
    })
}

/// The number of bytes in the answer, and whether its connection spoke MPTCP.
async fn fetch(client: &Client, url: &str, reuse: bool) -> Result<(u64, bool)> {
    let mut request = client.get(url);
    if !reuse {
        request = request.header("connection", "close");
    }
    let response = request.send().await?.error_for_status()?;
    let watch = response.watch();
    let body = response.bytes().await?;
    Ok((body.len() as u64, watch.spoken().is_mptcp()))
}
