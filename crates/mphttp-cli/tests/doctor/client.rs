//! What is wrong with a client's endpoints, interfaces and routes.

use mptcp_paths::{Endpoint, EndpointFlags};

use crate::clinic::{Clinic, SIGNAL, SUBFLOW, Tests, run_commands, run_line, shell};

pub const TESTS: Tests = &[
    ("no endpoint is set", no_endpoints),
    ("an interface has no endpoint", no_endpoint_for_interface),
    ("an endpoint's address has gone", address_gone),
    ("an endpoint is only announced", signal_only),
    ("an endpoint is a backup", backup),
    ("an endpoint is bound to the wrong interface", wrong_interface),
    ("packets of the second path leave by the first", route_wrong_interface),
    ("no rule leads to the second link's routes", no_route),
    ("reverse path filtering is strict", rp_filter),
    ("what all interfaces filter by is not the interface's own value", rp_filter_of_all),
    ("the rule for VRFs hides nothing", vrf_rule),
    ("rules that only the kernel can follow are said", rule_for_ports),
    ("an endpoint that asks for nothing is not the server's fault", laminar_only),
    ("an interface is down", interface_down),
    ("an interface has no carrier", no_carrier),
    ("an interface's MTU is too small", mtu_small),
    ("IPv6 is off on one link", ipv6_disabled),
    ("a proxy is in between", proxy),
];

fn no_endpoints() {
    let clinic = Clinic::new();
    clinic.endpoints(&[]);
    clinic.heals("no-endpoints", "proven");
}

fn no_endpoint_for_interface() {
    let clinic = Clinic::new();
    clinic.endpoints(&[clinic.endpoint(0, SUBFLOW)]);
    clinic.heals("no-endpoint-for-interface", "proven");
}

fn address_gone() {
    let clinic = Clinic::new();
    let stale = Endpoint::new("192.0.2.9".parse().unwrap(), SUBFLOW);
    clinic.endpoints(&[clinic.endpoint(0, SUBFLOW), stale]);
    clinic.heals("endpoint-address-gone", "proven");
}

fn signal_only() {
    let clinic = Clinic::new();
    clinic.endpoints(&[clinic.endpoint(0, SUBFLOW), clinic.endpoint(1, SIGNAL)]);
    clinic.heals("endpoint-signal-only", "proven");
}

fn backup() {
    let clinic = Clinic::new();
    let backup = EndpointFlags { backup: true, ..SUBFLOW };
    clinic.endpoints(&[clinic.endpoint(0, SUBFLOW), clinic.endpoint(1, backup)]);
    clinic.heals("endpoint-backup", "proven");
}

fn wrong_interface() {
    let clinic = Clinic::new();
    let wifi = clinic.bench.links[0].interface_index(clinic.client()).unwrap();
    clinic.endpoints(&[Endpoint { interface: Some(wifi), ..clinic.endpoint(1, SUBFLOW) }]);
    clinic.heals("endpoint-wrong-interface", "proven");
}

fn route_wrong_interface() {
    let clinic = Clinic::new();
    clinic.bench.links[1].drop_source_rules(clinic.client()).unwrap();
    clinic.heals("route-wrong-interface", "likely");
}

fn no_route() {
    let clinic = Clinic::new();
    let lte = &clinic.bench.links[1];
    lte.drop_source_rules(clinic.client()).unwrap();
    lte.drop_default_routes(clinic.client()).unwrap();
    clinic.heals("no-route", "likely");
}

fn rp_filter() {
    let clinic = Clinic::new();
    let lte = &clinic.bench.links[1];
    lte.drop_source_rules(clinic.client()).unwrap();
    let interface = Some(lte.interface_index(clinic.client()).unwrap());
    clinic.endpoints(&[Endpoint { interface, ..clinic.endpoint(1, SUBFLOW) }]);
    clinic.client().sysctl("net.ipv4.conf.lte.rp_filter", "1").unwrap();
    clinic.heals("rp-filter", "proven");
}

fn rp_filter_of_all() {
    let clinic = Clinic::new();
    let lte = &clinic.bench.links[1];
    lte.drop_source_rules(clinic.client()).unwrap();
    let interface = Some(lte.interface_index(clinic.client()).unwrap());
    clinic.endpoints(&[Endpoint { interface, ..clinic.endpoint(1, SUBFLOW) }]);
    clinic.client().sysctl("net.ipv4.conf.lte.rp_filter", "0").unwrap();
    clinic.client().sysctl("net.ipv4.conf.all.rp_filter", "1").unwrap();
    let said = clinic.doctor();
    let finding = said.finding("rp-filter");
    run_commands(clinic.client(), finding);
    clinic.assert_well();
    for command in finding["undo"].as_array().unwrap() {
        run_line(clinic.client(), command.as_str().unwrap());
    }
    assert_eq!(clinic.client().sysctl_get("net.ipv4.conf.lte.rp_filter").unwrap(), "0");
}

/// It stands at 1000 on every host that has, or had, a VRF.
fn vrf_rule() {
    let clinic = Clinic::new();
    run_line(clinic.client(), "ip rule add l3mdev pref 1000");
    clinic.doctor().assert_well();
    clinic.endpoints(&[]);
    clinic.heals("no-endpoints", "proven");
}

fn rule_for_ports() {
    let clinic = Clinic::new();
    run_line(clinic.client(), "ip rule add sport 4000-4999 table main pref 1000");
    clinic.endpoints(&[]);
    let said = clinic.doctor();
    // Nothing is made up about what can't be known.
    assert_eq!((&said.json["findings"], said.exit), (&serde_json::json!([]), 0));
    let unseen = said.json["unseen"].as_array().unwrap();
    assert_eq!(unseen.len(), 1, "{}", said.json);
    assert!(unseen[0]["why"].as_str().unwrap().contains("ip rule"), "{}", said.json);
    run_line(clinic.client(), "ip rule del sport 4000-4999 table main pref 1000");
    clinic.heals("no-endpoints", "proven");
}

/// Nothing announces an address that could be answered from there, so that the kernel asks for no path: by itself, not
/// since the server forbids it.
fn laminar_only() {
    let clinic = Clinic::new();
    let laminar = EndpointFlags { laminar: true, subflow: false, ..SUBFLOW };
    clinic.endpoints(&[clinic.endpoint(1, laminar)]);
    let said = clinic.doctor();
    assert_eq!(said.finding("joins-unanswered")["certainty"], "possible", "{}", said.json);
    clinic.endpoints(&[clinic.endpoint(1, SUBFLOW)]);
    clinic.assert_well();
}

fn interface_down() {
    let clinic = Clinic::new();
    let lte = &clinic.bench.links[1];
    lte.set_up(clinic.client(), false).unwrap();
    let said = clinic.doctor();
    let finding = said.finding("interface-down");
    assert_eq!((&finding["subject"], &finding["certainty"]), (&"lte".into(), &"proven".into()));
    run_commands(clinic.client(), finding);
    // "Whatever set them must do so again", the advice says.
    lte.give_address(clinic.client()).unwrap();
    clinic.assert_well();
}

fn no_carrier() {
    let clinic = Clinic::new();
    clinic.bench.links[1].set_carrier(false).unwrap();
    let said = clinic.doctor();
    let finding = said.finding("no-carrier");
    assert_eq!((&finding["subject"], &finding["place"]), (&"lte".into(), &"network".into()));
    clinic.bench.links[1].set_carrier(true).unwrap();
    clinic.assert_well();
}

fn mtu_small() {
    let clinic = Clinic::new();
    let lte = &clinic.bench.links[1];
    lte.set_mtu(clinic.client(), 700).unwrap();
    let said = clinic.doctor();
    let finding = said.finding("mtu-small");
    assert_eq!((&finding["subject"], &finding["certainty"]), (&"lte".into(), &"proven".into()));
    run_commands(clinic.client(), finding);
    // IPv6 went with it: what a router would advertise again.
    lte.give_address(clinic.client()).unwrap();
    clinic.assert_well();
}

fn ipv6_disabled() {
    let clinic = Clinic::new();
    let server = clinic.bench.links[0].addresses(clinic.server());
    let url = format!("http://[{}]:8000/big", server.iter().find(|address| address.is_ipv6()).unwrap());
    let doctor = || clinic.doctor_at(&url);
    doctor().assert_well();
    clinic.client().sysctl("net.ipv6.conf.lte.disable_ipv6", "1").unwrap();
    // The endpoint of the address that went with it is amiss too: a consequence.
    clinic.endpoints(&[clinic.endpoint(1, SUBFLOW)]);
    let said = doctor();
    let finding = said.finding("ipv6-disabled");
    assert_eq!((&finding["subject"], &finding["certainty"]), (&"lte".into(), &"proven".into()));
    run_commands(clinic.client(), finding);
    clinic.bench.links[1].give_address(clinic.client()).unwrap();
    let said = doctor();
    // There is an address again, and nobody has made an endpoint of it.
    run_commands(clinic.client(), said.finding("no-endpoint-for-interface"));
    doctor().assert_well();
}

fn proxy() {
    let clinic = Clinic::new();
    let server = clinic.bench.links[0].address(clinic.server()).unwrap();
    let through = format!("http://{server}:8000");
    let said = clinic.doctor_with(&[], |command| {
        command.env("http_proxy", &through).env_remove("no_proxy").env_remove("NO_PROXY");
    });
    let finding = said.finding("proxy");
    assert_eq!((&finding["subject"], &finding["certainty"]), (&through.as_str().into(), &"proven".into()));
    // Its command sets a variable of the shell that the next look is taken from.
    let command = finding["commands"][0].as_str().unwrap();
    let value = |before: Option<&str>| {
        let mut shell = shell(&format!("{command}; printf %s \"$no_proxy\""));
        match before {
            Some(list) => shell.env("no_proxy", list),
            None => shell.env_remove("no_proxy"),
        };
        String::from_utf8(shell.output().unwrap().stdout).unwrap()
    };
    // What is there already stays.
    assert_eq!(value(Some("localhost,.example.com")), format!("localhost,.example.com,{server}"));
    let said = clinic.doctor_with(&[], |command| {
        command.env("http_proxy", &through).env("no_proxy", value(None));
    });
    said.assert_well();
    clinic.assert_both_paths_carry();
}
