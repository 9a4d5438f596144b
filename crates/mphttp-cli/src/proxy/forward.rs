//! `mphttp proxy --forward`: Multipath TCP for every program that heeds `http_proxy` and `https_proxy`.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use http::{Request, Response};
use mphttp::{
    ConnectionInfo, Connector, Protocol, Server,
    proxy::forward::{Access, Forward, IpNet, Targets, Token, Tunnel, range},
    server::{Peer, RequestBody, service_fn},
    tls::ServerTls,
};
use mptcp_socket::Listening;
use tokio::sync::oneshot;

use super::{ProxyArgs, Seat, listen::Place};
use crate::{
    access_log::{AccessLog, Logged},
    addresses,
    error_reporting::{Failure, say},
    exit::Exit,
    listening,
    serve_signals::Signals,
};

/// How long what is under way may take once the program is asked to stop.
const GRACE: Duration = Duration::from_secs(10);

const CONNECT: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(900);
const PLACE: Place = Place::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128));

/// Options of the forward proxy. Each conflicts with `--to` by itself: clap waives the demand for `--forward` where that
/// is ruled out.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "For programs that heed http_proxy and https_proxy")]
pub struct ForwardArgs {
    /// A forward proxy: for programs that have its address in http_proxy and https_proxy.
    #[arg(long)]
    pub forward: bool,
    /// Also serve clients of these address ranges, such as 192.0.2.0/24; may be given more than once [default: clients
    /// on this host only].
    #[arg(long, value_name = "RANGE", value_delimiter = ',', value_parser = range, requires = "forward", conflicts_with = "to")]
    allow: Vec<IpNet>,
    /// Serve clients that give this token, as the password of any user or as a bearer token. Other users of this host can see
    /// the command line: better is --token-file, or the environment.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Read the token from the first line of this file; beats --token.
    #[arg(long, value_name = "FILE", requires = "forward", conflicts_with = "to")]
    token_file: Option<PathBuf>,
    /// Lead clients of other hosts to these addresses too, although they are this host's own, loopback, link-local or of a
    /// cloud's metadata service.
    #[arg(long, value_name = "RANGE", value_delimiter = ',', value_parser = range, requires = "forward", conflicts_with = "to")]
    allow_target: Vec<IpNet>,
    /// Lead nobody to these addresses.
    #[arg(long, value_name = "RANGE", value_delimiter = ',', value_parser = range, requires = "forward", conflicts_with = "to")]
    deny_target: Vec<IpNet>,
    /// Lead clients to any port [default: 80, 443 and from 1024 up].
    #[arg(long, requires = "forward", conflicts_with = "to")]
    any_port: bool,
    /// Keep to the way that the routes name, though it gives no answer [default: try the other links too].
    #[arg(long, requires = "forward", conflicts_with = "to")]
    no_race: bool,
}

/// The proxy as it was asked for, checked.
pub struct Plan {
    forward: Forward,
    protocol: Protocol,
    /// Whether clients must give a token.
    token: bool,
    /// Whether only clients on this host are served.
    here_only: bool,
    /// How long a client may take nothing of a plain answer.
    idle: Duration,
}

/// Serves until Ctrl-C or SIGTERM.
pub fn run(mut args: ProxyArgs) -> anyhow::Result<()> {
    let place = args.listen.unwrap_or(PLACE);
    // All that can be wrong is said before the port is taken.
    let plan = Plan::new(&mut args, place)?;
    let front = args.front(place, |listening, seat| plan.banner(listening, seat))?;
    front.run(|server, log| plan.serve(server, log, args.quiet))
}

impl Plan {
    /// Checks the options, for a listener at this place.
    fn new(args: &mut ProxyArgs, place: Place) -> anyhow::Result<Self> {
        let protocol = args.to_protocol()?;
        let (connect, idle) = (args.connect_timeout.unwrap_or(CONNECT), args.idle_timeout.unwrap_or(IDLE));
        let ForwardArgs { allow, token, token_file, allow_target, deny_target, any_port, no_race, .. } =
            std::mem::take(&mut args.forward);
        let mut access = Access::new().allow(allow);
        let token = match &token_file {
            None => token,
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::new(Exit::Usage, format!("can't read {}: {error}", path.display()))
                        .hint("name a file whose first line is the token: openssl rand -hex 16 makes one")
                })?;
                Some(text.lines().next().unwrap_or_default().trim().to_owned())
            }
        };
        if let Some(token) = &token {
            access = access.token(Token::new(token)?);
        }
        if access.is_loopback_only() && !place.is_loopback() {
            return Err(Failure::new(
                Exit::Usage,
                "the listener can be reached from other hosts, and nothing says who may use the proxy",
            )
            .hint("add --allow RANGE or --token-file FILE; or listen on 127.0.0.1 for this host alone")
            .into());
        }
        let mut connector = Connector::new(protocol).connect_timeout(connect);
        if !no_race {
            // As `get` does: a host whose routes can't be read has no others.
            let host = mptcp_paths::Snapshot::read().ok().filter(|host| !host.has_tunnel());
            let ways = host.map(|host| host.ways_out()).unwrap_or_default();
            connector = connector.race_interfaces(ways.into_iter().skip(1).map(|way| way.interface));
        }
        let here_only = access.is_loopback_only();
        let token = access.has_token();
        let targets = Targets::new().allow(allow_target).deny(deny_target).any_port(any_port);
        let forward = Forward::builder(connector).access(access).targets(targets).idle_timeout(idle).build();
        Ok(Self { forward, protocol, token, here_only, idle })
    }

    /// What to export, who may use it, and what it speaks.
    fn banner(&self, listening: &Listening, &Seat { local, tls, seen }: &Seat<'_>) {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let whom = match (self.here_only, self.token) {
            (true, _) => "for programs on this host",
            (false, true) => "for whoever has the token",
            (false, false) => "for this host and the allowed addresses",
        };
        say(format_args!("Forward proxy on {local}, {whom}. Programs use it with:"));
        let urls = addresses::urls(scheme, local, &addresses::of_host());
        // Of several the first is localhost, which is of no use to others.
        if let Some((url, _)) = urls.get(1).or(urls.first()) {
            let url = url.trim_end_matches('/');
            let url = if self.token { url.replacen("://", "://user:TOKEN@", 1) } else { url.to_owned() };
            say(format_args!("  export http_proxy={url}"));
            say(format_args!("  export https_proxy={url}"));
        }
        if self.token && tls.is_none() && !local.ip().is_loopback() {
            say("The token is sent in the clear: --tls-cert and --tls-key hide it.");
        }
        match (self.protocol, listening.why_tcp()) {
            (Protocol::Tcp, _) => say("MPTCP is off towards the targets."),
            (Protocol::MptcpOnly, _) => say("Targets without MPTCP are refused."),
            (_, Some(reason)) if self.here_only => {
                let remedy = reason.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
                say(format_args!("The listener speaks TCP: {}{remedy}.", reason.explain()));
            }
            _ => say("MPTCP is on, towards targets that have it; the others are reached over TCP."),
        }
        if let Some(fingerprint) = tls.and_then(ServerTls::fingerprint) {
            say(format_args!("Certificate, SHA-256: {fingerprint}"));
        }
        seen.banner();
        say("Ctrl-C stops.");
    }

    /// Serves until a signal; a second one stops at once.
    async fn serve(self, server: Server, log: Option<AccessLog>, quiet: bool) -> anyhow::Result<()> {
        let signals = Signals::new()?;
        let server = server.write_timeout(self.idle);
        let forward = self.forward.clone();
        let service = service_fn(move |request| answer(forward.clone(), log.clone(), request));
        listening::until_signal(
            signals,
            || (),
            |stopped| async {
                let (end, ended) = oneshot::channel::<()>();
                let shutdown = async move {
                    drop(stopped.await);
                    drop(end);
                };
                let tunnels = async {
                    // A server that broke ends its tunnels too: the sender is dropped with it.
                    let _ = ended.await;
                    self.forward.stop(GRACE).await;
                    Ok(())
                };
                tokio::try_join!(server.grace(GRACE).run(service, shutdown), tunnels).map(|_| ())
            },
            quiet,
        )
        .await
    }
}

async fn answer(
    forward: Forward,
    log: Option<AccessLog>,
    request: Request<RequestBody>,
) -> Result<Response<Logged>, Infallible> {
    let mut pending = log.as_ref().map(|log| log.begin(&request));
    let here = request.extensions().get::<Peer>().is_some_and(|peer| peer.remote.ip().is_loopback());
    let mut response = forward.respond(request).await;
    let status = response.status();
    if here
        && let (Some(pending), Some(target)) = (&mut pending, response.extensions().get::<ConnectionInfo>())
    {
        pending.over(target.watch());
    }
    if let Some(tunnel) = response.extensions_mut().remove::<Tunnel>()
        && let Some(pending) = pending.take()
    {
        // The line of a tunnel is written when it has ended.
        tokio::spawn(async move {
            tunnel.ended().await;
            pending.tunnelled(status, tunnel.received());
        });
    }
    Ok(response.map(|body| Logged::new(body, status, pending)))
}
