//! What is wrong on the server's side: seen from the client, and from the server itself.

use std::process::Command;

use mptcp_paths::Endpoint;

use crate::{
    clinic::{Clinic, SIGNAL, Tests, run, run_commands},
    support::mphttp,
};

pub const TESTS: Tests = &[
    ("the server listens with TCP", tcp_server),
    ("the server's host has MPTCP switched off", server_disabled),
    ("the server's limit of subflows is 0", server_limit),
    ("the server forbids paths to its address and announces none", cflag),
    ("a server's set-up behind a load balancer is known", load_balanced),
    ("the server announces addresses that the client may not use", limit_add_addr),
    ("the server is bound to one address", one_address),
    ("the server announces an address that it doesn't have", announced_gone),
    ("nobody answers", unreachable),
];

fn tcp_server() {
    let mut clinic = Clinic::with(&["--protocol", "tcp"]);
    let said = clinic.doctor();
    let finding = said.finding("peer-without-mptcp");
    assert_eq!((&finding["certainty"], &finding["place"]), (&"likely".into(), &"peer".into()));
    clinic.serve_anew(&[]);
    clinic.assert_well();
}

fn server_disabled() {
    let mut clinic = Clinic::new();
    clinic.serving = None;
    clinic.server().sysctl("net.mptcp.enabled", "0").unwrap();
    clinic.serve_anew(&[]);
    clinic.doctor().finding("peer-without-mptcp");
    // "Run mphttp doctor --server there", it says.
    run_commands(clinic.server(), clinic.server_doctor().finding("disabled"));
    clinic.serve_anew(&[]);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn server_limit() {
    let clinic = Clinic::new();
    clinic.server().mptcp_limits(0, 0).unwrap();
    let said = clinic.doctor();
    let finding = said.finding("peer-refuses-joins");
    assert_eq!((&finding["certainty"], &finding["place"]), (&"likely".into(), &"peer".into()));
    assert_eq!(clinic.server_doctor().finding("limit-subflows")["certainty"], "proven");
    run_commands(clinic.server(), finding);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn cflag() {
    let clinic = Clinic::new();
    clinic.server().sysctl("net.mptcp.allow_join_initial_addr_port", "0").unwrap();
    let said = clinic.doctor();
    let finding = said.finding("peer-forbids-joins");
    assert_eq!((&finding["certainty"], &finding["place"]), (&"likely".into(), &"peer".into()));
    assert_eq!(clinic.server_doctor().finding("cflag-without-signal")["certainty"], "proven");
    run_commands(clinic.server(), finding);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

/// The server's second address, announced, on a port of its own or on that of the first path.
fn announced(clinic: &Clinic, port: Option<u16>) -> Endpoint {
    let address = clinic.bench.links[1].address(clinic.server()).unwrap();
    Endpoint { port, ..Endpoint::new(address, SIGNAL) }
}

fn load_balanced() {
    let clinic = Clinic::new();
    clinic.server().sysctl("net.mptcp.allow_join_initial_addr_port", "0").unwrap();
    clinic.server().add_endpoint(&announced(&clinic, Some(8443))).unwrap();
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn limit_add_addr() {
    let clinic = Clinic::new();
    // The client's second address is no endpoint: the path comes of the server's announcement or not at all.
    clinic.endpoints(&[]);
    clinic.client().mptcp_limits(8, 0).unwrap();
    clinic.server().add_endpoint(&announced(&clinic, None)).unwrap();
    let said = clinic.doctor();
    let findings = said.json["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["code"] == "limit-add-addr").unwrap();
    assert_eq!((&finding["certainty"], said.exit), (&"likely".into(), 121));
    // That there is no endpoint is the other way to mend it.
    assert!(
        findings
            .iter()
            .all(|other| ["limit-add-addr", "no-endpoints"].contains(&other["code"].as_str().unwrap()))
    );
    run_commands(clinic.client(), finding);
    clinic.assert_well();
}

fn one_address() {
    let mut clinic = Clinic::new();
    let address = clinic.bench.links[0].address(clinic.server()).unwrap().to_string();
    clinic.serve_anew(&["--bind", &address]);
    clinic.endpoints(&[]);
    clinic.server().add_endpoint(&announced(&clinic, None)).unwrap();
    let said = clinic.server_doctor();
    let finding = said.finding("listener-one-address");
    assert_eq!(finding["subject"], format!("{address}:8000"));
    run_commands(clinic.server(), finding);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn announced_gone() {
    let clinic = Clinic::new();
    clinic.server().add_endpoint(&Endpoint::new("192.0.2.9".parse().unwrap(), SIGNAL)).unwrap();
    run_commands(clinic.server(), clinic.server_doctor().finding("endpoint-address-gone"));
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn unreachable() {
    let mut clinic = Clinic::new();
    clinic.serving = None;
    let said = clinic.doctor();
    assert_eq!(said.exit, 120, "{}", said.json);
    assert_eq!(said.json["findings"][0]["code"], "unreachable", "{}", said.json);
    clinic.serve_anew(&[]);
    clinic.assert_well();
    // A name that isn't one is no finding, but an error with its own code.
    let mut command = Command::new(mphttp());
    command.args(["doctor", "--json", "ftp://example.com/"]);
    let output = run(clinic.client(), command);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"]["kind"], "bad-url");
}
