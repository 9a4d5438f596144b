//! Keeps the certificate of a running server as its files are: read again at SIGHUP, and when they change.

use std::time::Duration;

use anyhow::Context;
use mphttp::tls::ServerTls;

/// How often the files are looked at. A change is taken at the second look that finds it.
const LOOK: Duration = Duration::from_secs(2);

/// From now on, in the runtime that this is called in. A certificate that came from no files leaves SIGHUP what it is: the
/// end of a program that doesn't expect it.
pub fn keep_fresh(tls: Option<ServerTls>) -> anyhow::Result<()> {
    let Some(tls) = tls.filter(ServerTls::has_files) else { return Ok(()) };
    let mut hangups = Hangups::new().context("can't watch for signals")?;
    tokio::spawn(async move {
        loop {
            let asked = tokio::select! {
                () = hangups.next() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let read = tls.clone();
            // The files may be on a network drive that hangs.
            let outcome =
                tokio::task::spawn_blocking(
                    move || {
                        if asked { read.reload() } else { read.reload_if_changed() }
                    },
                )
                .await;
            match outcome {
                Ok(Ok(true)) => {
                    let fingerprint = tls.fingerprint().unwrap_or_default();
                    tracing::info!(%fingerprint, "new connections get another certificate");
                }
                Ok(Ok(false)) if asked => tracing::info!("SIGHUP: the certificate is the one it was"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the certificate is not replaced; mend its files, the old one is used meanwhile");
                }
                Err(error) => tracing::warn!(%error, "the certificate's files were not read"),
            }
        }
    });
    Ok(())
}

#[cfg(unix)]
struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    fn new() -> std::io::Result<Self> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Self)
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}
