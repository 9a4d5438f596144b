//! `mphttp serve` and `mphttp get` on two hosts with two links: the promises of the README, kept by real programs over
//! real kernel MPTCP.
//!
//! Needs no privilege and no program but this one. Each test builds its own lab; they run one at a time, since what
//! they measure is time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "lab/proxy.rs"]
mod proxy;
#[path = "support/lab.rs"]
mod support;

use std::{
    fs,
    process::{Command, ExitCode},
    time::Duration,
};

use netlab::{After, BoxKind, Direction, LinkSpec, Rate, Segments};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{Bench, MEGABYTE, mphttp, seconds};

fn main() -> ExitCode {
    support::main(vec![
        ("two links take little more than half the time of one", two_links_halve_the_time),
        ("the first link dies silently half-way", || dies_half_way(0, Death::Silent)),
        ("the second link dies silently half-way", || dies_half_way(1, Death::Silent)),
        ("the first link loses its carrier half-way", || dies_half_way(0, Death::Carrier)),
        ("the second link loses its carrier half-way", || dies_half_way(1, Death::Carrier)),
        ("a TCP client of an MPTCP server gets TCP, and both say so", tcp_client),
        ("an MPTCP client of a TCP server gets TCP, and both say so", tcp_server),
        ("a client host without MPTCP falls back, and says so", host_without_mptcp),
        ("a box that strips MPTCP leaves TCP, and get says so", stripped),
        ("a box that swallows MPTCP SYNs costs a fraction of a second", swallowed),
        ("a box that resets MPTCP SYNs costs a round trip", reset),
        ("a box that starts to strip on one of two links", one_link_turns_hostile),
        ("a box that starts to strip on the only link", only_link_turns_hostile),
        ("a box that strips what the server sends, from its first byte on", server_does_not_notice),
        ("a default route into a dead link costs a fraction of a second", dead_route),
        ("10,000 requests on kept connections and 1,000 on new ones", many_requests),
        ("a proxy gives a plain server's users both links", proxy::a_plain_server_gets_both_links),
        (
            "between two proxies the death of a link is survived",
            proxy::two_proxies_survive_the_death_of_a_link,
        ),
        ("an ordinary user can run the demo", demo),
    ])
}

fn two_links_halve_the_time() {
    let bench = Bench::two_links();
    let digest = bench.file("big", 100 * MEGABYTE);
    let serving = bench.serve(&[]);
    assert!(serving.told.iter().any(|line| line.contains("MPTCP")), "{:?}", serving.told);
    let tcp = bench.get("big", &["--protocol", "tcp"]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!((tcp["protocol"].as_str(), tcp["why_tcp"].as_str()), (Some("tcp"), Some("not-requested")));
    let mptcp = bench.get("big", &["--paths", "off"]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!(mptcp["strategy"], "mptcp");
    assert_eq!((mptcp["protocol"].as_str(), mptcp["why_tcp"].as_str()), (Some("mptcp"), None));
    assert_eq!(mptcp["paths_total"].as_u64(), Some(2));
    let interfaces: Vec<_> =
        mptcp["paths"].as_array().unwrap().iter().map(|path| path["interface"].as_str().unwrap()).collect();
    assert!(interfaces.contains(&"wifi") && interfaces.contains(&"lte"), "{interfaces:?}");
    let ratio = seconds(&mptcp, "seconds") / seconds(&tcp, "seconds");
    println!("MPTCP took {ratio:.3} of the time of TCP");
    assert!(ratio <= 0.54, "{ratio:.3}");
    let log = serving.stop();
    assert!(log.iter().any(|line| line.contains("mptcp")) && log.len() == 2, "{log:?}");
}

#[derive(Clone, Copy)]
enum Death {
    Silent,
    Carrier,
}

fn dies_half_way(which: usize, death: Death) {
    let bench = Bench::two_links();
    let digest = bench.file("big", 100 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let before = bench.carried();
    // One connection, so that it is the kernel that goes on.
    let getting = bench.get("big", &["--paths", "off"]);
    bench.wait_for(before + 50 * MEGABYTE);
    match death {
        Death::Silent => bench.links[which].set_black_hole(true).unwrap(),
        Death::Carrier => bench.links[which].set_carrier(false).unwrap(),
    }
    let got = getting.json();
    assert_eq!(bench.got(), digest);
    let gap = seconds(&got, "max_gap_seconds");
    println!("the longest gap was {gap:.3} s");
    assert!(gap <= 0.5, "{gap:.3} s without a byte");
}

/// Downloads once with these options and returns what `get` and the server's log say.
fn once(bench: &Bench, serve: &[&str], get: &[&str]) -> (Value, String) {
    let digest = bench.file("small", MEGABYTE);
    let serving = bench.serve(serve);
    let got = bench.get("small", get).json();
    assert_eq!(bench.got(), digest);
    let log = serving.stop();
    (got, log.join("\n"))
}

fn tcp_client() {
    let (got, log) = once(&Bench::two_links(), &[], &["--protocol", "tcp"]);
    assert_eq!((got["protocol"].as_str(), got["why_tcp"].as_str()), (Some("tcp"), Some("not-requested")));
    assert!(log.contains("tcp") && log.contains("client"), "{log}");
}

fn tcp_server() {
    let bench = Bench::two_links();
    let (got, log) = once(&bench, &["--protocol", "tcp"], &[]);
    assert_eq!((got["protocol"].as_str(), got["why_tcp"].as_str()), (Some("tcp"), Some("peer-or-path")));
    assert!(log.contains("tcp") && log.contains("not-requested"), "{log}");
    let _serving = bench.serve(&["--protocol", "tcp"]);
    let output = bench.get("small", &["--protocol", "mptcp-only"]).child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        error["error"]["message"].as_str().unwrap().contains("answered without Multipath TCP"),
        "{error}"
    );
}

fn host_without_mptcp() {
    let bench = Bench::two_links();
    bench.client.sysctl("net.mptcp.enabled", "0").unwrap();
    let (got, _) = once(&bench, &[], &[]);
    assert_eq!((got["protocol"].as_str(), got["why_tcp"].as_str()), (Some("tcp"), Some("disabled")));
}

/// A link with a box, 10 ms long.
fn boxed(kind: BoxKind) -> Bench {
    let spec = LinkSpec::new().name("wan").rate(Rate::mbit(100)).delay(Duration::from_millis(5));
    Bench::new([spec.middlebox(kind)])
}

fn stripped() {
    let bench = boxed(BoxKind::StripMptcp { segments: Segments::All, direction: None });
    let (got, log) = once(&bench, &[], &[]);
    assert_eq!((got["protocol"].as_str(), got["why_tcp"].as_str()), (Some("tcp"), Some("peer-or-path")));
    assert!(log.contains("client"), "{log}");
}

fn swallowed() {
    let bench = boxed(BoxKind::DropMptcpSyn);
    let (got, _) = once(&bench, &[], &[]);
    assert_eq!((got["protocol"].as_str(), got["why_tcp"].as_str()), (Some("tcp"), Some("syn-dropped")));
    let took = seconds(&got, "connect_seconds");
    println!("connecting took {took:.3} s");
    // 0.3 s and the plain connect's round trip, with some for the scheduler.
    assert!(took <= 0.34, "{took:.3} s");
    // The kernel has not come to its own conclusion, which would switch MPTCP off for the whole host.
    assert_eq!(bench.client.counters().unwrap().get("MPTcpExtBlackhole").copied().unwrap_or(0), 0);
}

fn reset() {
    let bench = boxed(BoxKind::ResetMptcpSyn);
    let (got, _) = once(&bench, &[], &[]);
    assert_eq!((got["protocol"].as_str(), got["why_tcp"].as_str()), (Some("tcp"), Some("syn-reset")));
    let took = seconds(&got, "connect_seconds");
    // Two round trips of 10 ms, and far from any timer.
    assert!(took <= 0.1, "{took:.3} s");
}

fn one_link_turns_hostile() {
    for which in [0, 1] {
        let bench = Bench::two_links();
        let digest = bench.file("big", 60 * MEGABYTE);
        let _serving = bench.serve(&[]);
        let before = bench.carried();
        let getting = bench.get("big", &["--max-time", "30", "--paths", "off"]);
        bench.wait_for(before + 20 * MEGABYTE);
        let kind = BoxKind::StripMptcp { segments: Segments::All, direction: None };
        bench.links[which].set_box(Some(kind)).unwrap();
        // The kernel gives up that subflow and goes on with the other.
        let got = getting.json();
        assert_eq!(bench.got(), digest);
        assert_eq!(got["protocol"], "mptcp");
    }
}

fn only_link_turns_hostile() {
    let bench = boxed(BoxKind::StripAfter(After::Bytes(500_000)));
    let digest = bench.file("big", 5 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let get = |arguments: &[&str]| {
        let output = bench.get("big", arguments).child.wait_with_output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        println!("{said}");
        (said, output.status.code())
    };
    let (said, code) = get(&["--retry-for", "0"]);
    // The kernel would go on, and deliver bytes twice.
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("began with Multipath TCP and fell back"), "{message}");
    assert_eq!(code, Some(18));
    assert!(!bench.path("got").exists());
    // What has come is right, though, and the rest can be asked for.
    let (said, code) = get(&[]);
    assert_eq!((code, bench.got() == digest), (Some(0), true));
    assert!(said["failures"].as_u64().unwrap() > 0, "{said}");
    // What the error advises.
    bench.get("big", &["--protocol", "tcp"]).json();
    assert_eq!(bench.got(), digest);
}

fn server_does_not_notice() {
    let bench = boxed(BoxKind::StripMptcp { segments: Segments::NotSyns, direction: Some(Direction::BToA) });
    let digest = bench.file("big", 5 * MEGABYTE);
    let _serving = bench.serve(&[]);
    // The kernel delivers the first window twice.
    let output = bench.get("big", &["--retry-for", "0"]).child.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{said}");
    assert_eq!(output.status.code(), Some(18), "{said}");
    assert!(!bench.path("got").exists());
    // What fits into it is right.
    let small = bench.file("small", 30_000);
    bench.get("small", &[]).json();
    assert_eq!(bench.got(), small);
    // What the error advises.
    bench.get("big", &["--protocol", "tcp"]).json();
    assert_eq!(bench.got(), digest);
}

fn dead_route() {
    let bench = Bench::two_links();
    bench.links[0].set_black_hole(true).unwrap();
    let (got, _) = once(&bench, &[], &[]);
    let took = seconds(&got, "connect_seconds");
    println!("connecting took {took:.3} s");
    assert!(took < 1.0, "{took:.3} s");
    assert_eq!(got["paths"][0]["interface"], "lte");
    // Unless told to keep to the route.
    let _serving = bench.serve(&[]);
    let output =
        bench.get("small", &["--no-race", "--connect-timeout", "1"]).child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(28), "{}", String::from_utf8_lossy(&output.stderr));
}

fn many_requests() {
    let bench = Bench::two_links();
    let digest = bench.file("page", 2000);
    let serving = bench.serve(&[]);
    let url = bench.url("page");
    for (kept, requests) in [(true, 10_000), (false, 1000)] {
        bench
            .client
            .run(|| {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let idle = if kept { 32 } else { 0 };
                    let client =
                        mphttp::Client::builder().no_proxy().pool_max_idle_per_host(idle).build().unwrap();
                    let clients = (0..20).map(|_| {
                        let (client, url, digest) = (client.clone(), url.clone(), digest.clone());
                        tokio::spawn(async move {
                            for _ in 0..requests / 20 {
                                let response = client.get(&url).send().await.unwrap();
                                assert!(response.transport().is_mptcp());
                                assert_eq!(
                                    Sha256::digest(response.bytes().await.unwrap()).as_slice(),
                                    digest
                                );
                            }
                        })
                    });
                    for client in clients.collect::<Vec<_>>() {
                        client.await.unwrap();
                    }
                });
            })
            .unwrap();
    }
    let connections = bench.server.counters().unwrap()["MPTcpExtMPCapableACKRX"];
    println!("{connections} MPTCP connections");
    assert!((1000..=1100).contains(&connections), "{connections}");
    drop(serving);
}

fn demo() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("demo.svg");
    let mut command = Command::new(mphttp());
    command.args(["demo", "--json", "--quiet", "--size", "20", "--svg"]).arg(&picture);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = value["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run["whole"] == true), "{value}");
    assert_eq!(runs[1]["protocol"], "mptcp");
    assert!(seconds(&runs[1], "seconds") < 0.7 * seconds(&runs[0], "seconds"), "{value}");
    let svg = fs::read_to_string(picture).unwrap();
    assert!(svg.contains("wifi dies") && svg.ends_with("</svg>\n"));
}
