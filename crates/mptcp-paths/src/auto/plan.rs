//! What to change so that the endpoints fit the host: pure, from what is to what should be.

use std::fmt;
use std::net::IpAddr;

use super::routing::{Rerouting, SourceRouting, reroute};
use super::want::{Note, Wanted, Why, wanted};
use crate::{Endpoint, EndpointFlags, FlagChange, Limits, Snapshot};

/// Announced addresses that connections use at least: servers behind load balancers announce where joins reach them.
const ACCEPTED: u32 = 2;

/// What is wanted of the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// Names of interfaces whose paths carry data only when no other can.
    pub backup: Vec<String>,
}

/// What was made so far, and is to be undone. With the feature `serde` it can be kept, for a [`Keeper`](super::Keeper) to go
/// on with after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Made {
    /// The endpoint; without its identifier until the kernel's choice has been read.
    pub endpoint: Endpoint,
    /// Whether its interface was seen to be of no use since: its paths are dead or asleep by now.
    pub stalled: bool,
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

impl Made {
    /// Whether this endpoint of the kernel's is it. The kernel gives identifiers again: one with other flags or of another
    /// interface is somebody else's. Whether it is a backup may have been changed.
    pub(super) fn is(&self, endpoint: &Endpoint) -> bool {
        let kind = |endpoint: &Endpoint| {
            (
                EndpointFlags { backup: false, ..endpoint.flags },
                endpoint.interface.filter(|&index| index != 0),
            )
        };
        self.endpoint.is_at(endpoint)
            && kind(&self.endpoint) == kind(endpoint)
            && (self.endpoint.id.is_none() || self.endpoint.id == endpoint.id)
    }

    /// Whether it is among these of the kernel's, which tell its identifier.
    pub(super) fn find(&mut self, endpoints: &[Endpoint]) -> bool {
        let found = endpoints.iter().find(|endpoint| self.is(endpoint));
        if let Some(found) = found {
            self.endpoint.clone_from(found);
        }
        found.is_some()
    }
}

impl Owned {
    /// Remembers that the limits were set, from what they were just before. Limits that somebody else has set meanwhile
    /// are what is to be found in the end.
    pub(super) fn set_limits(&mut self, before: Limits, limits: Limits) {
        let found = match self.limits {
            Some((found, set)) if set == before => found,
            _ => before,
        };
        self.limits = (limits != found).then_some((found, limits));
    }

    /// Remembers which endpoints are of no use now; says whether that is news. One whose renewal failed still has to be
    /// renewed.
    pub(super) fn set_stalled(&mut self, stalled: &[IpAddr], failed: &[&Change]) -> bool {
        let mut news = false;
        for made in &mut self.endpoints {
            let failed = failed.iter().any(|change| match change {
                Change::DeleteEndpoint(endpoint) | Change::AddEndpoint(endpoint) => {
                    made.endpoint.is_at(endpoint)
                }
                _ => false,
            });
            let was = made.stalled;
            made.stalled = stalled.contains(&made.endpoint.address) || (was && failed);
            news |= made.stalled != was;
        }
        news
    }

    /// Whether there is nothing to undo.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty() && self.routings.is_empty() && self.limits.is_none()
    }

    /// Whether this address of this interface is an endpoint of ours.
    pub(super) fn has(&self, address: IpAddr, interface: u32) -> bool {
        self.endpoints
            .iter()
            .any(|made| made.endpoint.address == address && made.endpoint.interface == Some(interface))
    }

    /// What undoes everything, endpoints that were made first last: that of the best way out. `limits` are those now;
    /// if somebody else has changed them, they stay.
    #[must_use]
    pub fn undo(&self, limits: Option<Limits>) -> Vec<Change> {
        let endpoints = self.endpoints.iter().rev();
        let mut changes: Vec<_> =
            endpoints.map(|made| Change::DeleteEndpoint(made.endpoint.clone())).collect();
        changes.extend(self.routings.iter().cloned().map(Change::DeleteRouting));
        if let Some((found, set)) = self.limits
            && limits == Some(set)
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
    let mine = |endpoint: &Endpoint| owned.endpoints.iter().find(|made| made.is(endpoint));
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
    let Rerouting { replaced, new, old } = reroute(owned, host, &targets);
    plan.changes.extend(replaced.into_iter().map(Change::DeleteRouting));
    plan.changes.extend(new.into_iter().map(Change::AddRouting));
    // New paths before old ones go, so that connections always have one; unless there is no room for both.
    if endpoints.len() + adds.len() > Limits::MAX as usize {
        plan.changes.append(&mut deletes);
    }
    plan.changes.append(&mut adds);
    plan.changes.append(&mut deletes);
    plan.changes.append(&mut renewals);
    plan.changes.append(&mut flags);
    plan.changes.extend(old.into_iter().map(Change::DeleteRouting));
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
