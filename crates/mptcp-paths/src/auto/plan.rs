//! What to change so that the endpoints fit the host: pure, from what is to what should be.

use std::fmt;
use std::net::IpAddr;

use super::want::{Note, Wanted, Why, has_source_routing, wanted, way_out};
use crate::{Endpoint, EndpointFlags, FlagChange, Limits, Snapshot};

/// Announced addresses that connections use at least: servers behind load balancers announce where joins reach them.
const ACCEPTED: u32 = 2;
/// Where the tables of [`SourceRouting`] begin: far from the numbers that people choose.
const FIRST_TABLE: u32 = 0x6d70_0000;
/// The priorities of the two rules of [`SourceRouting`], before the main table's 32766.
const RULE_PRIORITY: u32 = 32_100;

/// What is wanted of the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// Names of interfaces whose paths carry data only when no other can.
    pub backup: Vec<String>,
}

/// What was made so far, and is to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Owned {
    /// The endpoints.
    pub endpoints: Vec<Made>,
    /// The routes and rules.
    pub routings: Vec<SourceRouting>,
    /// The limits that were found, and those set in their place.
    pub limits: Option<(Limits, Limits)>,
}

/// An endpoint that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Made {
    /// The endpoint, with its identifier.
    pub endpoint: Endpoint,
    /// Whether its interface was seen to be of no use since: its paths are dead or asleep by now.
    pub stalled: bool,
}

/// Routes and rules that let what comes from an address leave through its interface, in both directions of the kernel's
/// reverse path filter: a table with one default route, a rule that sends the address there, and one before it that
/// prefers the main table's more precise routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SourceRouting {
    /// The address.
    pub address: IpAddr,
    /// The index of the interface.
    pub interface: u32,
    /// The router; `None` where there is none on the link.
    pub gateway: Option<IpAddr>,
    /// The number of the table.
    pub table: u32,
    /// The priority of the first of the two rules; the second comes right after it.
    pub priority: u32,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "change", content = "what", rename_all = "kebab-case")
)]
#[non_exhaustive]
pub enum Change {
    /// Set the limits.
    SetLimits(Limits),
    /// Add routes and rules.
    AddRouting(SourceRouting),
    /// Add an endpoint; connections open paths from it.
    AddEndpoint(Endpoint),
    /// Make an endpoint's paths backups, or stop that.
    SetBackup(Endpoint, bool),
    /// Delete an endpoint; its paths are closed.
    DeleteEndpoint(Endpoint),
    /// Delete routes and rules.
    DeleteRouting(SourceRouting),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetLimits(limits) => write!(
                f,
                "limits: {} subflows, {} announced addresses",
                limits.subflows, limits.add_addr_accepted
            ),
            Self::AddRouting(routing) => write!(f, "+ {routing}"),
            Self::AddEndpoint(endpoint) => write!(f, "+ endpoint {} {}", endpoint.address, endpoint.flags),
            Self::SetBackup(endpoint, true) => write!(f, "  endpoint {} is a backup now", endpoint.address),
            Self::SetBackup(endpoint, false) => write!(f, "  endpoint {} is no backup now", endpoint.address),
            Self::DeleteEndpoint(endpoint) => write!(f, "- endpoint {} {}", endpoint.address, endpoint.flags),
            Self::DeleteRouting(routing) => write!(f, "- {routing}"),
        }
    }
}

impl fmt::Display for SourceRouting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "routing of what comes from {}: table {}", self.address, self.table)?;
        self.gateway.map_or(Ok(()), |gateway| write!(f, ", via {gateway}"))
    }
}

/// What is to be done, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The changes, in this order.
    pub changes: Vec<Change>,
    /// Interfaces and addresses that get no endpoint.
    pub notes: Vec<Note>,
    /// Addresses of endpoints that are of no use now, and stay because their connections have nothing better.
    pub stalled: Vec<IpAddr>,
}

impl Owned {
    /// Whether this address of this interface is an endpoint of ours.
    pub(super) fn has(&self, address: IpAddr, interface: u32) -> bool {
        self.endpoints
            .iter()
            .any(|made| made.endpoint.address == address && made.endpoint.interface == Some(interface))
    }

    /// What undoes everything, endpoints that were made first last: that of the best way out. `limits` are those now;
    /// if somebody else has changed them, they stay.
    #[must_use]
    pub fn undo(&self, limits: Limits) -> Vec<Change> {
        let endpoints = self.endpoints.iter().rev();
        let mut changes: Vec<_> =
            endpoints.map(|made| Change::DeleteEndpoint(made.endpoint.clone())).collect();
        changes.extend(self.routings.iter().cloned().map(Change::DeleteRouting));
        if let Some((found, set)) = self.limits
            && limits == set
        {
            changes.push(Change::SetLimits(found));
        }
        changes
    }
}

/// Says what to change. `endpoints` and `limits` are the kernel's.
#[must_use]
pub fn plan(
    options: &Options,
    owned: &Owned,
    host: &Snapshot,
    endpoints: &[Endpoint],
    limits: Limits,
) -> Plan {
    let (usable, notes) = wanted(options, owned, host);
    let mut plan = Plan { notes, ..Plan::default() };
    let mine = |endpoint: &Endpoint| {
        owned.endpoints.iter().find(|made| made.endpoint.is_at(endpoint) && made.endpoint.id == endpoint.id)
    };
    let others = || endpoints.iter().filter(|endpoint| mine(endpoint).is_none());
    // What the kernel made by itself gives way to an endpoint with its address.
    let held = |address| others().any(|other| other.address == address && !other.flags.implicit);
    let replaces = |wanted: &Wanted| others().any(|other| other.address == wanted.address);
    // Endpoints of a family that gets no new one stay: connections without any path die within a minute, with a dead one
    // they wait for it much longer. What stays takes room, so that more may have to stay.
    let is_covered = |targets: &[&Wanted], address: IpAddr| {
        let alike = |other: IpAddr| other.is_ipv6() == address.is_ipv6();
        targets.iter().any(|target| alike(target.address))
            || usable.iter().any(|way| alike(way.address) && held(way.address))
    };
    let (mut targets, mut left_out) = (Vec::new(), Vec::new());
    let stay = |address: IpAddr| !usable.iter().any(|way| way.address.is_ipv6() == address.is_ipv6());
    let mut staying = [stay(IpAddr::from([0; 4])), stay(IpAddr::from([0; 16]))];
    // Each round adds a family, of which there are two.
    for _ in 0..3 {
        let kept = endpoints
            .iter()
            .filter(|endpoint| mine(endpoint).is_some() && staying[usize::from(endpoint.address.is_ipv6())]);
        let mut free = (Limits::MAX as usize).saturating_sub(others().count() + kept.count());
        (targets, left_out) = (Vec::new(), Vec::new());
        for candidate in &usable {
            if held(candidate.address) {
                left_out.push((candidate, Why::HeldByOther));
            } else if free == 0 && !replaces(candidate) {
                left_out.push((candidate, Why::Full));
            } else {
                free -= usize::from(!replaces(candidate));
                targets.push(candidate);
            }
        }
        let now = [is_covered(&targets, IpAddr::from([0; 4])), is_covered(&targets, IpAddr::from([0; 16]))];
        let next = [staying[0] || !now[0], staying[1] || !now[1]];
        if next == staying {
            break;
        }
        staying = next;
    }
    plan.notes.extend(left_out.into_iter().map(|(way, why)| Note {
        interface: way.name.clone(),
        address: Some(way.address),
        why,
    }));

    let (mut adds, mut deletes, mut renewals, mut flags) = (vec![], vec![], vec![], vec![]);
    let present: Vec<_> =
        endpoints.iter().filter_map(|endpoint| mine(endpoint).map(|made| (endpoint, made))).collect();
    for (endpoint, made) in &present {
        let Some(target) = targets.iter().find(|target| target.address == endpoint.address) else {
            if !staying[usize::from(endpoint.address.is_ipv6())] {
                deletes.push(Change::DeleteEndpoint((*endpoint).clone()));
            } else {
                plan.stalled.push(endpoint.address);
            }
            continue;
        };
        if made.stalled || endpoint.interface != Some(target.interface) {
            // The kernel opens paths again from an endpoint that is new to it, at once, and not from one that it knows.
            renewals.push(Change::DeleteEndpoint((*endpoint).clone()));
            renewals.push(Change::AddEndpoint(target.endpoint()));
        } else if endpoint.flags.backup != target.backup {
            flags.push(Change::SetBackup((*endpoint).clone(), target.backup));
        }
    }
    for target in &targets {
        if !present.iter().any(|(endpoint, _)| endpoint.address == target.address) {
            adds.push(Change::AddEndpoint(target.endpoint()));
        }
    }

    let needed = needed(limits, &targets);
    if needed != limits {
        plan.changes.push(Change::SetLimits(needed));
    }
    let routings: Vec<_> = targets.iter().filter_map(|target| routing(owned, host, target)).collect();
    let new = routings.iter().filter(|routing| !owned.routings.contains(routing));
    plan.changes.extend(new.cloned().map(Change::AddRouting));
    // New paths before old ones go, so that connections always have one; unless there is no room for both.
    if endpoints.len() + adds.len() > Limits::MAX as usize {
        plan.changes.append(&mut deletes);
    }
    plan.changes.append(&mut adds);
    plan.changes.append(&mut deletes);
    plan.changes.append(&mut renewals);
    plan.changes.append(&mut flags);
    let old = owned.routings.iter().filter(|routing| !routings.contains(routing));
    plan.changes.extend(old.cloned().map(Change::DeleteRouting));
    plan
}

/// The limits that let every endpoint of a family have its path, and some announced addresses too; never lower than now.
fn needed(limits: Limits, targets: &[&Wanted]) -> Limits {
    let count = |ipv6| targets.iter().filter(|target| target.address.is_ipv6() == ipv6).count();
    let most = u32::try_from(count(false).max(count(true))).unwrap_or(Limits::MAX);
    if most == 0 {
        return limits;
    }
    Limits {
        subflows: limits.subflows.max((most + ACCEPTED).min(Limits::MAX)),
        add_addr_accepted: limits.add_addr_accepted.max(ACCEPTED),
    }
}

/// The routing that an address needs and hasn't got: where the interface filters reverse paths strictly (RFC 3704; there
/// is no such filter for IPv6), answers from the world would be dropped, unless the way back is through it too.
fn routing(owned: &Owned, host: &Snapshot, target: &Wanted) -> Option<SourceRouting> {
    let interface = host.interface(target.interface)?;
    let way = way_out(host, interface, target.address)?;
    let ours = owned
        .routings
        .iter()
        .find(|routing| routing.address == target.address && routing.interface == target.interface);
    let strict = target.address.is_ipv4() && interface.rp_filter == Some(1);
    if !strict || (ours.is_none() && has_source_routing(host, interface, target.address)) {
        return None;
    }
    let best = host
        .routes
        .iter()
        .filter(|route| route.table == crate::Route::MAIN && route.is_default())
        .filter(|route| route.destination.address.is_ipv4() && route.hops.iter().any(|hop| !hop.dead))
        .min_by_key(|route| route.metric)?;
    if best.leaves_through(interface.index) || way.table != crate::Route::MAIN && ours.is_none() {
        return None;
    }
    let hops = host.routes.iter().filter(|route| route.table == crate::Route::MAIN && route.is_default());
    let hop = hops.flat_map(|route| &route.hops).find(|hop| {
        hop.interface == Some(interface.index) && hop.gateway.is_none_or(|gateway| gateway.is_ipv4())
    })?;
    Some(SourceRouting {
        address: target.address,
        interface: interface.index,
        gateway: hop.gateway,
        table: FIRST_TABLE.saturating_add(interface.index),
        priority: RULE_PRIORITY,
    })
}

impl Wanted {
    fn endpoint(&self) -> Endpoint {
        let flags = EndpointFlags { subflow: true, backup: self.backup, ..EndpointFlags::default() };
        Endpoint { interface: Some(self.interface), ..Endpoint::new(self.address, flags) }
    }
}

impl Change {
    /// The flags to change, for [`Change::SetBackup`].
    pub(super) fn backup(backup: bool) -> FlagChange {
        FlagChange { backup: Some(backup), ..FlagChange::default() }
    }
}
