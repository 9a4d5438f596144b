//! What mptcp-socket costs on top of the kernel: per connect and per byte, over loopback, where nothing else takes time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mptcp_socket::{Connect, Listen, Protocol, Transport, Watched};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::measure::{Row, Samples, Variant, alternate};
use crate::raw;
use crate::report::{Environment, Report, Table, said_by};

const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Mptcp];

/// What one read or write moves at most: large enough that system calls are not what is measured.
const BUFFER: usize = 128 * 1024;

const MB: usize = 1_000_000;

/// Measures both.
///
/// # Errors
/// When anything fails, or a connection does not speak what it should: there is no comparing then.
pub fn run(quick: bool) -> Result<Report> {
    for protocol in PROTOCOLS {
        speaks_as_asked(protocol)?;
    }
    let ((connects, mut protocols), (bytes, more)) = (connects(quick)?, bytes(quick)?);
    protocols.extend(more);
    let protocols = Table {
        title: "What MPTCP itself costs".to_string(),
        text: "The same measurements, MPTCP against TCP: the kernel's part, with and without the crate."
            .to_string(),
        rows: protocols,
    };
    Ok(Report {
        title: "What the socket layer costs".to_string(),
        text: "The crate mptcp-socket against the least one can write with socket2, over loopback."
            .to_string(),
        quick,
        environment: Environment::here(vec![(
            "rustc".to_string(),
            said_by("rustc", &["--version"]).replace("rustc ", ""),
        )]),
        tables: vec![connects, bytes, protocols],
    })
}

/// A bench that took TCP for MPTCP would show a very cheap MPTCP.
fn speaks_as_asked(protocol: Protocol) -> Result<()> {
    let listener = raw::listen(protocol, 0)?;
    let address = listener.local_addr()?;
    let by_hand = Transport::of(&raw::connect(protocol, address)?)?;
    let ours = Connect::new(protocol).to(&[address])?.watched().watch().transport();
    for transport in [by_hand, ours] {
        let wanted = protocol == Protocol::Mptcp;
        ensure!(transport.is_mptcp() == wanted, "asked for {protocol}, got {transport}");
    }
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("no runtime")
}

/// Accepts connections until one comes with a byte in it, and waits for each to be closed before the next: the client's
/// close then comes first, and its cost is in what the client measures.
struct Sink {
    protocol: Protocol,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    fn start(protocol: Protocol) -> Result<Self> {
        let listener = raw::listen(protocol, 0)?;
        let address = listener.local_addr()?;
        let thread = Some(thread::spawn(move || accept_all(&listener)));
        Ok(Self { protocol, address, thread })
    }
}

fn accept_all(listener: &TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        if matches!(stream.read(&mut [0]), Ok(1)) {
            break;
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let told = raw::connect(self.protocol, self.address).and_then(|mut stream| stream.write_all(b"."));
        if let (Ok(()), Some(thread)) = (told, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn connects(quick: bool) -> Result<(Table, Vec<Row>)> {
    let (rounds, count) = if quick { (3, 50) } else { (51, 100) };
    let runtime = runtime()?;
    let sinks = [Sink::start(PROTOCOLS[0])?, Sink::start(PROTOCOLS[1])?];
    let mut variants = Vec::new();
    for sink in &sinks {
        let (protocol, address, runtime) = (sink.protocol, sink.address, &runtime);
        let ours = Connect::new(protocol);
        let ours_tokio = ours.clone();
        variants.extend([
            Variant::new(format!("socket2, {protocol}"), move || {
                per_connect(count, || Ok(raw::connect(protocol, address)?))
            }),
            Variant::new(format!("mptcp-socket, {protocol}"), move || {
                per_connect(count, || Ok(ours.to(&[address])?.watched()))
            }),
            Variant::new(format!("socket2 in tokio, {protocol}"), move || {
                per_connect(count, || Ok(runtime.block_on(raw::connect_tokio(protocol, address))?))
            }),
            Variant::new(format!("mptcp-socket in tokio, {protocol}"), move || {
                per_connect(count, || Ok(runtime.block_on(ours_tokio.to_async(&[address]))?.watched()))
            }),
        ]);
    }
    let samples = alternate(rounds, variants)?;
    let (what, unit) = ("connect and close", "µs");
    let table = Table {
        title: "Per connect".to_string(),
        text: format!("A connect to a raw listener and its close, {count} in a row, {rounds} rounds."),
        rows: rows(&samples, what, unit)?,
    };
    Ok((table, protocol_rows(&samples, what, unit)?))
}

/// Microseconds for one of `count` connects, the close included.
fn per_connect<S>(count: u32, mut connect: impl FnMut() -> Result<S>) -> Result<f64> {
    let begun = Instant::now();
    for _ in 0..count {
        drop(connect()?);
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(count))
}

fn rows(samples: &Samples, what: &str, unit: &'static str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for protocol in PROTOCOLS {
        for place in ["", " in tokio"] {
            let (ours, peer) =
                (format!("mptcp-socket{place}, {protocol}"), format!("socket2{place}, {protocol}"));
            rows.push(samples.compare(what, unit, &ours, &peer)?);
        }
    }
    Ok(rows)
}

/// What MPTCP itself costs: no matter of ours, but what one must know to judge the rest.
fn protocol_rows(samples: &Samples, what: &str, unit: &'static str) -> Result<Vec<Row>> {
    ["socket2", "mptcp-socket"]
        .map(|who| samples.compare(what, unit, &format!("{who}, mptcp"), &format!("{who}, tcp")))
        .into_iter()
        .collect()
}

fn bytes(quick: bool) -> Result<(Table, Vec<Row>)> {
    let (rounds, megabytes) = if quick { (3, 100) } else { (11, 1000) };
    let total = megabytes * MB;
    let runtime = runtime()?;
    let mut variants = Vec::new();
    for protocol in PROTOCOLS {
        let runtime = &runtime;
        variants.extend([
            Variant::new(format!("socket2, {protocol}"), move || {
                let listener = raw::listen(protocol, 0)?;
                let client = raw::connect(protocol, listener.local_addr()?)?;
                blocking(client, listener.accept()?.0, total)
            }),
            Variant::new(format!("mptcp-socket, {protocol}"), move || {
                let listener = Listen::new(protocol).bind(loopback())?;
                let client = Connect::new(protocol).to(&[listener.local_addr()?])?.watched();
                blocking(client, listener.accept()?.0, total)
            }),
            Variant::new(format!("socket2 in tokio, {protocol}"), move || {
                let listener = raw::listen(protocol, 0)?;
                let address = listener.local_addr()?;
                let accept = async move {
                    listener.set_nonblocking(true)?;
                    Ok(tokio::net::TcpListener::from_std(listener)?.accept().await?.0)
                };
                in_tokio(
                    runtime,
                    async move { Ok(raw::connect_tokio(protocol, address).await?) },
                    accept,
                    total,
                )
            }),
            Variant::new(format!("mptcp-socket in tokio, {protocol}"), move || {
                let listening = Listen::new(protocol).bind(loopback())?;
                let address = listening.local_addr()?;
                let accept = async move {
                    let accepts = listening.accepts();
                    let (stream, _) = listening.into_tokio()?.accept().await?;
                    let origin = accepts.origin(&stream);
                    Ok(Watched::new(stream, origin))
                };
                let connect = async move { Ok(Connect::new(protocol).to_async(&[address]).await?.watched()) };
                in_tokio(runtime, connect, accept, total)
            }),
        ]);
    }
    let samples = alternate(rounds, variants)?;
    let (what, unit) = ("one connection", "s per GB");
    let table = Table {
        title: "Per byte".to_string(),
        text: format!(
            "{megabytes} MB over one connection from the server to the client, both of the same kind, in writes and \
             reads of up to\n{} KiB, {rounds} rounds. Streams of mptcp-socket are watched, as mphttp has them.",
            BUFFER / 1024,
        ),
        rows: rows(&samples, what, unit)?,
    };
    Ok((table, protocol_rows(&samples, what, unit)?))
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Seconds per GB to move `total` bytes from `sender`, in a thread of its own, to `receiver`.
fn blocking(mut receiver: impl Read, mut sender: impl Write + Send + 'static, total: usize) -> Result<f64> {
    let writing = thread::spawn(move || -> Result<()> {
        let buffer = vec![0x5a; BUFFER];
        let mut left = total;
        while left > 0 {
            let part = left.min(BUFFER);
            sender.write_all(&buffer[..part])?;
            left -= part;
        }
        Ok(())
    });
    let mut buffer = vec![0; BUFFER];
    let (mut got, begun) = (0, Instant::now());
    loop {
        match receiver.read(&mut buffer)? {
            0 => break,
            count => got += count,
        }
    }
    finish(begun.elapsed(), writing, got, total)
}

/// The same with a runtime on either side.
fn in_tokio<R, W>(
    runtime: &Runtime,
    connect: impl Future<Output = Result<R>>,
    accept: impl Future<Output = Result<W>> + Send + 'static,
    total: usize,
) -> Result<f64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (go, wait) = mpsc::channel::<()>();
    let writing = thread::spawn(move || -> Result<()> {
        self::runtime()?.block_on(async move {
            let mut sender = accept.await?;
            wait.recv()?;
            let buffer = vec![0x5a; BUFFER];
            let mut left = total;
            while left > 0 {
                let part = left.min(BUFFER);
                sender.write_all(&buffer[..part]).await?;
                left -= part;
            }
            Ok(())
        })
    });
    let (took, got) = runtime.block_on(async {
        let mut receiver = connect.await?;
        go.send(()).context("the sender ended early")?;
        let mut buffer = vec![0; BUFFER];
        let (mut got, begun) = (0, Instant::now());
        loop {
            match receiver.read(&mut buffer).await? {
                0 => break,
                count => got += count,
            }
        }
        anyhow::Ok((begun.elapsed(), got))
    })?;
    finish(took, writing, got, total)
}

fn finish(took: Duration, writing: JoinHandle<Result<()>>, got: usize, total: usize) -> Result<f64> {
    writing.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    ensure!(got == total, "{got} of {total} bytes arrived");
    Ok(took.as_secs_f64() * 1000.0 / f64::from(u32::try_from(total / MB)?))
}
