//! `mphttp proxy --forward` on two hosts with two links: programs that know nothing of Multipath TCP get both links and
//! survive the loss of one; and who may not use it, or not go there, is told so.
//!
//! As `lab.rs`, it needs no privilege and runs one test at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/lab.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::IpAddr,
    process::{Child, Command, ExitCode, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use netlab::{Direction, Host};
use support::{Bench, MEGABYTE, Serving, digest, mphttp, seconds};

fn main() -> ExitCode {
    support::main(vec![
        ("a program without MPTCP gets both links through a proxy beside it", beside_the_client),
        ("a link dies, and such a program's download goes on", a_link_dies),
        ("a proxy at the far end gives both links to a server without MPTCP", far_end),
        ("who may use it, and where it does not lead", closed),
    ])
}

const SOON: Duration = Duration::from_secs(20);

/// A running forward proxy; killed when dropped.
struct Proxy {
    child: Child,
    told: Vec<String>,
    log: Option<thread::JoinHandle<Vec<String>>>,
}

impl Proxy {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let mut child = host.spawn(command(arguments)).unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut told = Vec::new();
        for line in errors.by_ref() {
            let last = line == "Ctrl-C stops.";
            told.push(line);
            if last {
                break;
            }
        }
        assert_eq!(told.last().map(String::as_str), Some("Ctrl-C stops."), "{told:?}");
        thread::spawn(move || errors.for_each(drop));
        let log = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let log = Some(thread::spawn(move || log.collect()));
        Self { child, told, log }
    }

    /// Asks it to stop, and returns its access log.
    fn stop(mut self) -> Vec<String> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < SOON, "it does not stop");
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}");
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(mphttp());
    command.args(["proxy", "--forward"]).args(arguments);
    command.env_remove("MPHTTP_PROTOCOL").env_remove("MPHTTP_PROXY_TOKEN");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// An HTTPS server on the far host, and the file of its certificate.
fn https(bench: &Bench) -> (Serving, String) {
    let address = bench.links[0].address(&bench.server).unwrap().to_string();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![address]).unwrap().self_signed(&key).unwrap();
    let (chain, secret) = (bench.path("chain.pem"), bench.path("key.pem"));
    fs::write(&chain, certificate.pem()).unwrap();
    fs::write(&secret, key.serialize_pem()).unwrap();
    let chain = chain.to_str().unwrap().to_owned();
    let serving = bench.serve(&["--tls-cert", &chain, "--tls-key", secret.to_str().unwrap()]);
    (serving, chain)
}

/// curl on the near host, by the environment alone.
fn curl(bench: &Bench, chain: &str, url: &str) -> Child {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail", "--cacert", chain, "--output"])
        .arg(bench.path("got"));
    command.arg(url).env_remove("no_proxy").env_remove("NO_PROXY").env_remove("ALL_PROXY");
    command.env("https_proxy", "http://127.0.0.1:3128").env("http_proxy", "http://127.0.0.1:3128");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    bench.client.spawn(command).unwrap()
}

#[track_caller]
fn done(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: there is no curl");
    }
    found
}

/// What share of the bytes to the client each link has carried since then.
fn shares(bench: &Bench, before: &[u64]) -> Vec<f64> {
    let carried = to_client(bench);
    let parts: Vec<_> = carried.iter().zip(before).map(|(now, then)| (now - then) as f64).collect();
    let all: f64 = parts.iter().sum();
    parts.iter().map(|part| part / all).collect()
}

fn to_client(bench: &Bench) -> Vec<u64> {
    bench.links.iter().map(|link| link.traffic(Direction::BToA).unwrap().received_bytes).collect()
}

fn beside_the_client() {
    if !has_curl() {
        return;
    }
    let bench = Bench::two_links();
    let expected = bench.file("big", 50 * MEGABYTE);
    let (_serving, chain) = https(&bench);
    let proxy = Proxy::start(&bench.client, &[]);
    for export in ["  export http_proxy=http://127.0.0.1:3128", "  export https_proxy=http://127.0.0.1:3128"]
    {
        assert!(proxy.told.iter().any(|line| line == export), "{:?}", proxy.told);
    }
    let url = bench.url("big").replace("http://", "https://");
    let (before, begun) = (to_client(&bench), Instant::now());
    done(curl(&bench, &chain, &url));
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(digest(&bench.path("got")), expected);
    // One link needs 4 s for it at its full rate.
    let shares = shares(&bench, &before);
    println!("{took:.2} s, shares {shares:.2?}");
    assert!(took < 0.75 * 4.0, "{took:.2} s");
    assert!(shares.iter().all(|&share| share > 0.3), "{shares:?}");
    let log = proxy.stop();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].contains("CONNECT ") && log[0].contains(" mptcp - "), "{log:?}");
}

fn a_link_dies() {
    if !has_curl() {
        return;
    }
    let bench = Bench::two_links();
    let expected = bench.file("big", 30 * MEGABYTE);
    let (_serving, chain) = https(&bench);
    let _proxy = Proxy::start(&bench.client, &[]);
    let before = bench.carried();
    let running = curl(&bench, &chain, &bench.url("big").replace("http://", "https://"));
    bench.wait_for(before + 10 * MEGABYTE);
    bench.links[0].set_black_hole(true).unwrap();
    done(running);
    assert_eq!(digest(&bench.path("got")), expected);
}

/// A far proxy, reached by `mphttp get` over MPTCP, and a server that is TCP-only and on the proxy's own host.
fn far_end() {
    let bench = Bench::two_links();
    let expected = bench.file("big", 40 * MEGABYTE);
    let _serving = bench.serve(&["--protocol", "tcp", "--bind", "127.0.0.1"]);
    let address = bench.links[0].address(&bench.server).unwrap();
    let token = bench.path("token");
    fs::write(&token, "open-sesame-2026\n").unwrap();
    let token = token.to_str().unwrap();
    let arguments = ["--listen", "[::]:3128", "--token-file", token, "--to-protocol", "tcp"];
    let proxy = Proxy::start(&bench.server, &[&arguments[..], &["--allow-target", "127.0.0.1"]].concat());
    assert!(proxy.told.iter().any(|line| line.contains("user:TOKEN@")), "{:?}", proxy.told);
    assert!(!proxy.told.iter().any(|line| line.contains("sesame")), "{:?}", proxy.told);
    let before = to_client(&bench);
    let got = get_by(&bench, address, "user:open-sesame-2026@", "http://127.0.0.1:8000/big");
    let got: serde_json::Value = serde_json::from_slice(&done(got).stdout).unwrap();
    assert_eq!(bench.got(), expected);
    let shares = shares(&bench, &before);
    println!("{:.2} s, shares {shares:.2?}", seconds(&got, "seconds"));
    assert_eq!(got["protocol"], "mptcp");
    assert!(shares.iter().all(|&share| share > 0.3), "{shares:?}");
    let log = proxy.stop();
    assert!(
        log.iter()
            .any(|line| line.contains("\"GET http://127.0.0.1:8000/big ") && line.contains(" mptcp - "))
    );
}

fn get_by(bench: &Bench, proxy: IpAddr, credentials: &str, url: &str) -> Child {
    let mut command = Command::new(mphttp());
    command.args(["get", "--json", "--fail", "--paths", "off", "-o"]).arg(bench.path("got")).arg(url);
    command.env_remove("MPHTTP_PROTOCOL").env_remove("no_proxy").env_remove("NO_PROXY");
    command.env("http_proxy", format!("http://{credentials}{proxy}:3128"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    bench.client.spawn(command).unwrap()
}

fn closed() {
    let bench = Bench::two_links();
    bench.file("small", 1000);
    // Who may use it must be said, where others can reach it.
    let refused =
        bench.server.spawn(command(&["--listen", "[::]:3128"])).unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--allow") && said.contains("--token-file"), "{said}");
    let _serving = bench.serve(&[]);
    let own = bench.links[0].address(&bench.server).unwrap();
    let client = bench.links[0].address(&bench.client).unwrap().to_string();
    let fails = |arguments: &[&str], url: &str, status: &str| {
        let arguments = [&["--listen", "[::]:3128"], arguments].concat();
        let proxy = Proxy::start(&bench.server, &arguments);
        let output = get_by(&bench, own, "", url).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(22), "{arguments:?}");
        let log = proxy.stop();
        assert!(log.iter().any(|line| line.contains(&format!("\" {status} "))), "{arguments:?}: {log:?}");
    };
    // Not for this client; not without the token; not to what is the proxy host's own, by any of its names.
    fails(&["--allow", "198.51.100.0/24"], "http://192.0.2.1/", "403");
    fails(&["--token", "open-sesame-2026"], "http://192.0.2.1/", "407");
    for url in ["http://127.0.0.1:8000/small", "http://localhost:8000/small", &bench.url("small")] {
        fails(&["--allow", &client], url, "403");
    }
}
