//! `mphttp paths`: the endpoints and limits of this host, and what they stand on: shown, changed, watched and kept right.

mod auto;
mod edit;
mod endpoints;
mod listen;
mod show;
mod state;
mod watch;
mod writer;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;

use anyhow::Context;
use clap::{Args, Subcommand};
use mptcp_paths::Endpoint;
use serde::Serialize;

use crate::{error_reporting::Failure, exit::Exit};

const EXAMPLES: &str = "\
Examples:
  mphttp paths                          what there is
  mphttp paths add lte0                 connections get a path from each address of lte0
  mphttp paths add 192.0.2.7 --signal   peers are told of this address
  mphttp paths set 2 --backup           paths from endpoint 2 carry data only when no other can
  mphttp paths del 192.0.2.7
  mphttp paths limits --subflows 4
  mphttp paths watch                    what happens, as it happens
  mphttp paths auto                     all of that by itself, until Ctrl-C

Changing, and watching connections, needs CAP_NET_ADMIN; seeing needs nothing.";

/// Options of `mphttp paths`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PathsArgs {
    #[command(subcommand)]
    verb: Option<PathsVerb>,
    /// Print JSON on stdout: one object, or one a line from `watch` and `auto`.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum PathsVerb {
    /// Let connections use an address of this host (an endpoint, in the kernel's words).
    Add(edit::AddArgs),
    /// Change what an endpoint is used for.
    Set(edit::SetArgs),
    /// Delete endpoints; their paths are closed.
    Del(edit::DelArgs),
    /// Show or set how many paths a connection may have.
    Limits(edit::LimitsArgs),
    /// Print what happens to connections, paths, interfaces, addresses and routes, one line each, until Ctrl-C.
    Watch,
    /// Keep an endpoint for each interface that leads out, as interfaces, addresses and routes come and go.
    Auto(auto::AutoArgs),
}

/// Runs the verb.
pub fn run(args: PathsArgs) -> anyhow::Result<()> {
    match args.verb {
        None => show::run(args.json),
        Some(PathsVerb::Add(add)) => edit::add(&add, args.json),
        Some(PathsVerb::Set(set)) => edit::set(&set, args.json),
        Some(PathsVerb::Del(del)) => edit::del(&del, args.json),
        Some(PathsVerb::Limits(limits)) => edit::limits(&limits, args.json),
        Some(PathsVerb::Watch) => watch::run(args.json),
        Some(PathsVerb::Auto(auto)) => auto::run(&auto, args.json),
    }
}

/// Prints text or JSON, whole, with its line's end.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::silent(Exit::Write, "nobody reads the output").into(),
        _ => anyhow::Error::from(error).context(Failure::new(Exit::Write, "can't write to stdout")),
    })
}

fn to_json(value: &impl Serialize) -> anyhow::Result<String> {
    serde_json::to_string(value).context("can't make JSON of it")
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = to_json(value)?;
    line.push('\n');
    print(&line)
}

/// An endpoint as a line: what it is called, where it is, what it is for.
fn endpoint_line(endpoint: &Endpoint, interface: Option<&str>) -> String {
    let id = endpoint.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let mut line = format!("{id:>3}  {}", at(endpoint.address, endpoint.port));
    if let Some(interface) = interface {
        let _ = write!(line, " dev {interface}");
    }
    let _ = write!(line, "  {}", endpoint.flags);
    line.trim_end().to_owned()
}

fn at(address: IpAddr, port: Option<u16>) -> String {
    port.map_or_else(|| address.to_string(), |port| std::net::SocketAddr::new(address, port).to_string())
}
