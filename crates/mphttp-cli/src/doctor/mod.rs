//! `mphttp doctor`: why MPTCP, or its second path, does not work, and what mends it.

mod fix;
mod text;

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;
use mphttp::{
    Client,
    doctor::{Doctor, Examination, Report, Verdict},
};
use serde::Serialize;

use crate::{
    error_reporting::{Failure, exit_code},
    exit::Exit,
    get::report::{json_error, print},
    runtime::block_on,
};

/// The end of `--help`.
pub const HELP: &str = "\
Examples:
  mphttp doctor                                 this host
  mphttp doctor http://server:8000/big.iso      and the way to a server
  mphttp doctor --server                        this host as a server
  mphttp doctor --fix                           asks, mends what is safe, and says how to take it back
  mphttp doctor --json | jq -r '.findings[].commands[]'

Exit codes:
    0  MPTCP works; there may be notes
  120  MPTCP does not work: this host can't, or the connection to the URL is plain TCP, or there is none
  121  MPTCP works, and something keeps it from being what it could be
  Others are errors of the doctor itself, as for mphttp get.";

/// Options of `mphttp doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// What to fetch, best a file of some megabytes; http:// is meant where no scheme is given.
    url: Option<String>,
    /// Judge this host as a server: what it announces, and whether it takes the paths that come of it.
    #[arg(long)]
    server: bool,
    /// Mend what is safe to mend (endpoints, limits and sysctls of this host), after asking for each; print how to take it
    /// back; look again. The exit code is that of the second look. Needs CAP_NET_ADMIN.
    #[arg(long)]
    fix: bool,
    /// With --fix: don't ask.
    #[arg(long, short, requires = "fix")]
    yes: bool,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
    /// Accept any certificate.
    #[arg(long, short = 'k')]
    insecure: bool,
    /// Trust the certificates in this PEM file as well as the system's.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Summary {
    #[serde(flatten)]
    report: Report,
    /// What `--fix` did.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<Vec<fix::Fixed>>,
}

/// Runs the verb.
pub fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let outcome = look(args);
    if let Err(error) = &outcome
        && args.json
        && !matches!(exit_code(error), Exit::NotMptcp | Exit::Findings)
    {
        // The failure itself is what matters; that nobody reads stdout is no second one.
        let _ = print(&json_error(exit_code(error), &error.to_string()));
    }
    outcome
}

fn look(args: &DoctorArgs) -> anyhow::Result<()> {
    if args.fix {
        fix::check(args.yes, args.json)?;
    }
    let mut examination = examine(args)?;
    let mut fixed = None;
    if args.fix {
        if !args.json {
            text::print(&examination)?;
        }
        let done = fix::all(&examination.findings, args.yes, args.json)?;
        if !done.is_empty() {
            examination = examine(args)?;
        }
        if !args.json {
            text::print_fixed(&done)?;
            if !done.is_empty() {
                text::print(&examination)?;
            }
        }
        fixed = Some(done);
    } else if !args.json {
        text::print(&examination)?;
    }
    if args.json {
        let summary = Summary { report: Report::from(&examination), fixed };
        let mut line = serde_json::to_vec(&summary).context("can't write JSON")?;
        line.push(b'\n');
        print(&line).context(Failure::new(Exit::Write, "can't write to stdout"))?;
    }
    match examination.verdict() {
        Verdict::NoMptcp => Err(Failure::silent(Exit::NotMptcp, "MPTCP does not work").into()),
        Verdict::Findings => Err(Failure::silent(Exit::Findings, "there are findings").into()),
        _ => Ok(()),
    }
}

fn examine(args: &DoctorArgs) -> anyhow::Result<Examination> {
    let mut client = Client::builder().danger_accept_invalid_certs(args.insecure);
    if let Some(path) = &args.cacert {
        let pem = fs::read(path).with_context(|| {
            Failure::new(Exit::CaCertificate, format!("can't read the certificates in {}", path.display()))
        })?;
        client = client.add_root_certificate_pem(pem).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            anyhow::Error::from(Failure::new(Exit::CaCertificate, message))
        })?;
    }
    let mut doctor = Doctor::new().client(client);
    if args.server {
        doctor = doctor.server();
    }
    if let Some(url) = &args.url {
        doctor = doctor.url(if url.contains("://") { url.clone() } else { format!("http://{url}") });
    }
    block_on(async { Ok(doctor.examine().await?) })
}
