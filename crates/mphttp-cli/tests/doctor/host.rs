//! What is wrong with the host as such.

use std::{collections::BTreeMap, process::Command};

use netlab::BoxKind;
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set, remove_capability_from_bounding_set};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::{
    clinic::{Clinic, Tests, run},
    support::mphttp,
};

pub const TESTS: Tests = &[
    ("a healthy set-up gives no finding", healthy),
    ("MPTCP is switched off", disabled),
    ("a sandbox denies MPTCP sockets", denied),
    ("the kernel has switched MPTCP off for the host", host_blackhole),
    ("the path manager is nobody's", no_daemon),
    ("the limit of subflows is 0", limit_subflows),
    ("checksums are on", checksums),
    ("without privileges it sees the same", without_privileges),
    ("people are told the same in 80 columns", for_people),
];

fn healthy() {
    let clinic = Clinic::new();
    let said = clinic.doctor();
    said.assert_well();
    let paths = said.json["transfer"]["paths"].as_array().unwrap();
    for name in ["wifi", "lte"] {
        let share = paths.iter().find(|path| path["interface"] == name).unwrap()["share"].as_f64().unwrap();
        assert!(share > 0.1, "{name}: {share}");
    }
    assert_eq!(said.json["probes"].as_array().unwrap().len(), 2);
    clinic.server_doctor().assert_well();
    let mut command = Command::new(mphttp());
    command.args(["doctor"]);
    let output = run(clinic.client(), command);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "MPTCP works; nothing is wrong.\n");
    clinic.assert_both_paths_carry();
}

fn disabled() {
    let clinic = Clinic::new();
    clinic.client().sysctl("net.mptcp.enabled", "0").unwrap();
    clinic.heals("disabled", "proven");
}

/// A filter that has `socket(…, 262)` fail with EPERM, as those of containers do.
fn filter() -> BpfProgram {
    let condition = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 262).unwrap();
    let rules = BTreeMap::from([(libc::SYS_socket, vec![SeccompRule::new(vec![condition]).unwrap()])]);
    let denied = SeccompAction::Errno(libc::EPERM.try_into().unwrap());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    SeccompFilter::new(rules, SeccompAction::Allow, denied, arch).unwrap().try_into().unwrap()
}

fn denied() {
    let clinic = Clinic::new();
    let url = clinic.bench.url("big");
    let output = clinic
        .client()
        .run(|| {
            // On this thread and what it starts.
            seccompiler::apply_filter(&filter()).unwrap();
            Command::new(mphttp()).args(["doctor", "--json", &url]).output().unwrap()
        })
        .unwrap();
    assert_eq!(output.status.code(), Some(120), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 1, "{json}");
    let finding = &json["findings"][0];
    assert_eq!((&finding["code"], &finding["certainty"]), (&"denied".into(), &"proven".into()));
    // What it says to do: run it outside of the sandbox.
    assert!(finding["advice"].as_str().unwrap().contains("outside of the sandbox"), "{finding}");
    clinic.assert_well();
}

fn host_blackhole() {
    let clinic = Clinic::new();
    // One SYN with MPTCP, then one without: the kernel draws its conclusion in a second instead of in three.
    clinic.client().sysctl("net.mptcp.syn_retrans_before_tcp_fallback", "1").unwrap();
    clinic.bench.links[0].set_box(Some(BoxKind::DropMptcpSyn)).unwrap();
    let mut naive = Command::new(mphttp());
    naive.args(["get", "--protocol", "mptcp-only", "--no-race", "--connect-timeout", "10"]);
    naive.arg(clinic.bench.url("big"));
    let output = run(clinic.client(), naive);
    assert!(!output.status.success(), "{output:?}");
    clinic.bench.links[0].set_box(None).unwrap();
    let counters = clinic.client().counters().unwrap();
    assert!(counters["MPTcpExtBlackhole"] > 0, "{counters:?}");

    let said = clinic.doctor();
    let finding = said.finding("host-blackhole");
    assert_eq!(finding["certainty"], "proven");
    crate::clinic::run_commands(clinic.client(), finding);
    // What has happened stays on record, as a note.
    let said = clinic.doctor();
    assert_eq!(said.exit, 0, "{}", said.json);
    said.finding("syns-swallowed");
    clinic.assert_both_paths_carry();
}

fn no_daemon() {
    let clinic = Clinic::new();
    clinic.client().sysctl("net.mptcp.path_manager", "userspace").unwrap();
    clinic.heals("no-userspace-daemon", "likely");
}

fn limit_subflows() {
    let clinic = Clinic::new();
    clinic.client().mptcp_limits(0, 8).unwrap();
    clinic.heals("limit-subflows", "proven");
}

fn checksums() {
    let clinic = Clinic::new();
    clinic.client().sysctl("net.mptcp.checksum_enabled", "1").unwrap();
    clinic.heals("checksum-enabled", "proven");
}

/// Root becomes nobody. Anyone else is root of a namespace of their own by now, and has no other user to become there: they
/// give the capabilities away that a program would have.
fn without_privileges() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    let clinic = Clinic::new();
    clinic.client().mptcp_limits(0, 0).unwrap();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let is_alone = map.split_ascii_whitespace().nth(2) == Some("1");
    const NOBODY: u32 = 65_534;
    // The build's folder may be out of others' reach.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("mphttp");
    std::fs::copy(mphttp(), &program).unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let doctor = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("doctor").args(arguments).current_dir("/");
        if !is_alone {
            command.uid(NOBODY).gid(NOBODY);
            return run(clinic.client(), command);
        }
        let weakened = || {
            // Of this thread, and of what it starts: root's programs get what is in this set.
            for capability in CapabilitySet::all() {
                // Those that this kernel doesn't know it refuses.
                let _ = remove_capability_from_bounding_set(capability);
            }
            assert!(!capability_is_in_bounding_set(CapabilitySet::NET_ADMIN).unwrap());
            run(clinic.client(), command)
        };
        std::thread::scope(|scope| scope.spawn(weakened).join().unwrap())
    };
    let output = doctor(&["--json", &clinic.bench.url("big")]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(121), "{json}");
    assert_eq!(json["findings"][0]["code"], "limit-subflows", "{json}");
    assert_eq!(json["unseen"].as_array().unwrap().len(), 0, "{json}");
    // To change something takes a capability, which is named.
    let output = doctor(&["--fix", "--yes", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(121), "{json}");
    let error = json["fixed"][0]["error"].as_str().unwrap();
    assert!(error.contains("CAP_NET_ADMIN"), "{json}");
}

fn for_people() {
    let clinic = Clinic::new();
    clinic.endpoints(&[]);
    let mut command = Command::new(mphttp());
    command.arg("doctor").arg(clinic.bench.url("big"));
    let output = run(clinic.client(), command);
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert_eq!(output.status.code(), Some(121), "{text}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(text.starts_with("MPTCP works, with 1 finding.\n\nno-endpoints (warning, proven)\n"), "{text}");
    assert!(text.contains("\n      mphttp paths add 10.2.0.1 --subflow\n"), "{text}");
    assert!(text.contains(" 100%  10.1.0.1 -> 10.1.0.2:8000\n"), "{text}");
    assert!(text.contains("lte             alone: MPTCP\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}
