//! What every verb that serves shares: TLS towards the clients, the words about where it is reached, and until when it runs.

use std::{future::Future, net::SocketAddr, path::PathBuf};

use clap::Args;
use mphttp::{
    Protocol, Server,
    proxy::{IpNet, forward::range},
    tls::ServerTls,
};
use mptcp_socket::Listening;
use tokio::sync::oneshot;

use crate::{
    addresses,
    error_reporting::say,
    restart,
    seen::Seen,
    serve_signals::{Cause, Signals},
};

/// Reads a number that is not 0.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

/// TLS towards the clients.
#[derive(Args, Debug)]
pub struct TlsArgs {
    /// Speak HTTPS with the certificate chain in this PEM file. Certificate and key are read again within seconds of a
    /// change, and at SIGHUP: new connections get the new one, a pair that can't be used is refused with a warning.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Speak HTTPS with a certificate made on the spot; its fingerprint is printed.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    self_signed: bool,
}

impl TlsArgs {
    pub fn server(&self, local: SocketAddr) -> Result<Option<ServerTls>, mphttp::Error> {
        if self.self_signed {
            return ServerTls::self_signed(addresses::names(local, &addresses::of_host())).map(Some);
        }
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        ServerTls::from_pem_files(certificate, key).map(Some)
    }
}

/// Whose connections begin by saying for whom they are.
#[derive(Args, Debug)]
pub struct ProxyProtocolArgs {
    /// Believe the PROXY protocol headers (version 1 and 2) of these peers, addresses or ranges such as 10.0.0.0/8, and take
    /// none of their connections without one; may be given more than once. Others are served as without, and not believed
    /// [default: nobody is].
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = range)]
    proxy_protocol: Vec<IpNet>,
}

impl ProxyProtocolArgs {
    pub fn expected_by(&self, server: Server) -> Server {
        server.proxy_protocol(self.proxy_protocol.iter().copied())
    }
}

/// Says where a server is reached, and how.
pub fn banner(listening: &Listening, local: SocketAddr, tls: Option<&ServerTls>, seen: &Seen) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    for (url, interface) in addresses::urls(scheme, local, &addresses::of_host()) {
        match interface {
            Some(interface) => say(format_args!("  {url} ({interface})")),
            None => say(format_args!("  {url}")),
        }
    }
    if let Some(fingerprint) = tls.and_then(ServerTls::fingerprint) {
        say(format_args!("Certificate, SHA-256: {fingerprint}"));
    }
    seen.banner();
    match listening.why_tcp() {
        None if listening.protocol() == Protocol::MptcpOnly => {
            say("MPTCP is on; TCP clients are turned away.");
        }
        None => say("MPTCP is on; TCP clients are served as well."),
        Some(reason) => {
            let remedy = reason.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            say(format_args!("MPTCP is off: {}{remedy}.", reason.explain()));
        }
    }
    say("Ctrl-C stops.");
}

/// Runs what `serve` makes of the wish to stop, until Ctrl-C or SIGTERM; a second one stops at once. `replaced` is told when
/// another process serves in place of this one.
pub async fn until_signal<F>(
    mut signals: Signals,
    replaced: impl FnOnce(),
    serve: impl FnOnce(oneshot::Receiver<()>) -> F,
    quiet: bool,
) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), mphttp::Error>>,
{
    let (stop, stopped) = oneshot::channel();
    let leave = async move {
        let cause = signals.cause(quiet).await;
        if cause == Cause::Replaced {
            replaced();
        } else {
            restart::stopping();
        }
        let _ = stop.send(());
        signals.last_moment(cause, quiet).await;
    };
    tokio::select! {
        outcome = serve(stopped) => Ok(outcome?),
        () = leave => Ok(()),
    }
}
