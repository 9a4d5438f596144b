//! `mphttp paths add`, `set`, `del` and `limits`.

use clap::Args;
use mptcp_paths::{Endpoint, EndpointFlags, FlagChange, Limits, ManagerKind, PathManager, Snapshot};

use super::endpoints::{Named, addresses, index_of};
use super::{endpoint_line, print, print_json};
use crate::{
    error_reporting::{Failure, say},
    exit::Exit,
};

/// Options of `mphttp paths add`.
#[derive(Args, Debug)]
pub(super) struct AddArgs {
    /// An address of this host, or an interface: its IPv4 and its IPv6 address, bound to it.
    #[arg(value_name = "ADDR|IFACE")]
    what: String,
    /// Connections open a path from here [default, without --signal].
    #[arg(long)]
    subflow: bool,
    /// Peers are told of this address, so that they can open paths to it (ADD_ADDR).
    #[arg(long)]
    signal: bool,
    /// Paths from here carry data only when no other can.
    #[arg(long)]
    backup: bool,
    /// Connections open a path from here to every address of the peer, not only to the first.
    #[arg(long, conflicts_with = "signal")]
    fullmesh: bool,
    /// Announced addresses of peers are answered from here (Linux 6.18 or newer).
    #[arg(long)]
    laminar: bool,
    /// The port to announce, on which the kernel then listens for paths.
    #[arg(long, value_name = "N", requires = "signal", conflicts_with = "subflow", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Bind paths from here to this interface, whatever the routes say [default: the interface, if one is given].
    #[arg(long, value_name = "IFACE")]
    dev: Option<String>,
    /// The endpoint's number, 1 to 255 [default: the next free one].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    id: Option<u8>,
}

/// Options of `mphttp paths set`.
#[derive(Args, Debug)]
pub(super) struct SetArgs {
    /// The endpoint's number, or its address, with the port if it has one and others have the address.
    #[arg(value_name = "ID|ADDR[:PORT]")]
    which: Named,
    #[command(flatten)]
    changes: Changes,
}

/// A switch for each flag, and one against it.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Paths from here carry data only when no other can; peers are told at once.
    #[arg(long, overrides_with = "no_backup")]
    backup: bool,
    /// Paths from here carry data like others.
    #[arg(long)]
    no_backup: bool,
    /// Open a path from here to every address of the peer; its paths are opened anew.
    #[arg(long, overrides_with = "no_fullmesh")]
    fullmesh: bool,
    /// Open a path to the peer's first address only; its paths are opened anew.
    #[arg(long)]
    no_fullmesh: bool,
    /// Connections open a path from here. This and all below delete the endpoint and make it again.
    #[arg(long, overrides_with = "no_subflow")]
    subflow: bool,
    /// Connections open no path from here by themselves.
    #[arg(long)]
    no_subflow: bool,
    /// Peers are told of this address.
    #[arg(long, overrides_with = "no_signal")]
    signal: bool,
    /// Peers are not told of this address.
    #[arg(long)]
    no_signal: bool,
    /// Announced addresses of peers are answered from here (Linux 6.18 or newer).
    #[arg(long, overrides_with = "no_laminar")]
    laminar: bool,
    /// Announced addresses of peers are not answered from here.
    #[arg(long)]
    no_laminar: bool,
}

/// Options of `mphttp paths del`.
#[derive(Args, Debug)]
pub(super) struct DelArgs {
    /// The endpoints' numbers, or their addresses, with the port if one has a port and others have the address.
    #[arg(value_name = "ID|ADDR[:PORT]", required_unless_present = "all")]
    which: Vec<Named>,
    /// Delete every endpoint.
    #[arg(long, conflicts_with = "which")]
    all: bool,
}

/// Options of `mphttp paths limits`.
#[derive(Args, Debug)]
pub(super) struct LimitsArgs {
    /// Paths that a connection may have besides its first one, 0 to 8; the kernel's default is 2.
    #[arg(long, value_name = "N", value_parser = limit())]
    subflows: Option<u32>,
    /// Addresses announced by the peer that a connection makes use of, 0 to 8; the kernel's default is 0.
    #[arg(long, value_name = "N", value_parser = limit())]
    add_addr_accepted: Option<u32>,
}

fn limit() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(..=i64::from(Limits::MAX))
}

/// Adds endpoints.
pub(super) fn add(args: &AddArgs, json: bool) -> anyhow::Result<()> {
    let host = Snapshot::read()?;
    let (found, of_interface) = addresses(&host, &args.what)?;
    if args.id.is_some() && found.len() > 1 {
        let hint = format!("add them one by one: {} and {}", found[0], found[1]);
        return Err(Failure::new(Exit::Usage, "--id is for one address, and this interface has two")
            .hint(hint)
            .into());
    }
    let interface = match &args.dev {
        Some(name) => Some(index_of(&host, name)?),
        None => of_interface,
    };
    let flags = EndpointFlags {
        subflow: args.subflow || !(args.signal || args.laminar),
        signal: args.signal,
        backup: args.backup,
        fullmesh: args.fullmesh,
        laminar: args.laminar,
        implicit: false,
    };
    let mut manager = PathManager::open()?;
    let mut made = Vec::new();
    let add = || -> anyhow::Result<()> {
        for address in found {
            let endpoint = Endpoint { address, port: args.port, id: args.id, interface, flags };
            manager.add(&endpoint)?;
            made.extend(manager.endpoints()?.into_iter().find(|there| there.is_at(&endpoint)));
            if host.interface_with(address).is_none() {
                say(format_args!("note: no interface of this host has the address {address} now"));
            }
        }
        Ok(())
    };
    let added = add();
    if added.is_ok() || !made.is_empty() {
        // Also if another could not be made: they stay.
        show(&made, &host, json)?;
    }
    added?;
    advise(&mut manager)
}

/// What keeps the endpoints from being used.
fn advise(manager: &mut PathManager) -> anyhow::Result<()> {
    if let Some(kind @ (ManagerKind::Userspace | ManagerKind::Other(_))) = PathManager::kind() {
        say(format_args!("note: endpoints are not used while the path manager is {kind}"));
    }
    let endpoints = manager.endpoints()?;
    let from_here = |ipv6: bool| {
        endpoints
            .iter()
            .filter(|endpoint| endpoint.flags.subflow && endpoint.address.is_ipv6() == ipv6)
            .count()
    };
    let (most, allowed) = (from_here(false).max(from_here(true)), manager.limits()?.subflows);
    // The first path of a connection comes from one of them.
    if most > allowed as usize + 1 {
        say(format_args!(
            "note: connections may have {allowed} paths besides the first: mphttp paths limits --subflows {}",
            most - 1
        ));
    }
    Ok(())
}

fn show(endpoints: &[Endpoint], host: &Snapshot, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&endpoints);
    }
    let line = |endpoint: &Endpoint| {
        let interface = endpoint.interface.and_then(|index| host.interface(index));
        endpoint_line(endpoint, interface.map(|interface| interface.name.as_str())) + "\n"
    };
    print(&endpoints.iter().map(line).collect::<String>())
}

/// Changes an endpoint.
pub(super) fn set(args: &SetArgs, json: bool) -> anyhow::Result<()> {
    let mut manager = PathManager::open()?;
    let endpoints = manager.endpoints()?;
    let endpoint = args.which.find(&endpoints)?;
    let id = endpoint.id.ok_or_else(|| Failure::new(Exit::Other, "the kernel tells no number for it"))?;
    let changes = &args.changes;
    let switch = |on: bool, off: bool| if on || off { Some(on) } else { None };
    let in_place = FlagChange {
        backup: switch(changes.backup, changes.no_backup),
        fullmesh: switch(changes.fullmesh, changes.no_fullmesh),
    };
    let was = endpoint.flags;
    let flags = EndpointFlags {
        subflow: switch(changes.subflow, changes.no_subflow).unwrap_or(was.subflow),
        signal: switch(changes.signal, changes.no_signal).unwrap_or(was.signal),
        laminar: switch(changes.laminar, changes.no_laminar).unwrap_or(was.laminar),
        implicit: false,
        ..in_place.apply(was)
    };
    let anew = (flags.subflow, flags.signal, flags.laminar) != (was.subflow, was.signal, was.laminar);
    if anew {
        // The kernel can't change these in place.
        manager.delete(id)?;
        if let Err(error) = manager.add(&Endpoint { flags, ..endpoint.clone() }) {
            let before = Endpoint { flags: EndpointFlags { implicit: false, ..was }, ..endpoint.clone() };
            let error = anyhow::Error::from(error);
            return Err(match manager.add(&before) {
                Ok(()) => error.context("the endpoint can't be changed, and is as it was"),
                Err(again) => error.context(lost(&before, &again, &Snapshot::read()?)),
            });
        }
    } else if flags != was {
        manager.change(id, in_place)?;
    }
    show(&manager.endpoint(id)?.into_iter().collect::<Vec<_>>(), &Snapshot::read()?, json)
}

/// That an endpoint is gone which was only to be changed, and how to make it again.
fn lost(endpoint: &Endpoint, error: &mptcp_paths::Error, host: &Snapshot) -> Failure {
    let mut command = format!("mphttp paths add {}", endpoint.address);
    for word in endpoint.flags.words() {
        command.push_str(&format!(" --{word}"));
    }
    if let Some(port) = endpoint.port {
        command.push_str(&format!(" --port {port}"));
    }
    if let Some(interface) = endpoint.interface.and_then(|index| host.interface(index)) {
        command.push_str(&format!(" --dev {}", interface.name));
    }
    if let Some(id) = endpoint.id {
        command.push_str(&format!(" --id {id}"));
    }
    let address = endpoint.address;
    let message =
        format!("the endpoint {address} was deleted to be changed, and can't be made again: {error}");
    Failure::new(Exit::Other, message).hint(command)
}

/// Deletes endpoints.
pub(super) fn del(args: &DelArgs, json: bool) -> anyhow::Result<()> {
    let mut manager = PathManager::open()?;
    let endpoints = manager.endpoints()?;
    let mut gone = Vec::new();
    if args.all {
        manager.flush()?;
        gone = endpoints;
    } else {
        // All of them are looked up first, so that a wrong name changes nothing.
        let found: Vec<_> =
            args.which.iter().map(|which| which.find(&endpoints)).collect::<Result<_, _>>()?;
        for endpoint in found {
            if gone.contains(endpoint) {
                continue;
            }
            if let Some(id) = endpoint.id {
                manager.delete(id)?;
            }
            gone.push(endpoint.clone());
        }
    }
    if json { print_json(&gone) } else { Ok(()) }
}

/// Shows or sets the limits.
pub(super) fn limits(args: &LimitsArgs, json: bool) -> anyhow::Result<()> {
    let mut manager = PathManager::open()?;
    let was = manager.limits()?;
    let wanted = Limits {
        subflows: args.subflows.unwrap_or(was.subflows),
        add_addr_accepted: args.add_addr_accepted.unwrap_or(was.add_addr_accepted),
    };
    if args.subflows.is_some() || args.add_addr_accepted.is_some() {
        manager.set_limits(wanted)?;
    }
    let limits = manager.limits()?;
    if json {
        return print_json(&limits);
    }
    print(&format!("subflows {}\nadd-addr-accepted {}\n", limits.subflows, limits.add_addr_accepted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_lost_is_told_with_the_way_to_make_it_again() {
        let flags = EndpointFlags { backup: true, ..EndpointFlags::SIGNAL };
        let address = std::net::IpAddr::from([192, 0, 2, 7]);
        let endpoint = Endpoint { id: Some(9), port: Some(80), ..Endpoint::new(address, flags) };
        let failure = lost(&endpoint, &mptcp_paths::Error::Full, &Snapshot::default());
        let told = crate::error_reporting::describe(&anyhow::Error::from(failure));
        assert!(told.contains("the endpoint 192.0.2.7 was deleted") && told.contains("8 endpoints already"));
        assert!(told.ends_with("mphttp paths add 192.0.2.7 --signal --backup --port 80 --id 9"), "{told}");
    }
}
