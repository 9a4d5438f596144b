//! `mphttp paths auto`: endpoints that follow the host's network.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use mptcp_paths::auto::{Change, Keeper, Note, Options, Outcome};
use mptcp_paths::{Endpoint, Error, HostEvents, Settings, Snapshot};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::listen::{Heard, listen};
use super::state::{State, Unavailable};
use super::writer::{Writer, say_apart};
use super::{print, to_json};
use crate::{
    error_reporting::{Failure, report, say},
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
that have no other. After a crash the next run takes over what is left. Does not run beside NetworkManager (unless that is told to leave MPTCP alone) or mptcpd, which do the
same. Needs CAP_NET_ADMIN; --dry-run needs nothing.";

/// Several changes often come together: a carrier, an address, its routes. In between, the host is not worth a look.
const SETTLE: Duration = Duration::from_millis(50);
/// Nobody tells of endpoints that somebody deletes, nor of rivals that start: seen at the next look.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// So many looks in a row may fail, and so long it waits after each.
const PATIENCE: u32 = 5;
const RETRY: Duration = Duration::from_secs(1);

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
    let keeper = Keeper::open(options)?;
    let mut auto = Auto { keeper, json, writer: None, told: Vec::new(), failed: Vec::new() };
    let host = Snapshot::read()?;
    for name in args.backup.iter().filter(|name| host.interface_named(name).is_none()) {
        say(format_args!("note: there is no interface {name} now"));
    }
    if Settings::read().enabled == Some(false) {
        say("note: MPTCP is off, and endpoints are of no use; turn it on: sysctl -w net.mptcp.enabled=1");
    }
    if args.dry_run {
        if let Some(owned) = State::peek() {
            auto.keeper.adopt(owned)?;
        }
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
    block_on(async {
        // Before anything is taken over: who ends it then finds it undone.
        let signals = Signals::new().context("can't listen for signals")?;
        take_over(&mut auto.keeper)?;
        // Before the first look: what happens after it is heard.
        let events = listen(None, HostEvents::open()?)?;
        auto.writer = Some(Writer::start()?);
        let outcome = tokio::select! {
            // To be ended is how it ends.
            _ = signals.any() => Ok(()),
            outcome = auto.keep(events) => outcome,
        };
        let undone = auto.keeper.undo();
        // Whether anybody reads it or not, it is done. What failed before is news again.
        auto.failed.clear();
        let _ = auto.tell(&undone);
        let _ = auto.writer.take().map_or(Ok(()), Writer::finish);
        let left = undone.failures.into_iter().next().map(|(_, error)| {
            anyhow::Error::from(error).context(
                Failure::new(Exit::Other, "not everything could be undone")
                    .hint("mphttp paths shows what is left; the next mphttp paths auto takes it over"),
            )
        });
        match (outcome, left) {
            (Err(error), Some(left)) => {
                report(&left);
                Err(error)
            }
            (Ok(()), Some(left)) => Err(left),
            (outcome, None) => outcome,
        }
    })
}

/// Goes on with what an earlier run left behind, and writes down what this one does.
fn take_over(keeper: &mut Keeper) -> anyhow::Result<()> {
    let state = match State::open() {
        Ok(state) => state,
        Err(Unavailable::Taken) => {
            let message = "another mphttp paths auto runs in this network namespace";
            return Err(Failure::new(Exit::Managed, message).hint("let it, or end it").into());
        }
        Err(Unavailable::Unwritable(directory, error)) => {
            say(format_args!(
                "note: can't write into {} ({error}): after a crash nothing could be undone",
                directory.display()
            ));
            return Ok(());
        }
    };
    let left = state.load();
    let mut told = false;
    keeper.set_journal(move |owned| {
        if let Err(error) = state.save(owned)
            && !std::mem::replace(&mut told, true)
        {
            say_apart(format!("note: can't write down what there is to undo after a crash: {error}"));
        }
    });
    let Some(owned) = left else { return Ok(()) };
    let count = keeper.adopt(owned)?;
    if count > 0 {
        say(format_args!("note: took over {count} endpoints and routings that an earlier run left behind"));
    }
    Ok(())
}

struct Auto {
    keeper: Keeper,
    json: bool,
    /// Where lines go; without it they are written at once.
    writer: Option<Writer>,
    /// Notes and failures that have been told; they are news only once.
    told: Vec<Note>,
    failed: Vec<Change>,
}

impl Auto {
    async fn keep(&mut self, mut events: Receiver<Result<Heard, Error>>) -> anyhow::Result<()> {
        let mut failed = 0;
        loop {
            match self.keeper.look() {
                Ok(outcome) => {
                    failed = 0;
                    self.tell(&outcome)?;
                    let mut failures = outcome.failures.into_iter().map(|(_, error)| error);
                    if let Some(error) = failures.find(|error| matches!(error, Error::Permission { .. })) {
                        return Err(error.into());
                    }
                }
                // To end would be to close live connections' paths.
                Err(error) if failed < PATIENCE && may_pass(&error) => {
                    failed += 1;
                    say_apart(format!("note: can't look at the host now, will try again: {error}"));
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            if let Ok(event) = tokio::time::timeout(LOOK_EVERY, events.recv()).await {
                event.context("the thread that listens to the kernel has ended")??;
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
            if !self.told.contains(note) {
                self.line(&Line::Note { note }, || format!("  {note}"))?;
            }
        }
        self.told.clone_from(&outcome.plan.notes);
        Ok(())
    }

    fn tell_change(&self, change: &Change, failure: Option<&Error>) -> anyhow::Result<()> {
        self.line(&Line::Change { change, error: failure.map(ToString::to_string) }, || {
            let interface = endpoint(change).and_then(|endpoint| endpoint.interface).and_then(interface_name);
            let interface = interface.map(|name| format!(" dev {name}")).unwrap_or_default();
            match failure {
                None => format!("{change}{interface}"),
                Some(error) => format!("{change}{interface}: failed: {error}"),
            }
        })
    }

    fn line(&self, line: &Line<'_>, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut line = if self.json { to_json(line)? } else { text() };
        line.push('\n');
        self.writer.as_ref().map_or_else(|| print(&line), |writer| writer.print(line.clone()))
    }
}

/// Whether a look may succeed later: the host couldn't be read, and nobody has taken over.
const fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Netlink(_) | Error::Malformed(_) | Error::Refused { .. })
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
