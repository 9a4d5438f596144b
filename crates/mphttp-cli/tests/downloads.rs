//! Downloads over every link: never slower than the best one, never lost. Real programs, real links, real losses.
//!
//! What is measured here only has to show that the means is the right one; `cargo xtask bench situations` measures how much
//! is won.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/lab.rs"]
mod support;

use std::{
    fs::{self, File},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use mphttp::{Client, download::Paths};
use netlab::{Direction, Host, LinkSpec, Rate};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use support::{Bench, Getting, MEGABYTE, digest, mphttp, seconds};

fn main() -> ExitCode {
    support::main(vec![
        ("100 + 10 Mbit/s: more than the better link", || faster_than_tcp([(100, 0), (10, 0)], &[], 1.02)),
        ("100 Mbit/s at 10 ms + 100 at 80 ms: more than the better link", || {
            faster_than_tcp([(100, 10), (100, 80)], &[], 1.1);
        }),
        ("a server without MPTCP: both links all the same", || {
            faster_than_tcp([(100, 0), (100, 0)], &["--protocol", "tcp"], 1.7);
        }),
        ("a host without MPTCP: both links all the same", host_without_mptcp),
        ("a server that compresses on the fly: both links all the same", compressing),
        ("links alike: Multipath TCP is left alone", alike),
        ("chosen interfaces, and no others", chosen_interfaces),
        ("nothing goes around a tunnel", nothing_goes_around_a_tunnel),
        ("the first link dies silently half-way, with MPTCP", || dies_half_way(&[], 0)),
        ("the second link dies silently half-way, with MPTCP", || dies_half_way(&[], 1)),
        ("the first link dies silently half-way, without MPTCP", || dies_half_way(&["--protocol", "tcp"], 0)),
        ("the second link dies silently half-way, without MPTCP", || {
            dies_half_way(&["--protocol", "tcp"], 1)
        }),
        ("both links die and come back", both_die),
        ("a killed download is gone on with", || interrupted(Signal::SIGKILL)),
        ("an interrupted download is gone on with", || interrupted(Signal::SIGINT)),
        ("in order to a pipe, over both links", to_a_pipe),
        ("a file that changes under way", changes),
        ("random failures: nothing lost, nothing mixed", || random_failures(20)),
    ])
}

fn spec(name: &str, (mbit, delay): (u64, u64)) -> LinkSpec {
    let spec = LinkSpec::new().name(name).rate(Rate::mbit(mbit));
    if delay == 0 { spec } else { spec.delay(Duration::from_millis(delay)) }
}

fn links([wifi, lte]: [(u64, u64); 2]) -> Bench {
    Bench::new([spec("wifi", wifi), spec("lte", lte)])
}

/// Bytes by link.
fn by_link(got: &Value, link: &str) -> u64 {
    let links = got["links"].as_array().unwrap();
    links.iter().find(|entry| entry["link"] == link).map_or(0, |entry| entry["bytes"].as_u64().unwrap())
}

/// Downloads over two links of such rates (Mbit/s) and delays (ms), and as plain TCP does over the first.
fn faster_than_tcp(rates: [(u64, u64); 2], serve: &[&str], wanted: f64) {
    let bench = links(rates);
    let digest = bench.file("big", 50 * MEGABYTE);
    let _serving = bench.serve(serve);
    let tcp = bench.get("big", &["--protocol", "tcp"]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!((&tcp["strategy"], by_link(&tcp, "lte")), (&"single".into(), 0));
    let ours = bench.get("big", &[]).json();
    assert_eq!(bench.got(), digest);
    let ratio = seconds(&tcp, "seconds") / seconds(&ours, "seconds");
    println!("{ratio:.3} times as fast as TCP: {}", ours["links"]);
    assert!(ratio >= wanted, "{ratio:.3}");
    assert_eq!(ours["strategy"], "striped");
    let sum = by_link(&ours, "wifi") + by_link(&ours, "lte");
    assert!(sum.abs_diff(50 * MEGABYTE) < MEGABYTE / 10, "{sum}");
}

fn host_without_mptcp() {
    let bench = Bench::two_links();
    bench.client.sysctl("net.mptcp.enabled", "0").unwrap();
    let digest = bench.file("big", 50 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let got = bench.get("big", &[]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!((&got["strategy"], &got["why_tcp"]), (&"striped".into(), &"disabled".into()));
    for link in ["wifi", "lte"] {
        assert!(by_link(&got, link) > 20 * MEGABYTE, "{got}");
    }
}

fn compressing() {
    let bench = Bench::two_links();
    let digest = bench.file("big.txt", 50 * MEGABYTE);
    let _serving = bench.serve(&["--protocol", "tcp", "--compress"]);
    let head = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-sSI", "-H", "Accept-Encoding: gzip"]).args(arguments).arg(bench.url("big.txt"));
        curl.stdout(Stdio::piped());
        let output = bench.client.spawn(curl).unwrap().wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().to_lowercase()
    };
    // It does compress this file, for those who ask for it, and for all of it.
    assert!(head(&[]).contains("content-encoding: gzip"), "{}", head(&[]));
    let part = head(&["-r", "0-999"]);
    assert!(!part.contains("content-encoding"), "{part}");
    let got = bench.get("big.txt", &[]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!(got["strategy"], "striped");
    for link in ["wifi", "lte"] {
        assert!(by_link(&got, link) > 15 * MEGABYTE, "{got}");
    }
}

fn alike() {
    let bench = Bench::two_links();
    let digest = bench.file("big", 50 * MEGABYTE);
    let serving = bench.serve(&[]);
    let got = bench.get("big", &[]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!(got["protocol"], "mptcp");
    for link in ["wifi", "lte"] {
        assert!(by_link(&got, link) > 15 * MEGABYTE, "{got}");
    }
    // A polite number of requests.
    let requests = serving.stop().len();
    assert!(requests < 12, "{requests}");
}

/// A VPN over the first link: what is for the world, or for its other end alone, must not leave over the links beneath.
fn nothing_goes_around_a_tunnel() {
    let bench = Bench::two_links();
    bench.client.sysctl("net.mptcp.enabled", "0").unwrap();
    let digest = bench.file("big", 20 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let wifi = &bench.links[0];
    let ends =
        [(&bench.client, &bench.server, "10.99.0.1/24"), (&bench.server, &bench.client, "10.99.0.2/24")];
    for (host, peer, own) in ends {
        let (local, remote) = (wifi.address(host).unwrap(), wifi.address(peer).unwrap());
        ip(host, &format!("link add vpn type vxlan id 7 dstport 4789 local {local} remote {remote}"));
        ip(host, &format!("addr add {own} dev vpn"));
        ip(host, "link set dev vpn up");
    }
    let carried = |bench: &Bench| -> u64 {
        let both = [Direction::AToB, Direction::BToA];
        both.map(|direction| bench.links[1].traffic(direction).unwrap().sent_bytes).iter().sum()
    };
    for everything in [false, true] {
        if everything {
            ip(&bench.client, "route add 0.0.0.0/1 dev vpn");
            ip(&bench.client, "route add 128.0.0.0/1 dev vpn");
        }
        let before = carried(&bench);
        let got = bench.get_url("http://10.99.0.2:8000/big", &[]).json();
        assert_eq!((bench.got() == digest, &got["strategy"]), (true, &"single".into()), "{got}");
        assert!(by_link(&got, "vpn") > 19 * MEGABYTE, "{got}");
        let around = carried(&bench) - before;
        assert!(around < 10_000, "{around} bytes went around the tunnel");
    }
}

fn ip(host: &Host, arguments: &str) {
    let mut command = Command::new("ip");
    command.args(arguments.split(' '));
    assert!(host.spawn(command).unwrap().wait().unwrap().success(), "ip {arguments}");
}

fn chosen_interfaces() {
    let bench = Bench::two_links();
    let digest = bench.file("big", 10 * MEGABYTE);
    let _serving = bench.serve(&["--protocol", "tcp"]);
    let got = bench.get("big", &["--paths", "lte"]).json();
    assert_eq!((bench.got() == digest, by_link(&got, "wifi")), (true, 0));
    let got = bench.get("big", &["--paths", "lte,wifi"]).json();
    assert_eq!(bench.got(), digest);
    assert!(by_link(&got, "wifi") > 0 && by_link(&got, "lte") > 0, "{got}");
    let output = bench.get("big", &["--paths", "none0"]).child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
}

fn dies_half_way(serve: &[&str], which: usize) {
    let bench = Bench::two_links();
    let digest = bench.file("big", 50 * MEGABYTE);
    let _serving = bench.serve(serve);
    let before = bench.carried();
    let getting = bench.get("big", &[]);
    bench.wait_for(before + 25 * MEGABYTE);
    bench.links[which].set_black_hole(true).unwrap();
    let got = getting.json();
    assert_eq!(bench.got(), digest);
    let gap = seconds(&got, "max_gap_seconds");
    println!("the longest gap was {gap:.3} s");
    assert!(gap <= 0.5, "{gap:.3} s without a byte");
}

fn both_die() {
    let bench = Bench::two_links();
    let digest = bench.file("big", 50 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let before = bench.carried();
    let getting = bench.get("big", &[]);
    bench.wait_for(before + 25 * MEGABYTE);
    for link in &bench.links {
        link.set_black_hole(true).unwrap();
        link.take_address(&bench.client).unwrap();
    }
    thread::sleep(Duration::from_secs(5));
    for link in &bench.links {
        link.give_address(&bench.client).unwrap();
        link.set_black_hole(false).unwrap();
    }
    let back = Instant::now();
    let got = getting.json();
    println!("it took {:.1} s after that", back.elapsed().as_secs_f64());
    assert_eq!(bench.got(), digest);
    assert!(seconds(&got, "max_gap_seconds") > 4.0 && got["failures"].as_u64() > Some(0), "{got}");
    // Two seconds for the rest, and some to notice.
    assert!(back.elapsed() < Duration::from_secs(12));
}

fn interrupted(signal: Signal) {
    let bench = Bench::two_links();
    let digest = bench.file("big", 60 * MEGABYTE);
    let _serving = bench.serve(&["--protocol", "tcp"]);
    let before = bench.carried();
    let Getting { child } = bench.get("big", &[]);
    bench.wait_for(before + 40 * MEGABYTE);
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !bench.path("got").exists());
    assert_eq!(stderr.contains("are kept: go on with -C"), signal == Signal::SIGINT, "{stderr}");
    let got = bench.get("big", &["-C"]).json();
    assert_eq!(bench.got(), digest);
    let resumed = got["resumed_bytes"].as_u64().unwrap();
    println!("{resumed} bytes were there");
    // A killed one has lost what came since the state was last written, a second ago at most.
    assert!(resumed > if signal == Signal::SIGINT { 35 } else { 5 } * MEGABYTE, "{got}");
    assert!(!bench.path("got.mphttp-part").exists() && !bench.path("got.mphttp-part.json").exists());
}

fn to_a_pipe() {
    let bench = links([(100, 0), (20, 0)]);
    let wanted = bench.file("big", 40 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let mut command = Command::new(mphttp());
    command.args(["get", &bench.url("big")]).env_remove("MPHTTP_PROTOCOL").env("no_proxy", "*");
    command.stdout(File::create(bench.path("got")).unwrap()).stderr(Stdio::piped());
    let output = bench.client.spawn(command).unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    println!("{said}");
    assert_eq!((output.status.code(), digest(&bench.path("got"))), (Some(0), wanted));
    assert!(said.contains("2 links, striped"), "{said}");
}

fn changes() {
    let bench = Bench::two_links();
    bench.file("big", 40 * MEGABYTE);
    let _serving = bench.serve(&["--protocol", "tcp"]);
    let before = bench.carried();
    let getting = bench.get("big", &[]);
    bench.wait_for(before + 15 * MEGABYTE);
    // Another version takes its place at once, and one link dies, so that the rest has to be asked for.
    let other = bench.file("other", 42 * MEGABYTE);
    fs::rename(bench.path("www/other"), bench.path("www/big")).unwrap();
    bench.links[0].set_black_hole(true).unwrap();
    getting.json();
    assert_eq!(bench.got(), other);
}

/// Transfers of 8 MB during each of which links fail and come back at random.
fn random_failures(transfers: u32) {
    let bench = Bench::new(["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(50))));
    let wanted = bench.file("big", 8 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let (url, path) = (bench.url("big"), bench.path("got"));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut failures = 0;
    for number in 0..transfers {
        let (url, path) = (url.clone(), path.clone());
        let transfer = bench.client.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = Client::builder().no_proxy().build().unwrap();
                client.download(url).paths(Paths::Auto).to_file(path).await.unwrap()
            })
        });
        let transfer = transfer.unwrap();
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(next(300)));
            let link = &bench.links[usize::try_from(next(2)).unwrap()];
            if next(3) == 0 {
                link.take_address(&bench.client).unwrap();
                thread::sleep(Duration::from_millis(next(400)));
                link.give_address(&bench.client).unwrap();
            } else {
                link.set_black_hole(true).unwrap();
                thread::sleep(Duration::from_millis(if next(4) == 0 { 3000 } else { next(400) }));
                link.set_black_hole(false).unwrap();
            }
        }
        let done = transfer.join().unwrap();
        failures += done.failures;
        assert_eq!(digest(&bench.path("got")), wanted, "transfer {number}: {done:?}");
    }
    println!("{transfers} transfers, {failures} connections failed, all whole");
}
