//! What a server lets its operator see: the access log, metrics for Prometheus, and a status page. One set of options for
//! every verb that serves.

mod pages;
mod report;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use mphttp::{Protocol, Server};
use mptcp_socket::Listen;
use tokio::task::AbortHandle;

use crate::{
    access_log::{AccessLog, Format},
    error_reporting::{Failure, say},
    exit::Exit,
    restart,
};
use pages::{Access, Pages};

/// What is seen of a server, and by whom.
#[derive(Args, Debug)]
#[command(next_help_heading = "Seeing what it does")]
pub struct SeenArgs {
    /// What a line of the access log looks like.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    access_log: Format,
    /// Append the access log to this file, in place of stdout. SIGHUP has it opened anew, for logrotate.
    #[arg(long, value_name = "FILE")]
    access_log_file: Option<PathBuf>,
    /// Serve metrics for Prometheus at http://ADDR/metrics, on a port of their own: PORT, which is then for this host alone,
    /// or ADDRESS:PORT.
    #[arg(long, value_name = "ADDR", value_parser = place)]
    metrics: Option<SocketAddr>,
    /// Serve a status page for people at http://ADDR/, and its figures at /status.json: PORT, which is then for this host
    /// alone, or ADDRESS:PORT; the same as that of --metrics will do. It tells who is connected: an address that others can
    /// reach needs --status-token-file or --status-public.
    #[arg(long, value_name = "ADDR", value_parser = place)]
    status: Option<SocketAddr>,
    /// Show the status page to whoever can reach its address.
    #[arg(long, requires = "status", conflicts_with = "status_token_file")]
    status_public: bool,
    /// Show the status page to those who know the first line of this file: the password that a browser asks for, with any
    /// name, or a bearer token.
    #[arg(long, value_name = "FILE", requires = "status")]
    status_token_file: Option<PathBuf>,
}

/// Reads `PORT`, `:PORT` or `ADDRESS:PORT`.
fn place(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse()
        .map_err(|_| "give a port, or an address and a port: 9464, 127.0.0.1:9464, [::1]:9464".to_owned())
}

/// The options made real: a log that is open, listeners that are bound.
pub struct Seen {
    log: Option<AccessLog>,
    pages: Vec<(Server, Pages)>,
    shown: Vec<AbortHandle>,
}

impl SeenArgs {
    /// Opens and binds what was asked for.
    ///
    /// # Errors
    /// The file can't be opened, an address can't be bound, or it would show to others what is not meant for them.
    pub fn prepare(&self) -> anyhow::Result<Seen> {
        let log = match &self.access_log_file {
            None => AccessLog::to_stdout(self.access_log),
            Some(path) => AccessLog::to_file(self.access_log, path.clone()).with_context(|| {
                Failure::new(Exit::Write, format!("can't open the access log {}", path.display()))
                    .hint("name a file in a directory that exists and that you may write to")
            })?,
        };
        let mut seen = Seen { log, pages: Vec::new(), shown: Vec::new() };
        let access = self.access()?;
        if let Some(address) = self.status {
            let pages = Pages { status: Some(access), metrics: self.metrics == Some(address) };
            seen.listen(address, pages)?;
        }
        if let Some(address) = self.metrics.filter(|_| self.metrics != self.status) {
            seen.listen(address, Pages { status: None, metrics: true })?;
        }
        Ok(seen)
    }

    fn access(&self) -> anyhow::Result<Access> {
        if let Some(path) = &self.status_token_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| Failure::new(Exit::Read, format!("can't read {}", path.display())))?;
            let token = text.lines().next().unwrap_or_default().trim();
            if token.len() < 16 {
                let short =
                    Failure::new(Exit::Usage, format!("the token in {} is too short", path.display()));
                return Err(short.hint("make one that nobody guesses: openssl rand -hex 16").into());
            }
            return Ok(Access::Token(token.to_owned()));
        }
        match self.status.filter(|address| !is_loopback(address.ip())) {
            Some(address) if !self.status_public => Err(Failure::new(
                Exit::Usage,
                format!("{address} can be reached from other hosts, and the status page tells who is connected"),
            )
            .hint(
                "listen on 127.0.0.1 and look through ssh -L; or give --status-token-file FILE; or say --status-public",
            )
            .into()),
            Some(_) => Ok(Access::Public),
            None => Ok(Access::Here),
        }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

impl Seen {
    fn listen(&mut self, address: SocketAddr, pages: Pages) -> anyhow::Result<()> {
        let fits = |other: SocketAddr| other == address || (address.port(), address.ip()) == (0, other.ip());
        // A name for each address, so that a restart with others binds anew.
        let listening = restart::listening(&format!("seen at {address}"), fits, || {
            Listen::new(Protocol::Tcp).bind(address)
        })?;
        self.pages.push((Server::new(listening).max_connections(64), pages));
        Ok(())
    }

    /// The access log, unless there is none.
    pub fn log(&self) -> Option<AccessLog> {
        self.log.clone()
    }

    /// Has the server tell what is to be seen.
    pub fn attach(&self, server: Server) -> Server {
        let server = match self.log() {
            Some(log) => server.on_refused(move |refused| log.refused(refused)),
            None => server,
        };
        let wanted = !self.pages.is_empty();
        server.track_connections(wanted)
    }

    /// Says where there is something to see.
    pub fn banner(&self) {
        for (server, pages) in &self.pages {
            let Ok(address) = server.local_addr() else { continue };
            if let Some(access) = &pages.status {
                say(format_args!("Status page, {access}: http://{address}/"));
            }
            if pages.metrics {
                say(format_args!("Metrics: http://{address}/metrics"));
            }
        }
    }

    /// Shows the figures of `server`, from now until the runtime ends. To be called in a runtime.
    ///
    /// # Errors
    /// Signals can't be watched for.
    pub fn start(&mut self, server: &Server) -> anyhow::Result<()> {
        if let Some(log) = self.log() {
            reopen_on_hangup(log)?;
        }
        let figures = Arc::new(report::Figures::new(server, self.log()));
        for (server, pages) in self.pages.drain(..) {
            let (pages, figures) = (Arc::new(pages), Arc::clone(&figures));
            let shown = tokio::spawn(async move {
                if let Err(error) = pages::run(server, pages, figures).await {
                    tracing::error!(%error, "metrics and status page are no longer served");
                }
            });
            self.shown.push(shown.abort_handle());
        }
        Ok(())
    }

    /// Shows nothing any more: another process does.
    pub fn stop(&self) {
        self.shown.iter().for_each(AbortHandle::abort);
    }

    /// Writes what is not written yet.
    pub fn close(&self) {
        if let Some(log) = &self.log {
            log.close();
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "for this host alone",
            Self::Public => "for whoever can reach it",
            Self::Token(_) => "for whoever has the token",
        })
    }
}

/// SIGHUP ends a program that doesn't expect it: with a log on stdout it stays so.
#[cfg(unix)]
fn reopen_on_hangup(log: AccessLog) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    if log.is_file() {
        let mut hangups = signal(SignalKind::hangup()).context("can't watch for signals")?;
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                tracing::info!("SIGHUP: opening the access log anew");
                log.reopen();
            }
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn reopen_on_hangup(_: AccessLog) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_for_this_host() {
        for text in ["9464", ":9464", "127.0.0.1:9464"] {
            assert_eq!(place(text), Ok("127.0.0.1:9464".parse().unwrap()), "{text}");
        }
        assert_eq!(place("[::]:1"), Ok("[::]:1".parse().unwrap()));
        assert!(place("localhost:1").is_err() && place("70000").is_err());
    }

    #[test]
    fn mapped_loopback_is_loopback() {
        assert!(is_loopback("::ffff:127.0.0.1".parse().unwrap()) && is_loopback("::1".parse().unwrap()));
        assert!(!is_loopback("0.0.0.0".parse().unwrap()) && !is_loopback("::".parse().unwrap()));
    }
}
