//! mphttp against Go's net/http, as client and as server, over TCP and MPTCP: on two links of 100 Mbit/s, where the links
//! should be all that counts, and over loopback, where nothing but the programs does.

use anyhow::Result;
use mphttp::Protocol;
use netlab::{Lab, LinkSpec, Rate};

use crate::measure::{Row, Samples, Variant, alternate};
use crate::programs::{Load, Paths, Peers, Place, Server, Who};
use crate::report::{Environment, Report, Table, said_by};
use crate::scratch::Scratch;

const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Mptcp];
const MB: u64 = 1_000_000;
/// Client and server.
const PAIRS: [(Who, Who); 4] =
    [(Who::Mphttp, Who::Mphttp), (Who::Mphttp, Who::Go), (Who::Go, Who::Mphttp), (Who::Go, Who::Go)];

/// Measures all of it.
///
/// # Errors
/// When anything fails, isn't whole, or speaks another protocol than asked: there is no comparing then.
pub fn run(args: &Peers, quick: bool) -> Result<Report> {
    let scratch = Scratch::new()?;
    let tables = vec![links(&args.paths, &scratch, quick)?, volume(&args.paths, &scratch, quick)?];
    let requests = requests(&args.paths, &scratch, quick)?;
    Ok(Report {
        title: "HTTP against Go's net/http".to_string(),
        text: "`mphttp serve` and `mphttp get` (for many requests: `mphttp::Client`) against a server and a client of a few \
               lines\neach with Go's net/http, both over TCP and over MPTCP. A pair is written client → server."
            .to_string(),
        quick,
        environment: Environment::here(vec![
            ("rustc".to_string(), said_by("rustc", &["--version"]).replace("rustc ", "")),
            args.go(),
        ]),
        tables: tables.into_iter().chain(requests).collect(),
    })
}

/// Every kind of server, each on a port of its own.
fn servers(paths: &Paths, scratch: &Scratch, place: Place<'_>) -> Result<Vec<Server>> {
    let kinds = PROTOCOLS.into_iter().flat_map(|protocol| [(Who::Mphttp, protocol), (Who::Go, protocol)]);
    kinds
        .zip(8000..)
        .map(|((who, protocol), port)| paths.serve(who, protocol, port, &scratch.served(), place))
        .collect()
}

fn name(client: Who, server: Who, protocol: Protocol) -> String {
    format!("{client} → {server}, {protocol}")
}

/// A variant for every client with every server over every protocol.
fn every<'a>(
    servers: &'a [Server],
    measure: impl Fn(Who, &Server) -> Result<f64> + Copy + 'a,
) -> Vec<Variant<'a>> {
    let clients = [Who::Mphttp, Who::Go];
    let pairs = servers.iter().flat_map(|server| clients.map(|client| (client, server)));
    pairs
        .map(|(client, server)| {
            Variant::new(name(client, server.who, server.protocol), move || measure(client, server))
        })
        .collect()
}

/// Each pair against Go with Go; then MPTCP against TCP, for us and for Go.
fn rows(samples: &Samples, what: &str, unit: &'static str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for protocol in PROTOCOLS {
        let peer = name(Who::Go, Who::Go, protocol);
        for (client, server) in PAIRS.into_iter().filter(|pair| *pair != (Who::Go, Who::Go)) {
            rows.push(samples.compare(what, unit, &name(client, server, protocol), &peer)?);
        }
    }
    for who in [Who::Mphttp, Who::Go] {
        let [tcp, mptcp] = PROTOCOLS.map(|protocol| name(who, who, protocol));
        rows.push(samples.compare(&format!("{what}, MPTCP against TCP"), unit, &mptcp, &tcp)?);
    }
    Ok(rows)
}

fn links(paths: &Paths, scratch: &Scratch, quick: bool) -> Result<Table> {
    let (rounds, megabytes) = if quick { (2, 10) } else { (3, 100) };
    eprintln!("two links of 100 Mbit/s");
    let file = scratch.file("large", megabytes * MB)?;
    let lab = Lab::new()?;
    let (phone, host) = (lab.host("phone")?, lab.host("server")?);
    for _ in 0..2 {
        lab.link(&phone, &host, LinkSpec::new().rate(Rate::mbit(100)))?;
    }
    lab.enable_multipath(&phone, &host)?;
    let servers = servers(paths, scratch, Place::On(&host))?;
    // The server's address on the first link.
    let fetch = |client, server: &Server| paths.get(client, server, "10.1.0.2", &file, Place::On(&phone));
    let samples = alternate(rounds, every(&servers, fetch))?;
    Ok(Table {
        title: "Two links of 100 Mbit/s".to_string(),
        text: format!(
            "{megabytes} MB from one host to another that are connected by two links of 100 Mbit/s each, {rounds} rounds. \
             TCP has one\nof them. MPTCP against TCP, 0.50 is all that a second link can give.",
        ),
        rows: rows(&samples, "one file", "s")?,
    })
}

fn volume(paths: &Paths, scratch: &Scratch, quick: bool) -> Result<Table> {
    let (rounds, megabytes) = if quick { (2, 50) } else { (9, 500) };
    eprintln!("a large file over loopback");
    let file = scratch.file("huge", megabytes * MB)?;
    let servers = servers(paths, scratch, Place::Here)?;
    let fetch = |client, server: &Server| {
        let seconds = paths.get(client, server, "127.0.0.1", &file, Place::Here)?;
        Ok(seconds * 1000.0 / f64::from(u32::try_from(megabytes)?))
    };
    let samples = alternate(rounds, every(&servers, fetch))?;
    Ok(Table {
        title: "A large file over loopback".to_string(),
        text: format!("{megabytes} MB into a file in memory, {rounds} rounds."),
        rows: rows(&samples, "one file", "s per GB")?,
    })
}

fn requests(paths: &Paths, scratch: &Scratch, quick: bool) -> Result<Vec<Table>> {
    let rounds = if quick { 2 } else { 9 };
    let file = scratch.file("small", 1000)?;
    let servers = servers(paths, scratch, Place::Here)?;
    let mut tables = Vec::new();
    for (reuse, requests, title) in [
        (true, 10_000, "Requests over connections kept alive"),
        (false, 1_000, "Requests with a connection each"),
    ] {
        eprintln!("{}", title.to_lowercase());
        let requests = if quick { requests / 10 } else { requests };
        let load = Load { requests, workers: 8, reuse };
        let send = |client, server: &Server| paths.load(client, server, &file, load);
        let samples = alternate(rounds, every(&servers, send))?;
        tables.push(Table {
            title: title.to_string(),
            text: format!(
                "{requests} requests for {} bytes from {} workers over loopback, {rounds} rounds.",
                file.size, load.workers
            ),
            rows: rows(&samples, "one request", "µs")?,
        });
    }
    Ok(tables)
}
