//! The reverse proxy at the command line.

use std::{convert::Infallible, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use http::{Request, Response};
use mphttp::{
    Server,
    proxy::{HostHeader, IpNet, ReverseProxy, forward::range},
    server::{RequestBody, service_fn},
    tls::ClientTls,
};

use super::{ProxyArgs, listen::Place};
use crate::{
    access_log::{AccessLog, Logged},
    error_reporting::{Failure, say},
    exit::Exit,
    get::seconds,
    listening,
    serve_signals::Signals,
};

const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(300);
const PORT: Place = Place::Port(8080);

/// Options of the reverse proxy.
#[derive(Args, Debug)]
#[command(next_help_heading = "In front of servers")]
pub struct ReverseArgs {
    /// Hand requests on to this server: http://HOST[:PORT] or https://. Give it more than once for several: each request
    /// goes to the one with the fewest in flight.
    #[arg(long, value_name = "URL", required_unless_present = "forward", conflicts_with = "forward")]
    to: Vec<String>,
    /// Speak HTTP/2 with the servers without asking, as gRPC over http:// wants it [default: where TLS agrees on it].
    #[arg(long, conflicts_with = "forward")]
    to_http2: bool,
    /// Trust the certificates in this PEM file as well as the system's, for https:// servers.
    #[arg(long, value_name = "FILE", conflicts_with = "forward")]
    cacert: Option<PathBuf>,
    /// Accept any certificate of https:// servers. Whoever is on the way can then read and change everything.
    #[arg(long, conflicts_with = "forward")]
    insecure: bool,
    /// Whose name the servers are asked by: the one that the client used, or that of --to.
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t = Whose::Client, conflicts_with = "forward")]
    host_header: Whose,
    /// Believe these peers, addresses or ranges such as 10.0.0.0/8, where they say a request came from (Forwarded,
    /// X-Forwarded-For and the like) [default: nobody; what clients say is replaced].
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = range, conflicts_with = "forward")]
    trust_forwarded: Vec<IpNet>,
    /// Begin connections to the servers with a PROXY protocol header (version 2) that names the client. They must expect it.
    /// Each request then has a connection of its own.
    #[arg(long, conflicts_with = "forward")]
    send_proxy_protocol: bool,
    /// Ask each server for this path again and again; one that doesn't answer 2xx or 3xx gets no requests until it does.
    #[arg(long, value_name = "PATH", conflicts_with = "forward")]
    health: Option<String>,
    /// Seconds between two health checks.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5", requires = "health")]
    health_interval: Duration,
    /// The limit for the head of a server's answer, in seconds after the request.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60", conflicts_with = "forward")]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    Client,
    Upstream,
}

/// Hands requests on until Ctrl-C or SIGTERM.
pub fn run(args: ProxyArgs) -> anyhow::Result<()> {
    let proxy = args.reverse.proxy(&args)?;
    let front = args.front(args.listen.unwrap_or(PORT), |listening, seat| {
        say(format_args!("Handing requests on to {}", args.reverse.to.join(", ")));
        listening::banner(listening, seat.local, seat.tls, seat.seen);
    })?;
    let idle = args.idle();
    front.run(|server, log| serve(server.write_timeout(idle), proxy, log, args.quiet))
}

async fn serve(
    server: Server,
    proxy: ReverseProxy,
    log: Option<AccessLog>,
    quiet: bool,
) -> anyhow::Result<()> {
    let signals = Signals::new().context("can't watch for signals")?;
    let checked = proxy.clone();
    tokio::spawn(async move { checked.check_health().await });
    let service =
        service_fn(move |request: Request<RequestBody>| answer(proxy.clone(), log.clone(), request));
    listening::until_signal(
        signals,
        || (),
        |stopped| server.run(service, async { drop(stopped.await) }),
        quiet,
    )
    .await
}

async fn answer(
    proxy: ReverseProxy,
    log: Option<AccessLog>,
    request: Request<RequestBody>,
) -> Result<Response<Logged>, Infallible> {
    let pending = log.as_ref().map(|log| log.begin(&request));
    let response = proxy.respond(request).await;
    let status = response.status();
    Ok(response.map(|body| Logged::new(body, status, pending)))
}

impl ProxyArgs {
    fn idle(&self) -> Duration {
        self.idle_timeout.unwrap_or(IDLE)
    }
}

impl ReverseArgs {
    fn proxy(&self, args: &ProxyArgs) -> anyhow::Result<ReverseProxy> {
        let protocol = args.to_protocol()?;
        let mut tls = ClientTls::new().danger_accept_invalid_certs(self.insecure);
        if let Some(path) = &self.cacert {
            let failed = || Failure::new(Exit::CaCertificate, format!("can't use {}", path.display()));
            let pem = std::fs::read(path).with_context(failed)?;
            tls = tls.add_root_certificate_pem(&pem).with_context(failed)?;
        }
        let host = match self.host_header {
            Whose::Client => HostHeader::Client,
            Whose::Upstream => HostHeader::Upstream,
        };
        let mut builder = ReverseProxy::builder(protocol)
            .tls(tls)
            .http2_prior_knowledge(self.to_http2)
            .send_proxy_protocol(self.send_proxy_protocol)
            .host_header(host)
            .trust_forwarded(self.trust_forwarded.iter().copied())
            .connect_timeout(args.connect_timeout.unwrap_or(CONNECT))
            .head_timeout(self.timeout)
            .idle_timeout(args.idle());
        for url in &self.to {
            builder = builder.to(url);
        }
        if let Some(path) = &self.health {
            builder = builder.health(path, self.health_interval);
        }
        Ok(builder.build()?)
    }
}
