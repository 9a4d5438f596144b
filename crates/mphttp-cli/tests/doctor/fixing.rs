//! `--fix`: does what is safe, and says how to take it back.

use std::process::Command;

use mptcp_paths::Limits;

use crate::{
    clinic::{Clinic, Tests, run, run_line},
    support::mphttp,
};

pub const TESTS: Tests = &[
    ("what is safe is mended, and can be taken back", fixes),
    ("nothing is changed without being asked", asks),
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
