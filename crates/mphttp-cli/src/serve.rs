//! `mphttp serve`: a directory over HTTP, and the truth about each connection in the access log.

mod auth;
mod cors;
mod site;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use http::{Request, Response};
use mphttp::{
    Body, Protocol, Server,
    files::Files,
    server::{RequestBody, check, service_fn},
    tls::ServerTls,
    uploads::Uploads,
};
use mptcp_socket::{Listen, Listening};
use tokio::sync::oneshot;

use crate::{
    access_log::{AccessLog, Logged},
    addresses,
    cli::ProtocolArgs,
    error_reporting::{Failure, say},
    exit::Exit,
    seen::{Seen, SeenArgs},
    serve_uploads::UploadArgs,
};
use site::{Rules, SiteArgs, User};

const EXAMPLES: &str = "\
Examples:
  mphttp serve                             the current directory, on port 8000 of all addresses
  mphttp serve ~/Videos --port 0           another directory, on any free port
  mphttp serve --bind 127.0.0.1            for this computer only
  mphttp serve --self-signed               over HTTPS, with a certificate made on the spot
  mphttp serve --access-log json >access   one JSON object for each request
  mphttp serve --metrics 9464 --status 9464
                                           metrics and a status page, for this host alone, on port 9464
  mphttp serve --upload --bind 127.0.0.1   take uploads too: mphttp get -T FILE http://localhost:8000/
  mphttp serve --self-signed --auth-file users
                                           for those alone who have a password: htpasswd -cB users NAME
  curl http://localhost:8000/.mphttp/check how is my connection made?";

/// Options of `mphttp serve`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// The directory to serve.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Listen on this address alone [default: all addresses]. MPTCP clients then can't add paths to the others.
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// Listen on this port; 0 picks a free one.
    #[arg(long, short, value_name = "N", default_value_t = 8000)]
    port: u16,
    #[command(flatten)]
    protocol: ProtocolArgs,
    /// Serve HTTPS with the certificate chain in this PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve HTTPS with a certificate made on the spot; its fingerprint is printed.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    self_signed: bool,
    /// Don't answer /.mphttp/check.
    #[arg(long)]
    no_check: bool,
    /// Don't list directories.
    #[arg(long)]
    no_listing: bool,
    /// Follow symbolic links that lead out of the directory.
    #[arg(long)]
    follow_symlinks: bool,
    /// Serve at most this many connections at once; further clients wait.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    max_connections: usize,
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    uploads: UploadArgs,
    #[command(flatten)]
    seen: SeenArgs,
    /// Print nothing but errors and the access log.
    #[arg(long, short)]
    quiet: bool,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

/// What every request is answered from.
struct Site {
    files: Files,
    uploads: Option<Uploads>,
    check: bool,
    log: Option<AccessLog>,
    rules: Option<Rules>,
}

impl Site {
    async fn respond(&self, request: Request<RequestBody>) -> Response<Body> {
        if self.check && request.uri().path() == check::PATH {
            check::respond(&request)
        } else if let Some(uploads) = self.uploads.as_ref().filter(|uploads| uploads.takes(&request)) {
            uploads.respond(request).await
        } else {
            self.files.respond(&request).await.map(Body::from)
        }
    }
}

/// Serves until Ctrl-C or SIGTERM.
pub fn run(args: ServeArgs) -> anyhow::Result<()> {
    let protocol = args.protocol.choice()?;
    let files = Files::new(&args.directory)
        .map_err(|error| {
            let hint = "name a directory that exists and that you may read: mphttp serve DIR";
            Failure::new(Exit::Usage, error.to_string()).hint(hint)
        })?
        .listing(!args.no_listing)
        .follow_symlinks_outside(args.follow_symlinks);
    let files = args.site.shape(files)?;
    let uploads = args.uploads.handler(&args.directory)?;
    let files = files.upload_form(uploads.is_some());
    let rules = args.site.rules()?;
    let listen = Listen::new(protocol);
    let listening = match args.bind {
        Some(ip) => listen.bind(SocketAddr::new(ip, args.port))?,
        None => listen.bind_all(args.port)?,
    };
    let local = listening.local_addr().context("the listener has no address")?;
    let tls = tls(&args, local)?;
    let mut seen = args.seen.prepare()?;
    if !args.quiet {
        if let Some(warning) = rules.as_ref().and_then(|rules| rules.warning(local.ip(), tls.is_some())) {
            say(warning);
        }
        let passwords = rules.as_ref().is_some_and(Rules::asks);
        banner(&files, &listening, local, tls.as_ref(), uploads.is_some(), passwords, &seen);
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let server = Server::new(listening).max_connections(args.max_connections).threads(threads);
    let mut server = seen.attach(server);
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let site = Arc::new(Site { files, uploads, check: !args.no_check, log: seen.log(), rules });
    // For all but the connections, which have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let outcome = runtime.block_on(async {
        seen.start(&server)?;
        serve(server, site, args.quiet).await
    });
    // A read from a disk or network drive that hangs must not keep the program.
    runtime.shutdown_background();
    seen.close();
    outcome
}

async fn serve(server: Server, site: Arc<Site>, quiet: bool) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("can't watch for signals")?;
    let (stop, stopped) = oneshot::channel();
    let twice = async move {
        signals.next().await;
        if !quiet {
            say("Stopping when the requests in flight are done; once more stops at once.");
        }
        let _ = stop.send(());
        signals.next().await;
    };
    let service = service_fn(move |request: Request<RequestBody>| answer(Arc::clone(&site), request));
    let server = server.run(service, async { drop(stopped.await) });
    tokio::select! {
        outcome = server => Ok(outcome?),
        () = twice => Ok(()),
    }
}

async fn answer(site: Arc<Site>, request: Request<RequestBody>) -> Result<Response<Logged>, Infallible> {
    let mut pending = site.log.as_ref().map(|log| log.begin(&request));
    let response = match &site.rules {
        None => site.respond(request).await,
        Some(rules) => {
            // In a box, so that who has no rules has no larger requests for them.
            let mut response = Box::pin(rules.answer(&site, request)).await;
            if let (Some(pending), Some(User(user))) = (&mut pending, response.extensions_mut().remove()) {
                pending.user(user);
            }
            response
        }
    };
    let status = response.status();
    Ok(response.map(|body| Logged::new(body, status, pending)))
}

fn tls(args: &ServeArgs, local: SocketAddr) -> Result<Option<ServerTls>, mphttp::Error> {
    if args.self_signed {
        return ServerTls::self_signed(addresses::names(local, &addresses::of_host())).map(Some);
    }
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    ServerTls::from_pem_files(certificate, key).map(Some)
}

fn banner(
    files: &Files,
    listening: &Listening,
    local: SocketAddr,
    tls: Option<&ServerTls>,
    uploads: bool,
    passwords: bool,
    seen: &Seen,
) {
    say(format_args!("Serving {}", files.root().display()));
    if uploads {
        let who = if passwords { "has a password" } else { "reaches this port" };
        say(format_args!("Uploads are on: whoever {who} can write files there."));
    }
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
            say("MPTCP is on; TCP clients are turned away.")
        }
        None => say("MPTCP is on; TCP clients are served as well."),
        Some(reason) => {
            let remedy = reason.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            say(format_args!("MPTCP is off: {}{remedy}.", reason.explain()));
        }
    }
    say("Ctrl-C stops.");
}

/// The signals that ask a server to stop.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        // Without the handler there is nothing to wait for: the system ends the program itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
