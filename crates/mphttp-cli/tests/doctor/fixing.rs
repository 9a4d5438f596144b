//! `--fix`: does what is safe, and says how to take it back.

use std::process::Command;

use mptcp_paths::{Endpoint, Limits};

use crate::{
    clinic::{Clinic, SIGNAL, Tests, run, run_line},
    support::mphttp,
};

pub const TESTS: Tests = &[
    ("what is safe is mended, and can be taken back", fixes),
    ("nothing is changed without being asked", asks),
    ("limits that are both too low are both raised", both_limits),
    ("what may be meant as it is stays as it is", left_alone),
];

fn broken() -> Clinic {
    let clinic = Clinic::new();
    clinic.endpoints(&[]);
    clinic.client().mptcp_limits(0, 3).unwrap();
    clinic.client().sysctl("net.mptcp.enabled", "0").unwrap();
    clinic
}

fn fixes() {
    let clinic = broken();
    // The first look sees that MPTCP is off, and nothing behind that.
    let said = clinic.doctor_with(&["--fix", "--yes"], |_| {});
    assert_eq!(said.json["fixed"][0]["code"], "disabled", "{}", said.json);
    assert_eq!(said.exit, 121, "{}", said.json);
    let first = undo(&said.json);
    let said = clinic.doctor_with(&["--fix", "--yes"], |_| {});
    assert_eq!(said.json["fixed"].as_array().unwrap().len(), 2, "{}", said.json);
    assert_eq!(said.exit, 0, "{}", said.json);
    clinic.assert_well();

    for command in undo(&said.json).into_iter().chain(first) {
        run_line(clinic.client(), &command);
    }
    let mut manager = clinic.client().path_manager().unwrap();
    assert_eq!(manager.endpoints().unwrap(), []);
    assert_eq!(manager.limits().unwrap(), Limits { subflows: 0, add_addr_accepted: 3 });
    assert_eq!(clinic.client().sysctl_get("net.mptcp.enabled").unwrap(), "0");
    // Well already: nothing to do.
    run_line(clinic.client(), "sysctl -w net.mptcp.enabled=1");
    clinic.doctor_with(&["--fix", "--yes"], |_| {});
    let said = clinic.doctor_with(&["--fix", "--yes"], |_| {});
    assert_eq!((said.exit, said.json["fixed"].as_array().unwrap().len()), (0, 0), "{}", said.json);
}

fn undo(json: &serde_json::Value) -> Vec<String> {
    let fixed = json["fixed"].as_array().unwrap();
    let commands = fixed.iter().rev().flat_map(|fixed| fixed["undo"].as_array().unwrap());
    commands.map(|command| command.as_str().unwrap().to_owned()).collect()
}

fn asks() {
    let clinic = broken();
    let mut command = Command::new(mphttp());
    command.args(["doctor", "--fix"]);
    let output = run(clinic.client(), command);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"), "{output:?}");
    assert_eq!(clinic.client().sysctl_get("net.mptcp.enabled").unwrap(), "0");
}

fn both_limits() {
    let clinic = Clinic::new();
    clinic.client().mptcp_limits(0, 0).unwrap();
    let address = clinic.bench.links[1].address(clinic.server()).unwrap();
    clinic.server().add_endpoint(&Endpoint::new(address, SIGNAL)).unwrap();
    let said = clinic.doctor_with(&["--fix", "--yes"], |_| {});
    let codes: Vec<&str> =
        said.json["fixed"].as_array().unwrap().iter().map(|fixed| fixed["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["limit-subflows", "limit-add-addr"], "{}", said.json);
    let mut manager = clinic.client().path_manager().unwrap();
    assert_eq!(manager.limits().unwrap(), Limits { subflows: 8, add_addr_accepted: 8 });
    clinic.assert_well();
    for command in undo(&said.json) {
        run_line(clinic.client(), &command);
    }
    assert_eq!(manager.limits().unwrap(), Limits { subflows: 0, add_addr_accepted: 0 });
}

/// A server's announcement, looked at as if the host were a client; and IPv6 that somebody has switched off.
fn left_alone() {
    let clinic = Clinic::new();
    let endpoints = [clinic.endpoint(1, SIGNAL)];
    clinic.endpoints(&endpoints);
    let server = clinic.bench.links[0].addresses(clinic.server());
    let ipv6 = format!("http://[{}]:8000/big", server.iter().find(|address| address.is_ipv6()).unwrap());
    let mut command = Command::new(mphttp());
    command.args(["doctor", "--fix", "--yes", "--json", &clinic.bench.url("big")]);
    let fix = |command: Command, code: &str| {
        let output = run(clinic.client(), command);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(121), "{json}");
        assert_eq!(json["findings"][0]["code"], code, "{json}");
        assert_eq!(json["fixed"], serde_json::json!([]), "{json}");
    };
    fix(command, "endpoint-signal-only");
    let there = clinic.client().path_manager().unwrap().endpoints().unwrap();
    assert!(there.len() == 1 && there[0].is_at(&endpoints[0]) && there[0].flags == SIGNAL, "{there:?}");

    clinic.endpoints(&[]);
    clinic.client().sysctl("net.ipv6.conf.lte.disable_ipv6", "1").unwrap();
    let mut command = Command::new(mphttp());
    command.args(["doctor", "--fix", "--yes", "--json", &ipv6]);
    fix(command, "ipv6-disabled");
    assert_eq!(clinic.client().sysctl_get("net.ipv6.conf.lte.disable_ipv6").unwrap(), "1");
}
