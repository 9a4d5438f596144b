//! `mphttp paths` alone: what there is, in 80 columns or as JSON.

use std::fmt::Write as _;

use mptcp_paths::{Address, Interface, ManagerKind, Overview, Route, Rule, RuleAction};

use super::{endpoint_line, print, print_json};

/// Shows everything.
pub(super) fn run(json: bool) -> anyhow::Result<()> {
    let overview = Overview::read()?;
    if json { print_json(&overview) } else { print(&text(&overview)) }
}

/// For people.
fn text(overview: &Overview) -> String {
    // Writing to a string can't fail.
    let mut text = String::new();
    let manager = match &overview.manager {
        _ if overview.settings.enabled == Some(false) => {
            "MPTCP is off; turn it on: sysctl -w net.mptcp.enabled=1".to_owned()
        }
        None if overview.endpoints.is_none() => "none: this kernel has no MPTCP".to_owned(),
        None => "not known, since /proc/sys/net/mptcp can't be read".to_owned(),
        Some(ManagerKind::Kernel) => "the kernel's".to_owned(),
        Some(other) => format!("{other}; endpoints and limits are not used"),
    };
    let _ = writeln!(text, "Path manager: {manager}");
    if let Some(limits) = overview.limits {
        let _ = writeln!(
            text,
            "Limits of a connection: {} paths besides the first, {} announced addresses",
            limits.subflows, limits.add_addr_accepted
        );
    }
    for problem in &overview.problems {
        let _ = writeln!(text, "Not seen: {problem}");
    }
    if let Some(endpoints) = &overview.endpoints {
        if endpoints.is_empty() {
            text.push_str(
                "No endpoints: connections keep to their first path. To make them: mphttp paths auto\n",
            );
        } else {
            text.push_str("\nEndpoints:\n");
        }
        for endpoint in endpoints {
            let interface = endpoint.interface.map(|index| name(overview, index));
            let _ = writeln!(text, "{}", endpoint_line(endpoint, interface.as_deref()));
        }
    }
    text.push_str("\nInterfaces:\n");
    for interface in overview.interfaces.iter().filter(|interface| !interface.loopback) {
        show_interface(&mut text, overview, interface);
    }
    text
}

fn name(overview: &Overview, index: u32) -> String {
    overview.interface_name(index).map_or_else(|| format!("#{index}"), str::to_owned)
}

fn show_interface(text: &mut String, overview: &Overview, interface: &Interface) {
    let state = match (interface.up, interface.is_usable()) {
        (false, _) => "down".to_owned(),
        (true, true) => "up".to_owned(),
        (true, false) if !interface.carrier => "no carrier".to_owned(),
        (true, false) => interface.state.to_string(),
    };
    let kind = interface.kind.as_ref().map(|kind| format!(", {kind}")).unwrap_or_default();
    let mtu = interface.mtu.map(|mtu| format!(", mtu {mtu}")).unwrap_or_default();
    let _ = writeln!(text, "  {}: {state}{kind}{mtu}", interface.name);
    for address in &interface.addresses {
        let _ = writeln!(text, "    {}", address_words(address));
    }
    for route in overview.default_routes.iter().filter(|route| route.leaves_through(interface.index)) {
        let _ = writeln!(text, "    {}", route_words(overview, interface.index, route));
    }
}

fn address_words(address: &Address) -> String {
    let words = [
        (!matches!(address.scope, mptcp_paths::Scope::Global | mptcp_paths::Scope::Site), "this link only"),
        (address.temporary, "temporary"),
        (address.tentative, "tentative"),
        (address.deprecated, "deprecated"),
        (address.duplicate, "duplicate"),
    ];
    let words: Vec<_> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    format!("{}/{}{words}", address.address, address.prefix_length)
}

fn route_words(overview: &Overview, interface: u32, route: &Route) -> String {
    let family = if route.destination.address.is_ipv6() { "IPv6" } else { "IPv4" };
    let mut words = format!("default {family}");
    if let Some(hop) = route.hops.iter().find(|hop| hop.interface == Some(interface)) {
        if let Some(gateway) = hop.gateway {
            let _ = write!(words, " via {gateway}");
        }
        if hop.dead {
            words.push_str(" (dead)");
        }
    }
    if route.table == Route::MAIN {
        let _ = write!(words, " metric {}", route.metric);
        return words;
    }
    let _ = write!(words, " in table {}", route.table);
    let ipv6 = route.destination.address.is_ipv6();
    let leads = |rule: &&Rule| rule.ipv6 == ipv6 && rule.action == RuleAction::Table(route.table);
    let leads = overview.rules.iter().find(leads);
    match leads.map(|rule| rule.from) {
        None => words.push_str(", to which no rule leads"),
        Some(Some(from)) => {
            let _ = write!(words, ", from {from}");
        }
        Some(None) => {}
    }
    words
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_with_endpoints_has_mptcp_whatever_proc_tells() {
        let mut overview = Overview::read().unwrap();
        overview.manager = None;
        overview.settings = mptcp_paths::Settings::default();
        overview.endpoints = Some(vec![]);
        assert!(text(&overview).starts_with("Path manager: not known"));
        overview.endpoints = None;
        assert!(text(&overview).starts_with("Path manager: none: this kernel has no MPTCP"));
    }
}
