//! `mphttp serve`: a directory over HTTP, and the truth about each connection in the access log.

pub(crate) mod auth;
mod cors;
mod site;

use std::{convert::Infallible, net::IpAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use http::{Request, Response};
use mphttp::{
    Body, Server,
    files::Files,
    server::{RequestBody, check, service_fn},
    uploads::Uploads,
};

use tokio::sync::oneshot;

use crate::{
    access_log::{AccessLog, Logged},
    certificates,
    cli::ProtocolArgs,
    error_reporting::{Failure, say},
    exit::Exit,
    get::seconds,
    limits::LimitArgs,
    listening::{self, ProxyProtocolArgs, TlsArgs},
    restart,
    seen::{Seen, SeenArgs},
    serve_signals::Signals,
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
  curl http://localhost:8000/.mphttp/check how is my connection made?

SIGTERM and Ctrl-C: stop when the requests in flight are done, after 10 s at the latest; once more: at once.
SIGUSR2: start anew, with the program, certificates and files of now, without refusing a connection; this process ends when its
  requests are done. A socket that systemd passes (LISTEN_FDS) takes the place of --bind and --port. See docs/restart.md.";

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
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    proxies: ProxyProtocolArgs,
    /// Don't answer /.mphttp/check.
    #[arg(long)]
    no_check: bool,
    /// Don't list directories.
    #[arg(long)]
    no_listing: bool,
    /// Follow symbolic links that lead out of the directory.
    #[arg(long)]
    follow_symlinks: bool,
    /// The limit for a client's silence while something is under way, in seconds: that it takes nothing of what is sent to it, or
    /// sends nothing of a body.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "300")]
    idle_timeout: Duration,
    #[command(flatten)]
    limits: LimitArgs,
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

/// Serves until Ctrl-C or SIGTERM, or until a successor that SIGUSR2 started does.
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
    restart::begin()?;
    let listening = restart::main_listener(args.bind, args.port, protocol)?;
    let local = listening.local_addr().context("the listener has no address")?;
    let tls = args.tls.server(local)?;
    let mut seen = args.seen.prepare()?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // How long a stop may take depends on its cause: `Signals` keeps the time.
    let server = Server::new(listening).protocol(protocol).grace(Duration::MAX).threads(threads);
    let server = server.write_timeout(args.idle_timeout).body_timeout(args.idle_timeout);
    let server = seen.attach(args.limits.of(server));
    let mut server = args.proxies.expected_by(server);
    if let Some(tls) = &tls {
        server = server.tls(tls.clone());
    }
    let site = Arc::new(Site { files, uploads, check: !args.no_check, log: seen.log(), rules });
    // For all but the connections, which have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let outcome = runtime.block_on(async {
        // Before anything is said: whoever reads it may send one.
        let signals = Signals::new().context("can't watch for signals")?;
        if !args.quiet {
            if let Some(warning) =
                site.rules.as_ref().and_then(|rules| rules.warning(local.ip(), tls.is_some()))
            {
                say(warning);
            }
            say(format_args!("Serving {}", site.files.root().display()));
            if site.uploads.is_some() {
                let passwords = site.rules.as_ref().is_some_and(Rules::asks);
                let who = if passwords { "has a password" } else { "reaches this port" };
                say(format_args!("Uploads are on: whoever {who} can write files there."));
            }
            listening::banner(server.listening(), local, tls.as_ref(), &seen);
        }
        seen.start(&server)?;
        certificates::keep_fresh(tls)?;
        serve(server, site, &seen, signals, args.quiet).await
    });
    // A read from a disk or network drive that hangs must not keep the program.
    runtime.shutdown_background();
    seen.close();
    outcome
}

async fn serve(
    server: Server,
    site: Arc<Site>,
    seen: &Seen,
    signals: Signals,
    quiet: bool,
) -> anyhow::Result<()> {
    let service = service_fn(move |request: Request<RequestBody>| answer(Arc::clone(&site), request));
    let serve = |stopped: oneshot::Receiver<()>| {
        let server = server.run(service, async { drop(stopped.await) });
        restart::ready();
        server
    };
    listening::until_signal(signals, || seen.stop(), serve, quiet).await
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
