//! The program behind `cargo xtask bench`: measures, always against a peer in the same run, and writes what it found.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod fallback;
mod guard;
mod http;
mod layer;
mod load;
mod measure;
mod programs;
mod python;
mod raw;
mod raw_server;
mod report;
mod scratch;
mod serve;
mod situations;

#[derive(Parser)]
struct Cli {
    /// Few rounds and little data: shows that it works
    #[arg(long, global = true)]
    quick: bool,
    /// The directory for the tables
    #[arg(long, global = true, default_value = "docs/benchmarks")]
    out: PathBuf,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// What mptcp-socket costs per connect and per byte, against raw sockets
    Layer,
    /// mphttp against Go's net/http, as client and server, over TCP and MPTCP
    Http(programs::Peers),
    /// mphttp serve beside nginx and Go
    Serve(programs::Peers),
    /// What a fetch costs where MPTCP can't be had, beside Go and curl
    Fallback(programs::Peers),
    /// Every situation that two links get into, beside plain TCP, Go and libcurl
    Situations(situations::Args),
    /// The Python package against http.client, requests and asyncio
    Python(python::Args),
    /// Send many requests and print what came of it: a client in the bench `http`
    #[command(hide = true)]
    Load(load::Args),
    /// Answer from memory with sockets made by hand: a server in the bench `serve`
    #[command(hide = true)]
    RawServer(raw_server::Args),
    /// Run a server until stdin ends
    #[command(hide = true)]
    Guard(guard::Args),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    // Measurements begin in an empty network, of which loopback is all; the load, and the servers, are in that of theirs.
    if !matches!(cli.bench, Bench::Load(_) | Bench::Guard(_) | Bench::RawServer(_)) {
        netlab::enter()?;
    }
    match &cli.bench {
        Bench::Layer => layer::run(cli.quick)?.write(&cli.out, "overhead"),
        Bench::Http(args) => http::run(args, cli.quick)?.write(&cli.out, "http"),
        Bench::Serve(args) => serve::run(args, cli.quick)?.write(&cli.out, "serve"),
        Bench::Fallback(args) => fallback::run(args, cli.quick, &cli.out),
        Bench::Situations(args) => situations::run(args, cli.quick, &cli.out),
        Bench::Python(args) => python::run(args, cli.quick)?.write(&cli.out, "python"),
        Bench::Load(args) => load::run(args),
        Bench::RawServer(args) => raw_server::run(args),
        Bench::Guard(args) => guard::run(args),
    }
}
