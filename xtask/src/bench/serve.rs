//! `mphttp serve` beside nginx and Go's net/http as servers, over loopback, where nothing but the programs counts: requests
//! by wrk (over MPTCP under mptcpize) and h2load, and the memory that idle connections hold.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mphttp::Protocol;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::measure::{Variant, alternate};
use crate::programs::{Peers, Place, Running, Who};
use crate::report::{Environment, Report, Table, said_by};
use crate::scratch::Scratch;

/// What is asked of each server, and by how many connections.
#[derive(Clone, Copy)]
struct Ask {
    what: &'static str,
    file: &'static str,
    connections: u32,
    client: Client,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Wrk,
    /// A new connection for each request.
    WrkClosing,
    H2load,
}

const fn ask(what: &'static str, file: &'static str, connections: u32, client: Client) -> Ask {
    Ask { what, file, connections, client }
}

const PLAIN: [Ask; 5] = [
    ask("13 bytes", "tiny", 64, Client::Wrk),
    ask("10 kB", "small", 64, Client::Wrk),
    ask("1 MB", "medium", 16, Client::Wrk),
    ask("1 GB", "large", 2, Client::Wrk),
    ask("13 bytes, a connection each", "tiny", 64, Client::WrkClosing),
];
const TLS: [Ask; 6] = [
    ask("TLS, 13 bytes", "tiny", 64, Client::Wrk),
    ask("TLS, 10 kB", "small", 64, Client::Wrk),
    ask("TLS, 1 MB", "medium", 16, Client::Wrk),
    ask("HTTP/2, 13 bytes", "tiny", 32, Client::H2load),
    ask("HTTP/2, 10 kB", "small", 32, Client::H2load),
    ask("HTTP/2, 1 MB", "medium", 16, Client::H2load),
];

/// A server under test.
struct Tested {
    who: Who,
    protocol: Protocol,
    tls: bool,
    port: u16,
    running: Running,
}

/// Measures all of it.
///
/// # Errors
/// When anything fails, or speaks another protocol than asked: there is no comparing then.
pub fn run(args: &Peers, quick: bool) -> Result<Report> {
    let scratch = Scratch::new()?;
    for (name, size) in [("tiny", 13), ("small", 10_000), ("medium", 1_000_000), ("large", 1_000_000_000)] {
        scratch.file(name, if quick { size.min(10_000_000) } else { size })?;
    }
    let site = Site::new(&scratch)?;
    let (rounds, seconds) = if quick { (1, 1) } else { (3, 2) };
    let tables = vec![
        requests(args, &site, Protocol::Tcp, rounds, seconds)?,
        requests(args, &site, Protocol::Mptcp, rounds, seconds)?,
        loss(args, &site, rounds, seconds)?,
        memory(args, &site, if quick { 500 } else { 10_000 })?,
    ];
    Ok(Report {
        title: "Serving, beside nginx and Go".to_string(),
        text: "`mphttp serve` beside nginx (two workers, sendfile, no access log) and a file server of Go's net/http: the same \
               files, in memory,\nover loopback, both cores shared with the client. One request costs what the table says; \
               a ratio below 1 means that ours\nanswers more of them in the same time: 0.67 is 1.5 times as many."
            .to_string(),
        quick,
        environment: Environment::here(vec![
            ("rustc".to_string(), said_by("rustc", &["--version"]).replace("rustc ", "")),
            ("nginx".to_string(), nginx_version()?),
            args.go(),
        ]),
        tables,
    })
}

/// nginx says it on stderr.
fn nginx_version() -> Result<String> {
    let output = Command::new("nginx").arg("-v").output().context("can't run nginx")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(text.trim().rsplit('/').next().unwrap_or("unknown").to_string())
}

fn requests(args: &Peers, site: &Site<'_>, protocol: Protocol, rounds: usize, seconds: u32) -> Result<Table> {
    let mut rows = Vec::new();
    let servers = site.servers(args, protocol)?;
    for ask in PLAIN.iter().chain(if protocol == Protocol::Tcp { &TLS[..] } else { &[] }) {
        let tls = TLS.iter().any(|other| other.what == ask.what);
        eprintln!("{}, {protocol}", ask.what);
        let tested: Vec<_> = servers.iter().filter(|server| server.tls == tls).collect();
        let variants = tested.iter().map(|server| {
            let measure = move || cost(server, *ask, seconds, site);
            Variant::new(server.who.to_string(), measure)
        });
        let samples = alternate(rounds, variants.collect())?;
        for peer in tested.iter().map(|server| server.who).filter(|&who| who != Who::Mphttp) {
            rows.push(samples.compare(ask.what, "µs", &Who::Mphttp.to_string(), &peer.to_string())?);
        }
        if tested.iter().any(|server| server.who == Who::Raw) {
            rows.push(samples.compare(ask.what, "µs", &Who::Raw.to_string(), &Who::Go.to_string())?);
        }
    }
    let mut text = format!(
        "wrk with 2 threads and 64 connections (16 for 1 MB, 2 for 1 GB), h2load with 32 connections (16) of 8 streams, {seconds} s \
         each,\n{rounds} rounds."
    );
    if protocol != Protocol::Tcp {
        text += " The raw server is made of sockets by hand (two threads with an epoll each, answers from memory): what it is\n\
                 beside Go is what the kernel and the client leave to be won.";
    }
    Ok(Table { title: format!("One request over {}", protocol.to_string().to_uppercase()), text, rows })
}

/// What MPTCP costs more than TCP, beside what it costs sockets that have nothing around them.
fn loss(args: &Peers, site: &Site<'_>, rounds: usize, seconds: u32) -> Result<Table> {
    let mut rows = Vec::new();
    let mut pairs = Vec::new();
    for (who, port) in [(Who::Mphttp, 7850), (Who::Raw, 7852)] {
        let server = |protocol, port| site.server(args, who, protocol, false, port);
        pairs.push((who, server(Protocol::Tcp, port)?, server(Protocol::Mptcp, port + 1)?));
    }
    for ask in PLAIN {
        eprintln!("{}, MPTCP over TCP", ask.what);
        let variants = pairs.iter().map(|(who, tcp, mptcp)| {
            let measure = move || Ok(cost(mptcp, ask, seconds, site)? / cost(tcp, ask, seconds, site)?);
            Variant::new(who.to_string(), measure)
        });
        let samples = alternate(rounds, variants.collect())?;
        rows.push(samples.compare(ask.what, "× TCP", &Who::Mphttp.to_string(), &Who::Raw.to_string())?);
    }
    Ok(Table {
        title: "What MPTCP costs more than TCP".to_string(),
        text: format!(
            "A request over MPTCP, measured in requests over TCP from the same server; the peer is a server made of sockets by hand \
             (two\nthreads with an epoll each, answers from memory). {rounds} rounds of {seconds} s."
        ),
        rows,
    })
}

/// What one request costs, in microseconds.
fn cost(server: &Tested, ask: Ask, seconds: u32, site: &Site<'_>) -> Result<f64> {
    let scheme = if server.tls { "https" } else { "http" };
    let url = format!("{scheme}://127.0.0.1:{}/{}", server.port, ask.file);
    let before = multipath_connections()?;
    let per_second = if ask.client == Client::H2load {
        h2load(&url, ask, seconds)
    } else {
        wrk(&url, server, ask, seconds, site)
    };
    let per_second = per_second.with_context(|| format!("{} from {}", ask.what, server.who))?;
    let came = multipath_connections()? - before;
    ensure!(
        (came > 0) == (server.protocol != Protocol::Tcp),
        "asked for {}: {came} MPTCP connections",
        server.protocol
    );
    Ok(1e6 / per_second)
}

fn wrk(url: &str, server: &Tested, ask: Ask, seconds: u32, site: &Site<'_>) -> Result<f64> {
    let mut command = if server.protocol == Protocol::Tcp {
        Command::new("wrk")
    } else {
        let mut command = Command::new("mptcpize");
        command.args(["run", "wrk"]);
        command
    };
    command.args(["-t2", &format!("-c{}", ask.connections), &format!("-d{seconds}s")]);
    if ask.client == Client::WrkClosing {
        command.arg("-s").arg(&site.closing);
    }
    let text = said(command.arg(url))?;
    ensure!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    number_after(&text, "Requests/sec:")
}

fn h2load(url: &str, ask: Ask, seconds: u32) -> Result<f64> {
    let mut command = Command::new("h2load");
    command.args(["-t2", "-m8", &format!("-c{}", ask.connections), &format!("-D{seconds}")]);
    let text = said(command.arg(url))?;
    ensure!(text.contains(" 0 failed, 0 errored"), "{text}");
    // finished in 3.00s, 12345.67 req/s, 1.23MB/s
    number_after(&text, "finished in").and_then(|_| {
        let line = text.lines().find(|line| line.starts_with("finished in")).unwrap_or_default();
        let rate = line.split(", ").nth(1).unwrap_or_default();
        rate.trim_end_matches(" req/s").parse().with_context(|| format!("no rate in {line}"))
    })
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    Ok(text)
}

/// The number that follows `label`, up to the first character that is no part of one.
fn number_after(text: &str, label: &str) -> Result<f64> {
    let rest = text.split(label).nth(1).with_context(|| format!("no {label} in {text}"))?.trim_start();
    let end =
        rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default().parse().with_context(|| format!("no number after {label} in {text}"))
}

/// Connections that this network has accepted as MPTCP so far (MPTcpExtMPCapableSYNRX).
fn multipath_connections() -> Result<i64> {
    let text = fs::read_to_string("/proc/net/netstat")?;
    let mut lines = text.lines().filter(|line| line.starts_with("MPTcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { bail!("no MPTCP counters") };
    let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "MPCapableSYNRX");
    found.context("no counter of MPTCP connections")?.1.parse().context("no number")
}

/// What idle connections hold, per connection: the growth of the server's own memory.
fn memory(args: &Peers, site: &Site<'_>, connections: usize) -> Result<Table> {
    let mut rows = Vec::new();
    for (what, tls, request) in [
        ("nothing asked yet", false, false),
        ("one request answered", false, true),
        ("TLS, nothing asked yet", true, false),
        ("TLS, one request answered", true, true),
    ] {
        eprintln!("{connections} idle connections, {what}");
        let variants = [Who::Mphttp, Who::Nginx].map(|who| {
            // A new server each time: freed memory would be used again.
            Variant::new(who.to_string(), move || {
                let server = site.server(args, who, Protocol::Tcp, tls, 7900)?;
                held(&server, site, connections, request)
            })
        });
        let samples = alternate(1, variants.into())?;
        rows.push(samples.compare(what, "bytes", &Who::Mphttp.to_string(), &Who::Nginx.to_string())?);
    }
    Ok(Table {
        title: "Memory of an idle connection".to_string(),
        text: format!(
            "{connections} connections over TCP that are kept alive, silent for three seconds; how much the server's own (anonymous) \
             memory\ngrows, per connection. nginx's slots, about 424 bytes each, are allocated at its start and not counted."
        ),
        rows,
    })
}

/// A connection of ours, and its TLS if it has that.
type Held = (TcpStream, Option<rustls::ClientConnection>);

fn held(server: &Tested, site: &Site<'_>, connections: usize, request: bool) -> Result<f64> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port));
    let tls = if server.tls { Some(Arc::new(site.client()?)) } else { None };
    let open = || -> Result<Held> {
        let mut stream = TcpStream::connect(address)?;
        // Without it each handshake waits for a delayed acknowledgement.
        stream.set_nodelay(true)?;
        let mut tls = match &tls {
            Some(config) => {
                let name = rustls::pki_types::ServerName::from(address.ip());
                let mut tls = rustls::ClientConnection::new(Arc::clone(config), name)?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut stream)?;
                }
                Some(tls)
            }
            None => None,
        };
        if request {
            let (ask, mut answer) = (b"GET /tiny HTTP/1.1\r\nHost: localhost\r\n\r\n", [0; 2048]);
            let read = match &mut tls {
                Some(tls) => {
                    let mut stream = rustls::Stream::new(tls, &mut stream);
                    stream.write_all(ask)?;
                    stream.read(&mut answer)?
                }
                None => {
                    stream.write_all(ask)?;
                    stream.read(&mut answer)?
                }
            };
            ensure!(
                answer.get(..read).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200")),
                "no answer"
            );
        }
        Ok((stream, tls))
    };
    let settle = || std::thread::sleep(Duration::from_secs(3));
    let _first = (0..50).map(|_| open()).collect::<Result<Vec<_>>>()?;
    settle();
    let before = anonymous(&server.running.processes())?;
    let _idle = (0..connections).map(|_| open()).collect::<Result<Vec<_>>>()?;
    settle();
    let after = anonymous(&server.running.processes())?;
    // Memory in kilobytes and numbers of connections are small.
    #[allow(clippy::cast_precision_loss)]
    Ok(after.saturating_sub(before) as f64 * 1024.0 / connections as f64)
}

/// The anonymous memory of some processes, in kilobytes (proc(5), smaps_rollup).
fn anonymous(processes: &[u32]) -> Result<u64> {
    ensure!(!processes.is_empty(), "the server has no processes");
    processes.iter().try_fold(0, |sum, process| {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).context("no Pss_Anon")?;
        Ok(sum + line.trim().trim_end_matches(" kB").parse::<u64>()?)
    })
}

/// What is served, and what the servers need beside it.
struct Site<'a> {
    scratch: &'a Scratch,
    folder: PathBuf,
    /// A script for wrk.
    closing: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl<'a> Site<'a> {
    fn new(scratch: &'a Scratch) -> Result<Self> {
        let folder = scratch.emptied("settings")?;
        let (closing, certificate, key) =
            (folder.join("closing.lua"), folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&closing, "wrk.headers[\"Connection\"] = \"close\"\n")?;
        let made =
            rcgen::generate_simple_self_signed(vec!["localhost".to_string(), "127.0.0.1".to_string()])?;
        fs::write(&certificate, made.cert.pem())?;
        fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Self { scratch, folder, closing, certificate, key })
    }

    /// A TLS client that trusts the servers, and says HTTP/1.1.
    fn client(&self) -> Result<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.certificate).context("no certificate")?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// Every server that speaks `protocol`.
    fn servers(&self, args: &Peers, protocol: Protocol) -> Result<Vec<Tested>> {
        let mut kinds = vec![(Who::Mphttp, false), (Who::Go, false)];
        if protocol == Protocol::Tcp {
            // nginx has `listen … multipath` since 1.29.7.
            kinds.extend([(Who::Nginx, false), (Who::Mphttp, true), (Who::Nginx, true)]);
        } else {
            kinds.push((Who::Raw, false));
        }
        kinds
            .into_iter()
            .zip(7800..)
            .map(|((who, tls), port)| self.server(args, who, protocol, tls, port))
            .collect()
    }

    fn server(&self, args: &Peers, who: Who, protocol: Protocol, tls: bool, port: u16) -> Result<Tested> {
        let served = self.scratch.served();
        let mut command = match who {
            Who::Nginx => {
                let file = self.folder.join(format!("nginx-{port}.conf"));
                fs::write(&file, self.nginx(&served, tls, port)?)?;
                let mut command = Command::new("nginx");
                command.arg("-c").arg(file);
                command
            }
            Who::Raw => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["raw-server", "--protocol", protocol.as_str(), "--port", &port.to_string()]);
                for file in fs::read_dir(&served)? {
                    let file = file?;
                    let (name, size) = (file.file_name(), file.metadata()?.len());
                    command.arg(format!("--file={}={size}", name.to_string_lossy()));
                }
                command
            }
            Who::Mphttp | Who::Go => args.paths.server(who, protocol, port, &served),
        };
        if who == Who::Mphttp {
            // As many as nginx is given.
            command.args(["--max-connections", "12000"]);
        }
        if tls && who == Who::Mphttp {
            command.arg("--tls-cert").arg(&self.certificate).arg("--tls-key").arg(&self.key);
        }
        Ok(Tested { who, protocol, tls, port, running: Running::start(&command, port, Place::Here)? })
    }

    fn nginx(&self, served: &Path, tls: bool, port: u16) -> Result<String> {
        let folder = self.folder.display();
        let mut text = format!(
            "daemon off;\nworker_processes 2;\npid {folder}/nginx-{port}.pid;\nerror_log {folder}/nginx-{port}.log;\nuser root;\n\
             events {{ worker_connections 12000; }}\nhttp {{\naccess_log off; sendfile on; tcp_nopush on;\n\
             keepalive_requests 1000000000;\ndefault_type application/octet-stream;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(text, "{kind}_temp_path {folder}/{kind};")?;
        }
        let (options, certificate) = if tls {
            let (certificate, key) = (self.certificate.display(), self.key.display());
            (" ssl http2", format!("ssl_certificate {certificate}; ssl_certificate_key {key};"))
        } else {
            ("", String::new())
        };
        writeln!(
            text,
            "server {{ listen 127.0.0.1:{port} reuseport backlog=4096{options}; {certificate} root {}; }}\n}}",
            served.display()
        )?;
        Ok(text)
    }
}
