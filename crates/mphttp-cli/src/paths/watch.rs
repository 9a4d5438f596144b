//! `mphttp paths watch`: events, one line each.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::Context;
use mptcp_paths::{
    Connection, Error, HostEvent, HostEvents, InterfaceAddress, PathEvent, PathEvents, Route, RouteKind,
    Snapshot, Subflow,
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tokio::sync::mpsc::Receiver;

use super::listen::{Heard, listen};
use super::{print, print_json};
use crate::{access_log::RFC3339, error_reporting::say, get::Signals, runtime::block_on};

const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");

/// One line for programs.
#[derive(Serialize)]
struct Line<'a, E: Serialize> {
    time: &'a str,
    /// `connection` or `host`.
    about: &'static str,
    #[serde(flatten)]
    event: &'a E,
}

/// Prints events until a signal comes.
pub(super) fn run(json: bool) -> anyhow::Result<()> {
    let host = HostEvents::open()?;
    let paths = match PathEvents::open() {
        Ok(paths) => Some(paths),
        // What can be seen is shown.
        Err(error @ (Error::Permission { .. } | Error::NoFamily | Error::Lacks { .. })) => {
            say(format_args!("note: {error}; only the host's own events are shown"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    // What came before is known by now, and what comes from now on is heard.
    let names = Snapshot::read()?.interfaces.into_iter().map(|known| (known.index, known.name)).collect();
    let events = listen(paths, host)?;
    block_on(async {
        let signals = Signals::new().context("can't listen for signals")?;
        let mut watch = Watch { names, json };
        tokio::select! {
            // To be ended is what it was started for.
            _ = signals.any() => Ok(()),
            outcome = watch.run(events) => outcome,
        }
    })
}

struct Watch {
    names: HashMap<u32, String>,
    json: bool,
}

impl Watch {
    async fn run(&mut self, mut events: Receiver<Result<Heard, Error>>) -> anyhow::Result<()> {
        while let Some(event) = events.recv().await {
            match event? {
                Heard::Path(event) => self.path(&event)?,
                Heard::Host(event) => self.host(&event)?,
            }
        }
        Ok(())
    }

    fn path(&self, event: &PathEvent) -> anyhow::Result<()> {
        self.line("connection", event, || Some(self.path_words(event)))
    }

    fn host(&mut self, event: &HostEvent) -> anyhow::Result<()> {
        if let HostEvent::Interface(interface) = event {
            self.names.insert(interface.index, interface.name.clone());
        }
        self.line("host", event, || self.host_words(event))
    }

    fn line<E: Serialize>(
        &self,
        about: &'static str,
        event: &E,
        words: impl FnOnce() -> Option<String>,
    ) -> anyhow::Result<()> {
        let now = OffsetDateTime::now_utc();
        if self.json {
            let time = now.format(RFC3339).unwrap_or_default();
            return print_json(&Line { time: &time, about, event });
        }
        let Some(words) = words() else { return Ok(()) };
        print(&format!("{} {words}\n", now.format(CLOCK).unwrap_or_default()))
    }

    fn name(&self, index: Option<u32>) -> String {
        let name = |index| self.names.get(&index).cloned().unwrap_or_else(|| format!("#{index}"));
        index.map(name).unwrap_or_default()
    }

    fn path_words(&self, event: &PathEvent) -> String {
        let connection = |what: &str, connection: &Connection| {
            let side = if connection.server_side { "accepted" } else { "made here" };
            let denies =
                if connection.peer_denies_joins == Some(true) { ", no joins to this address" } else { "" };
            let ends = format!("{} -> {}", connection.local, connection.remote);
            format!("{:08x} {what} {ends} ({side}{denies})", connection.token)
        };
        let path = |what: &str, path: &Subflow| {
            let mut words = format!("{:08x} {what} {path}", path.token);
            if let Some(index) = path.interface {
                let _ = write!(words, " dev {}", self.name(Some(index)));
            }
            if let Some(why) = path.why() {
                let _ = write!(words, ": {why}");
            }
            words
        };
        match event {
            PathEvent::Created(made) => connection("created", made),
            PathEvent::Established(made) => connection("established", made),
            PathEvent::Closed { token } => format!("{token:08x} closed"),
            PathEvent::Announced { token, remote_id, address, port } => {
                format!("{token:08x} announced by the peer: {} (id {remote_id})", super::at(*address, *port))
            }
            PathEvent::Removed { token, remote_id } => {
                format!("{token:08x} withdrawn by the peer: id {remote_id}")
            }
            PathEvent::SubflowEstablished(joined) => path("path added", joined),
            PathEvent::SubflowClosed(closed) => path("path closed", closed),
            PathEvent::SubflowPriority(changed) if changed.backup => path("path is a backup now:", changed),
            PathEvent::SubflowPriority(changed) => path("path is no backup now:", changed),
            PathEvent::ListenerCreated { local } => format!("listening for paths on {local}"),
            PathEvent::ListenerClosed { local } => format!("no more listening on {local}"),
            PathEvent::Lost => "events were lost: there were too many at once".to_owned(),
            PathEvent::Unknown { number } => format!("event {number}, unknown to this version"),
            other => format!("{other:?}"),
        }
    }

    /// `None` for what is no news to people: routes to single addresses of this host, and to the like.
    fn host_words(&self, event: &HostEvent) -> Option<String> {
        let address = |sign: char, changed: &InterfaceAddress| {
            let own = &changed.address;
            let note = if own.tentative { " (tentative)" } else { "" };
            format!("{sign} address {} dev {}{note}", own.subnet(), self.name(Some(changed.interface)))
        };
        let route = |sign: char, route: &Route| {
            let hop = route.hops.first().filter(|_| route.kind == RouteKind::Unicast)?;
            let to = if route.is_default() { "default".to_owned() } else { route.destination.to_string() };
            let mut words = format!("{sign} route {to}");
            if let Some(gateway) = hop.gateway {
                let _ = write!(words, " via {gateway}");
            }
            let _ = write!(words, " dev {} metric {}", self.name(hop.interface), route.metric);
            if route.table != Route::MAIN {
                let _ = write!(words, " table {}", route.table);
            }
            Some(words)
        };
        Some(match event {
            HostEvent::Interface(changed) => {
                let state = match (changed.up, changed.carrier) {
                    (false, _) => "down",
                    (true, false) => "no carrier",
                    (true, true) => changed.state.as_str(),
                };
                format!("interface {}: {state}", changed.name)
            }
            HostEvent::InterfaceGone(gone) => format!("- interface {}", gone.name),
            HostEvent::Address(new) => address('+', new),
            HostEvent::AddressGone(gone) => address('-', gone),
            HostEvent::Route(new) => route('+', new)?,
            HostEvent::RouteGone(gone) => route('-', gone)?,
            HostEvent::Rule(new) => format!("+ rule {}", new.priority),
            HostEvent::RuleGone(gone) => format!("- rule {}", gone.priority),
            HostEvent::Lost => "events were lost: there were too many at once".to_owned(),
            _ => return None,
        })
    }
}
