//! The reverse proxy at the command line.

use std::{convert::Infallible, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use http::{Request, Response};
use mphttp::{
    Protocol, Server,
    proxy::{HostHeader, IpNet, ReverseProxy},
    server::{RequestBody, service_fn},
    tls::ClientTls,
};

use super::listen::{self, Place};
use crate::{
    access_log::{AccessLog, Logged},
    cli::{ProtocolArgs, protocol_parser},
    error_reporting::{Failure, say},
    exit::Exit,
    get::seconds,
    listening::{self, TlsArgs, positive},
    seen::SeenArgs,
};

const EXAMPLES: &str = "\
Examples:
  mphttp proxy --to http://127.0.0.1:8000                      MPTCP for the users of a server that has none
  mphttp proxy --listen 443 --tls-cert CERT --tls-key KEY --to http://127.0.0.1:8000
  mphttp proxy --to http://10.0.0.1 --to http://10.0.0.2 --health /health
  mphttp proxy --listen 127.0.0.1:8080 --to http://far.example:8080 --to-protocol mptcp-only
                                                               one end of MPTCP between two sites";

/// Options of `mphttp proxy`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ProxyArgs {
    /// Listen here: a port of all addresses, an address, or both.
    #[arg(long, value_name = "[ADDR:]PORT", default_value = "8080", value_parser = listen::place)]
    listen: Place,
    /// Hand requests on to this server: http://HOST[:PORT] or https://. Give it more than once for several: each request
    /// goes to the one with the fewest in flight.
    #[arg(long, value_name = "URL", required = true)]
    to: Vec<String>,
    #[command(flatten)]
    protocol: ProtocolArgs,
    /// The socket protocol towards the servers [default: what MPHTTP_PROTOCOL says, else mptcp].
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol_parser())]
    to_protocol: Option<Protocol>,
    /// Speak HTTP/2 with the servers without asking, as gRPC over http:// wants it [default: where TLS agrees on it].
    #[arg(long)]
    to_http2: bool,
    /// Trust the certificates in this PEM file as well as the system's, for https:// servers.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Accept any certificate of https:// servers. Whoever is on the way can then read and change everything.
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    tls: TlsArgs,
    /// Whose name the servers are asked by: the one that the client used, or that of --to.
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t = Whose::Client)]
    host_header: Whose,
    /// Believe these peers, addresses or ranges such as 10.0.0.0/8, where they say a request came from (Forwarded,
    /// X-Forwarded-For and the like) [default: nobody; what clients say is replaced].
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = range)]
    trust_forwarded: Vec<IpNet>,
    /// Ask each server for this path again and again; one that doesn't answer 2xx or 3xx gets no requests until it does.
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// Seconds between two health checks.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5", requires = "health")]
    health_interval: Duration,
    /// The limit for connecting to a server, TLS included, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    connect_timeout: Duration,
    /// The limit for the head of a server's answer, in seconds after the request.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    timeout: Duration,
    /// The limit for silence in the middle of a body, and on upgraded connections, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "300")]
    idle_timeout: Duration,
    /// Serve at most this many connections at once; further clients wait.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    max_connections: usize,
    #[command(flatten)]
    seen: SeenArgs,
    /// Print nothing but errors and the access log.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    Client,
    Upstream,
}

fn range(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "give an address or a range, such as 10.0.0.1 or 10.0.0.0/8".to_owned())
}

/// Hands requests on until Ctrl-C or SIGTERM.
pub fn run(args: ProxyArgs) -> anyhow::Result<()> {
    let proxy = args.proxy()?;
    let listening = args.listen.listen(args.protocol.choice()?)?;
    let local = listening.local_addr().context("the listener has no address")?;
    let tls = args.tls.server(local)?;
    let mut seen = args.seen.prepare()?;
    if !args.quiet {
        say(format_args!("Handing requests on to {}", args.to.join(", ")));
        listening::banner(&listening, local, tls.as_ref(), &seen);
    }
    let mut server = seen.attach(Server::new(listening).max_connections(args.max_connections));
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let log = seen.log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let outcome = runtime.block_on(async {
        seen.start(&server)?;
        serve(server, proxy, log, args.quiet).await
    });
    runtime.shutdown_background();
    seen.close();
    outcome
}

async fn serve(
    server: Server,
    proxy: ReverseProxy,
    log: Option<AccessLog>,
    quiet: bool,
) -> anyhow::Result<()> {
    let checked = proxy.clone();
    tokio::spawn(async move { checked.check_health().await });
    let service =
        service_fn(move |request: Request<RequestBody>| answer(proxy.clone(), log.clone(), request));
    listening::until_signal(|stopped| server.run(service, async { drop(stopped.await) }), quiet).await
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
    fn proxy(&self) -> anyhow::Result<ReverseProxy> {
        let protocol = self.to_protocol.map_or_else(Protocol::from_env, Ok)?;
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
            .host_header(host)
            .trust_forwarded(self.trust_forwarded.iter().copied())
            .connect_timeout(self.connect_timeout)
            .head_timeout(self.timeout)
            .idle_timeout(self.idle_timeout);
        for url in &self.to {
            builder = builder.to(url);
        }
        if let Some(path) = &self.health {
            builder = builder.health(path, self.health_interval);
        }
        Ok(builder.build()?)
    }
}
