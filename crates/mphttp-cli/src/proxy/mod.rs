//! `mphttp proxy`: between a side that speaks Multipath TCP and one that does not, with the protocol chosen on each:
//! in front of HTTP servers, or for programs that name it in `http_proxy` and `https_proxy`.

mod forward;
mod listen;
mod reverse;

use std::{future::Future, net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::Args;
use mphttp::{Protocol, Server, tls::ServerTls};
use mptcp_socket::Listening;

use crate::{
    access_log::AccessLog,
    certificates,
    cli::{ProtocolArgs, protocol_parser},
    get::seconds,
    limits::LimitArgs,
    listening::{ProxyProtocolArgs, TlsArgs},
    seen::{Seen, SeenArgs},
};
use listen::Place;

const EXAMPLES: &str = "\
Examples:
  mphttp proxy --to http://127.0.0.1:8000                      MPTCP for the users of a server that has none
  mphttp proxy --listen 443 --tls-cert CERT --tls-key KEY --to http://127.0.0.1:8000
  mphttp proxy --to http://10.0.0.1 --to http://10.0.0.2 --health /health
  mphttp proxy --listen 127.0.0.1:8080 --to http://far.example:8080 --to-protocol mptcp-only
                                                               one end of MPTCP between two sites
  mphttp proxy --forward                                       for programs on this host: prints what to export
  https_proxy=http://127.0.0.1:3128 git clone https://example.com/repository
  mphttp proxy --forward --listen 192.0.2.1:3128 --allow 192.0.2.0/24
                                                               for the hosts of a network
  mphttp proxy --forward --listen 3128 --token-file /etc/mphttp/token --tls-cert CERT --tls-key KEY
                                                               for whoever has the token, over TLS";

/// Options of `mphttp proxy`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ProxyArgs {
    /// Listen here: a port of all addresses, an address, or both; port 0 picks a free one [default: 8080; with --forward
    /// 127.0.0.1:3128].
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = listen::place)]
    listen: Option<Place>,
    #[command(flatten)]
    protocol: ProtocolArgs,
    /// The protocol towards the clients, where it is to be another than --protocol.
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol_parser())]
    listen_protocol: Option<Protocol>,
    /// The protocol towards the servers, where it is to be another than --protocol. With mptcp-only, servers that don't speak
    /// MPTCP are refused.
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol_parser())]
    to_protocol: Option<Protocol>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    proxies: ProxyProtocolArgs,
    /// The limit for connecting to a server, names and TLS included, in seconds [default: 5; with --forward 30].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    connect_timeout: Option<Duration>,
    /// The limit for silence, in both directions, while a body, an upgraded connection or a tunnel is under way, in seconds
    /// [default: 300; with --forward 900].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_timeout: Option<Duration>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    reverse: reverse::ReverseArgs,
    #[command(flatten)]
    forward: forward::ForwardArgs,
    #[command(flatten)]
    seen: SeenArgs,
    /// Print nothing but errors and the access log.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs until Ctrl-C or SIGTERM.
pub fn run(args: ProxyArgs) -> anyhow::Result<()> {
    if args.forward.forward { forward::run(args) } else { reverse::run(args) }
}

/// A listener that is bound, and what is to be seen of its server.
struct Front {
    server: Server,
    tls: Option<ServerTls>,
    seen: Seen,
}

/// Where a listener is, for the words about it.
struct Seat<'a> {
    local: SocketAddr,
    tls: Option<&'a ServerTls>,
    seen: &'a Seen,
}

impl Front {
    /// Runs what `serve` makes of the server, in a runtime, and leaves nothing unsaid.
    fn run<F: Future<Output = anyhow::Result<()>>>(
        self,
        serve: impl FnOnce(Server, Option<AccessLog>) -> F,
    ) -> anyhow::Result<()> {
        let Self { server, tls, mut seen } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("can't start the runtime")?;
        let outcome = runtime.block_on(async {
            seen.start(&server)?;
            certificates::keep_fresh(tls)?;
            serve(server, seen.log()).await
        });
        // A resolver that still waits must not keep the program.
        runtime.shutdown_background();
        seen.close();
        outcome
    }
}

impl ProxyArgs {
    fn listen_protocol(&self) -> anyhow::Result<Protocol> {
        Ok(self.listen_protocol.map_or_else(|| self.protocol.choice(), Ok)?)
    }

    fn to_protocol(&self) -> anyhow::Result<Protocol> {
        Ok(self.to_protocol.map_or_else(|| self.protocol.choice(), Ok)?)
    }

    /// Binds the listener, and says so by `banner` unless nothing is to be said.
    fn front(&self, place: Place, banner: impl FnOnce(&Listening, &Seat<'_>)) -> anyhow::Result<Front> {
        let listening = place.listen(self.listen_protocol()?)?;
        let local = listening.local_addr().context("the listener has no address")?;
        let tls = self.tls.server(local)?;
        let seen = self.seen.prepare()?;
        if !self.quiet {
            banner(&listening, &Seat { local, tls: tls.as_ref(), seen: &seen });
        }
        let server = seen.attach(self.limits.of(Server::new(listening)));
        let mut server = self.proxies.expected_by(server);
        if let Some(tls) = &tls {
            server = server.tls(tls.clone());
        }
        Ok(Front { server, tls, seen })
    }
}
