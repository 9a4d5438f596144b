//! The planner on random hosts whose links come and go, with a kernel made up as far as plans go.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{default_route, default_route6, endpoint, interface, v4, v6, with};
use super::*;
use crate::{Address, Endpoint, Interface, Limits, Rule, Snapshot};

/// The kernel, as far as plans go.
#[derive(Debug, Clone)]
struct Kernel {
    endpoints: Vec<Endpoint>,
    limits: Limits,
    owned: Owned,
    next: u8,
    /// Each rule is there once, whoever asks for it how often.
    rules: Vec<Rule>,
    /// A table has one default route.
    tables: BTreeMap<u32, SourceRouting>,
}

impl Kernel {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::SetLimits(limits) => {
                self.owned.set_limits(self.limits, *limits);
                self.limits = *limits;
            }
            Change::AddEndpoint(endpoint) => {
                self.endpoints.retain(|old| !(old.is_at(endpoint) && old.flags.implicit));
                assert!(!self.endpoints.iter().any(|old| old.is_at(endpoint)), "twice: {endpoint:?}");
                assert!(self.endpoints.len() < 8, "no room for {endpoint:?}");
                self.next += 1;
                let made = Endpoint { id: Some(self.next), ..endpoint.clone() };
                self.endpoints.push(made.clone());
                self.owned.endpoints.push(Made { endpoint: made, stalled: false });
            }
            Change::SetBackup(endpoint, backup) => {
                let found = self.endpoints.iter_mut().find(|old| *old == endpoint).expect("it exists");
                found.flags.backup = *backup;
            }
            Change::DeleteEndpoint(endpoint) => {
                let ours = self.owned.endpoints.iter().position(|made| made.endpoint.id == endpoint.id);
                self.owned.endpoints.remove(ours.expect("only ours are deleted"));
                self.endpoints.retain(|old| old.id != endpoint.id);
            }
            Change::AddRouting(routing) => {
                if !self.owned.routings.contains(routing) {
                    self.owned.routings.push(routing.clone());
                }
                self.tables.insert(routing.table, routing.clone());
                for rule in routing.rules() {
                    if !self.rules.contains(&rule) {
                        self.rules.push(rule);
                    }
                }
            }
            Change::DeleteRouting(routing) => {
                self.owned.routings.retain(|made| made != routing);
                self.rules.retain(|rule| !routing.rules().contains(rule));
                if self.tables.get(&routing.table) == Some(routing) {
                    self.tables.remove(&routing.table);
                }
            }
        }
    }

    /// The host as it would be read: routes have gone with their addresses and interfaces.
    fn host(&mut self, host: &Snapshot) -> Snapshot {
        let has = |routing: &SourceRouting| {
            let mut interfaces = host.interfaces.iter().filter(|own| own.index == routing.interface);
            interfaces.any(|own| own.addresses.iter().any(|own| own.address == routing.address))
        };
        self.tables.retain(|_, routing| has(routing));
        let mut read = host.clone();
        let of_tables: Vec<_> = self.tables.values().cloned().collect();
        read.routes = with(host, &of_tables).routes;
        read.rules.extend(self.rules.iter().cloned());
        read
    }
}

/// What a link of a random host is like: nothing, no carrier, no address, no route, or all there.
fn hosts() -> impl Strategy<Value = Snapshot> {
    let link = (
        0..6_u8,
        0..4_u8,
        prop::sample::select(vec![None, Some(0_u8), Some(1), Some(2)]),
        any::<bool>(),
        253..=254_u8,
    );
    prop::collection::vec(link, 0..10).prop_map(|links| {
        let mut host = Snapshot::default();
        for (position, (state, metric, rp_filter, ipv6, gateway)) in links.into_iter().enumerate() {
            let index = u8::try_from(position).unwrap() + 2;
            let mut interface = Interface { rp_filter, ..interface(index, &format!("link{index}")) };
            if ipv6 {
                interface.addresses.push(Address::new(v6(index), 64));
                host.routes.push(default_route6(index, metric.into()));
            }
            match state {
                0 => continue,
                1 => interface.carrier = false,
                2 => interface.addresses.clear(),
                3 => host.routes.clear(),
                _ => {
                    let mut route = default_route(index, metric.into());
                    route.hops[0].gateway = Some(v4(index, gateway));
                    host.routes.push(route);
                }
            }
            host.interfaces.push(interface);
        }
        host
    })
}

proptest! {
    #[test]
    fn plans_converge_hurt_nobody_and_are_undone(
        hosts in prop::collection::vec(hosts(), 1..6),
        theirs in prop::collection::btree_set(2..8_u8, 0..4),
        subflows in 0..=8_u32,
        backup in any::<bool>(),
    ) {
        let theirs: Vec<_> = theirs.into_iter().map(|link| endpoint(v4(link, 1), link.into(), 200 + link)).collect();
        let limits = Limits { subflows, add_addr_accepted: 0 };
        let mut kernel = Kernel { endpoints: theirs.clone(), limits, owned: Owned::default(), next: 0, rules: vec![], tables: BTreeMap::new() };
        let options = Options { backup: if backup { vec!["link3".into()] } else { vec![] } };
        for host in &hosts {
            let had: Vec<_> = [false, true]
                .map(|ipv6| kernel.owned.endpoints.iter().any(|made| made.endpoint.address.is_ipv6() == ipv6))
                .into();
            let read = kernel.host(host);
            let first = plan(&options, &kernel.owned, &read, &kernel.endpoints, kernel.limits);
            for change in &first.changes {
                kernel.apply(change);
            }
            kernel.owned.set_stalled(&first.stalled, &[]);
            for endpoint in &theirs {
                prop_assert!(kernel.endpoints.contains(endpoint));
            }
            prop_assert!(kernel.limits.subflows >= limits.subflows && kernel.limits.subflows <= 8);
            // Where connections had paths they still have one, dead or alive, or that of somebody else's endpoint.
            for (ipv6, had) in [false, true].into_iter().zip(had) {
                let has = kernel.endpoints.iter().any(|endpoint| endpoint.address.is_ipv6() == ipv6);
                prop_assert!(!had || has);
            }
            for routing in &kernel.owned.routings {
                prop_assert_eq!(kernel.tables.get(&routing.table), Some(routing));
                prop_assert!(routing.rules().iter().all(|rule| kernel.rules.contains(rule)));
            }
            let read = kernel.host(host);
            let second = plan(&options, &kernel.owned, &read, &kernel.endpoints, kernel.limits);
            prop_assert_eq!(&second.changes, &[] as &[Change]);
        }
        for change in kernel.owned.undo(Some(kernel.limits)) {
            kernel.apply(&change);
        }
        prop_assert_eq!(kernel.endpoints, theirs);
        prop_assert_eq!(kernel.limits, limits);
        prop_assert_eq!(kernel.owned.routings, vec![]);
        prop_assert_eq!((kernel.rules, kernel.tables), (vec![], BTreeMap::new()));
    }
}
