//! The Python package against what it derives from: `http.client`, requests and asyncio, over loopback, with `mphttp serve`
//! as the server for all.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use mphttp::Protocol;

use crate::measure::{Row, Variant, alternate};
use crate::programs::{Paths, Place, Who};
use crate::report::{Environment, Report, Table, said_by};
use crate::scratch::Scratch;

/// What the bench needs to be told.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// A Python with mphttp and requests
    #[arg(long)]
    python: PathBuf,
    /// The program that does what is asked of it
    #[arg(long)]
    worker: PathBuf,
}

/// Measures all of it.
///
/// # Errors
/// When anything fails, or a connection speaks another protocol than asked: there is no comparing then.
pub fn run(args: &Args, quick: bool) -> Result<Report> {
    let scratch = Scratch::new()?;
    scratch.file("small", 1000)?;
    let server = args.paths.serve(Who::Mphttp, Protocol::Mptcp, 8000, &scratch.served(), Place::Here)?;
    let (rounds, kept, new) = if quick { (3, 200, 50) } else { (41, 1000, 250) };
    let worker = RefCell::new(Worker::start(args, kept, new)?);
    let mut tables = Vec::new();
    for (suffix, title, count) in
        [("kept", "Requests over a kept connection", kept), ("new", "Requests with a connection each", new)]
    {
        let groups = [["http.client", "mphttp.client"], ["requests", "mphttp.requests"]];
        let mut rows = Vec::new();
        for [peer, ours] in groups {
            let name = |who: &str| format!("{who}, {suffix}");
            rows.extend(compare(
                &worker,
                rounds,
                &name(peer),
                |protocol| name(&format!("{ours}, {protocol}")),
                "one request",
            )?);
        }
        tables.push(Table {
            title: title.to_string(),
            text: format!(
                "{count} requests (half as many with requests) for 1000 bytes from `mphttp serve`, {rounds} rounds, everything in \
                 one process."
            ),
            rows,
        });
    }
    let ours = |protocol: &str| format!("mphttp.asyncio, {protocol}");
    tables.push(Table {
        title: "Two small writes and a read, with asyncio".to_string(),
        text: format!(
            "{kept} exchanges with an echo server on a thread of the same process, {rounds} rounds. Without TCP_NODELAY, which \
             asyncio switches on only for sockets that it takes for TCP, one takes 40 ms and more."
        ),
        rows: compare(&worker, rounds, "asyncio", ours, "one exchange")?,
    });
    drop(server);
    Ok(Report {
        title: "The Python package against the standard library and requests".to_string(),
        text: "`mphttp.client.HTTPConnection` against `http.client.HTTPConnection`, `mphttp.requests.Session` against\n\
               `requests.Session`, `mphttp.asyncio.open_connection` against `asyncio.open_connection`, over loopback."
            .to_string(),
        quick,
        environment: Environment::here(vec![
            ("rustc".to_string(), said_by("rustc", &["--version"]).replace("rustc ", "")),
            ("Python".to_string(), version(&args.python, "import platform; print(platform.python_version())")),
            ("requests".to_string(), version(&args.python, "import requests; print(requests.__version__)")),
        ]),
        tables,
    })
}

fn version(python: &std::path::Path, code: &str) -> String {
    said_by(&python.to_string_lossy(), &["-c", code])
}

/// Ours over TCP and over MPTCP against the peer; and over MPTCP against over TCP.
fn compare(
    worker: &RefCell<Worker>,
    rounds: usize,
    peer: &str,
    ours: impl Fn(&str) -> String,
    what: &str,
) -> Result<Vec<Row>> {
    eprintln!("{peer}");
    let (tcp, mptcp) = (ours("tcp"), ours("mptcp"));
    let variant = |name: &str| {
        let asked = name.to_string();
        Variant::new(name, move || worker.borrow_mut().ask(&asked))
    };
    let samples = alternate(rounds, vec![variant(peer), variant(&tcp), variant(&mptcp)])?;
    Ok(vec![
        samples.compare(what, "µs", &tcp, peer)?,
        samples.compare(what, "µs", &mptcp, peer)?,
        samples.compare(&format!("{what}, MPTCP against TCP"), "µs", &mptcp, &tcp)?,
    ])
}

/// The Python process that does everything.
struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(args: &Args, kept: u32, new: u32) -> Result<Self> {
        let mut command = Command::new(&args.python);
        command.arg(&args.worker).args(["http://127.0.0.1:8000/small", &kept.to_string(), &new.to_string()]);
        command.env_remove(Protocol::ENV).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("can't start Python")?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("no pipe")?);
        Ok(Self { child, orders, answers })
    }

    /// Microseconds that one request took.
    fn ask(&mut self, variant: &str) -> Result<f64> {
        let orders = self.orders.as_mut().context("the worker was dismissed")?;
        writeln!(orders, "{variant}").context("the worker is gone")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the worker ended");
        Ok(line.trim().parse()?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its orders is the end of the worker.
        self.orders.take();
        let _ = self.child.wait();
    }
}
