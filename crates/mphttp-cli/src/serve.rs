//! `mphttp serve`: a directory over HTTP, and the truth about each connection in the access log.

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
    Body, Server,
    files::Files,
    server::{RequestBody, check, service_fn},
    uploads::Uploads,
};
use mptcp_socket::Listen;

use crate::{
    access_log::{AccessLog, Logged},
    certificates,
    cli::ProtocolArgs,
    error_reporting::{Failure, say},
    exit::Exit,
    listening::{self, TlsArgs, positive},
    seen::SeenArgs,
    serve_uploads::UploadArgs,
};

const EXAMPLES: &str = "\
Examples:
  mphttp serve                             the current directory, on port 8000 of all addresses
  mphttp serve ~/Videos --port 0           another directory, on any free port
  mphttp serve --bind 127.0.0.1            for this computer only
  mphttp serve --self-signed               over HTTPS, with a certificate made on the spot
  mphttp serve --access-log json >access   one JSON object for each request
  mphttp serve --metrics 9464 --status 9464
                                           metrics and a status page, for this host alone, on port 9464
  mphttp serve --uploads --bind 127.0.0.1  take uploads too: mphttp get -T FILE http://localhost:8000/
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
    #[command(flatten)]
    tls: TlsArgs,
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
    let uploads = args.uploads.handler(&args.directory)?;
    let listen = Listen::new(protocol);
    let listening = match args.bind {
        Some(ip) => listen.bind(SocketAddr::new(ip, args.port))?,
        None => listen.bind_all(args.port)?,
    };
    let local = listening.local_addr().context("the listener has no address")?;
    let tls = args.tls.server(local)?;
    let mut seen = args.seen.prepare()?;
    if !args.quiet {
        say(format_args!("Serving {}", files.root().display()));
        if uploads.is_some() {
            say("Uploads are on: whoever reaches this port can write files there.");
        }
        listening::banner(&listening, local, tls.as_ref(), &seen);
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let server = Server::new(listening).max_connections(args.max_connections).threads(threads);
    let mut server = seen.attach(server);
    if let Some(tls) = &tls {
        server = server.tls(tls.clone());
    }
    let site = Arc::new(Site { files, uploads, check: !args.no_check, log: seen.log() });
    // For all but the connections, which have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let outcome = runtime.block_on(async {
        seen.start(&server)?;
        certificates::keep_fresh(tls)?;
        serve(server, site, args.quiet).await
    });
    // A read from a disk or network drive that hangs must not keep the program.
    runtime.shutdown_background();
    seen.close();
    outcome
}

async fn serve(server: Server, site: Arc<Site>, quiet: bool) -> anyhow::Result<()> {
    let service = service_fn(move |request: Request<RequestBody>| answer(Arc::clone(&site), request));
    listening::until_signal(|stopped| server.run(service, async { drop(stopped.await) }), quiet).await
}

async fn answer(site: Arc<Site>, request: Request<RequestBody>) -> Result<Response<Logged>, Infallible> {
    let pending = site.log.as_ref().map(|log| log.begin(&request));
    let response = if site.check && request.uri().path() == check::PATH {
        check::respond(&request)
    } else if let Some(uploads) = site.uploads.as_ref().filter(|uploads| uploads.takes(&request)) {
        uploads.respond(request).await
    } else {
        site.files.respond(&request).await.map(Body::from)
    };
    let status = response.status();
    Ok(response.map(|body| Logged::new(body, status, pending)))
}
