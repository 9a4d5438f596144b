//! `mphttp paths auto`: endpoints that follow the host's network.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use mptcp_paths::auto::{Change, Keeper, Note, Options, Outcome};
use mptcp_paths::{Endpoint, Error, HostEvents, Snapshot};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::listen::{Heard, listen};
use super::{print, print_json};
use crate::{
    error_reporting::{Failure, say},
    exit::Exit,
    get::Signals,
    runtime::block_on,
};

const ABOUT: &str = "\
Every interface that is up, has an address that reaches further than its link, and a default route, gets an endpoint for
its IPv4 and one for its IPv6 address; the limits are raised to match. When such an interface goes, its endpoint goes, and
connections go on over the others; when it comes back, they get a path over it again within a moment, which the kernel
alone does not do.

Where an interface filters reverse paths strictly (rp_filter=1), what comes from its address gets a routing table of its
own. An interface without any default route is left alone: no gateway is made up. Nothing is led around a tunnel (VPN)
that the host's traffic goes through. Endpoints that somebody else made are left alone.

Runs until Ctrl-C or SIGTERM, then undoes all that it did: the paths of its endpoints are closed, which ends connections
that have no other. Does not run beside NetworkManager (unless that is told to leave MPTCP alone) or mptcpd, which do the
same. Needs CAP_NET_ADMIN; --dry-run needs nothing.";

/// Several changes often come together: a carrier, an address, its routes. In between, the host is not worth a look.
const SETTLE: Duration = Duration::from_millis(50);
/// Nobody tells of endpoints that somebody deletes, nor of rivals that start: seen at the next look.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Options of `mphttp paths auto`.
#[derive(Args, Debug)]
#[command(after_long_help = ABOUT)]
pub(super) struct AutoArgs {
    /// Set everything up for the host as it is now, and end; nothing is undone.
    #[arg(long)]
    once: bool,
    /// Paths over this interface carry data only when no other can. Can be given several times.
    #[arg(long, value_name = "IFACE")]
    backup: Vec<String>,
    /// Print what would be done now, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A line of what was done, for programs.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Change {
        #[serde(flatten)]
        change: &'a Change,
        error: Option<String>,
    },
    Note {
        #[serde(flatten)]
        note: &'a Note,
    },
}

/// Runs the verb.
pub(super) fn run(args: &AutoArgs, json: bool) -> anyhow::Result<()> {
    let mut options = Options::default();
    options.backup.clone_from(&args.backup);
    let mut auto = Auto { keeper: Keeper::open(options)?, json, told: Vec::new(), failed: Vec::new() };
    let host = Snapshot::read()?;
    for name in args.backup.iter().filter(|name| host.interface_named(name).is_none()) {
        say(format_args!("note: there is no interface {name} now"));
    }
    if args.dry_run {
        let mut outcome = Outcome::default();
        outcome.plan = auto.keeper.plan()?;
        return auto.tell(&outcome);
    }
    if args.once {
        let outcome = auto.keeper.look()?;
        auto.tell(&outcome)?;
        return match outcome.failures.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(()),
        };
    }
    // Before the first look: what happens after it is heard.
    let events = listen(None, HostEvents::open()?)?;
    block_on(async {
        let signals = Signals::new().context("can't listen for signals")?;
        let outcome = tokio::select! {
            // To be ended is how it ends.
            _ = signals.any() => Ok(()),
            outcome = auto.keep(events) => outcome,
        };
        let undone = auto.keeper.undo();
        if let Ok(changes) = &undone {
            // Whether anybody reads it or not, it is done.
            let _ = changes.iter().try_for_each(|change| auto.tell_change(change, None));
        }
        outcome?;
        undone.context(
            Failure::new(Exit::Other, "not everything could be undone")
                .hint("mphttp paths shows what is left"),
        )?;
        Ok(())
    })
}

struct Auto {
    keeper: Keeper,
    json: bool,
    /// Notes and failures that have been told; they are news only once.
    told: Vec<Note>,
    failed: Vec<Change>,
}

impl Auto {
    async fn keep(&mut self, mut events: Receiver<Result<Heard, Error>>) -> anyhow::Result<()> {
        loop {
            let outcome = self.keeper.look()?;
            self.tell(&outcome)?;
            if let Ok(event) = tokio::time::timeout(LOOK_EVERY, events.recv()).await {
                event.transpose()?;
                tokio::time::sleep(SETTLE).await;
                while let Ok(event) = events.try_recv() {
                    event?;
                }
            }
        }
    }

    fn tell(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        for change in &outcome.plan.changes {
            let failure =
                outcome.failures.iter().find(|(failed, _)| failed == change).map(|(_, error)| error);
            if failure.is_none() || !self.failed.contains(change) {
                self.tell_change(change, failure)?;
            }
        }
        self.failed = outcome.failures.iter().map(|(change, _)| change.clone()).collect();
        for note in &outcome.plan.notes {
            if self.told.contains(note) {
                continue;
            }
            if self.json { print_json(&Line::Note { note })? } else { print(&format!("  {note}\n"))? }
        }
        self.told.clone_from(&outcome.plan.notes);
        Ok(())
    }

    fn tell_change(&self, change: &Change, failure: Option<&Error>) -> anyhow::Result<()> {
        if self.json {
            return print_json(&Line::Change { change, error: failure.map(ToString::to_string) });
        }
        let interface = endpoint(change).and_then(|endpoint| endpoint.interface).and_then(interface_name);
        let interface = interface.map(|name| format!(" dev {name}")).unwrap_or_default();
        match failure {
            None => print(&format!("{change}{interface}\n")),
            Some(error) => print(&format!("{change}{interface}: failed: {error}\n")),
        }
    }
}

const fn endpoint(change: &Change) -> Option<&Endpoint> {
    match change {
        Change::AddEndpoint(endpoint) | Change::SetBackup(endpoint, _) | Change::DeleteEndpoint(endpoint) => {
            Some(endpoint)
        }
        _ => None,
    }
}

fn interface_name(index: u32) -> Option<String> {
    Snapshot::read().ok()?.interface(index).map(|interface| interface.name.clone())
}
