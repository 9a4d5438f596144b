//! What an operator sees of `mphttp serve` while real transfers run over two links: metrics, access log, status page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "support/lab.rs"]
mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use browser::Browser;
use netlab::{After, BoxKind, LinkSpec, Rate};
use prometheus::Metrics;
use serde_json::Value;
use support::{Bench, MEGABYTE};

fn main() -> ExitCode {
    support::main(vec![
        ("metrics and access log tell of both paths and of TCP", both_paths),
        ("a connection that falls back is counted as such", fallback),
        ("a connection that is silent again and again keeps both paths", parked),
        ("a backup path has a role of its own", backup),
        ("a browser shows a transfer over two links, and a chart that grows", status_page),
    ])
}

const SEEN: [&str; 6] = ["--metrics", "9464", "--status", "9464", "--access-log", "json"];

/// What the operator's listener on the server's host answers.
fn ask(bench: &Bench, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:9464\r\nConnection: close\r\n\r\n");
    bench
        .server
        .run(move || {
            let mut stream = TcpStream::connect("127.0.0.1:9464").unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            body.to_owned()
        })
        .unwrap()
}

fn metrics(bench: &Bench) -> Metrics {
    Metrics::parse(&ask(bench, "/metrics"))
}

/// The figures, once they are as they should be: what a client has is not yet what the server has noticed.
fn metrics_with(bench: &Bench, fine: impl Fn(&Metrics) -> bool) -> Metrics {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let metrics = metrics(bench);
        if fine(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < deadline, "{metrics:#?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn path_bytes(metrics: &Metrics, protocol: &str, role: &str, direction: &str) -> f64 {
    let labels = [("protocol", protocol), ("role", role), ("direction", direction)];
    metrics.get("mphttp_path_bytes_total", &labels)
}

const OPEN: &str = "mphttp_connections_open";
const MPTCP: [(&str, &str); 2] = [("protocol", "mptcp"), ("reason", "")];
const TCP: [(&str, &str); 2] = [("protocol", "tcp"), ("reason", "client")];

fn both_paths() {
    let bench = Bench::two_links();
    bench.file("big", 30 * MEGABYTE);
    let serving = bench.serve(&SEEN);
    let before = metrics(&bench);
    assert_eq!(before.get("mphttp_connections_total", &MPTCP), 0.0);
    assert!(before.get("process_open_fds", &[]) >= 5.0);
    assert!(before.get("process_resident_memory_bytes", &[]) > 1e6);
    let begun = before.get("process_start_time_seconds", &[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - begun).abs() < 60.0, "{begun} {now}");

    let getting = bench.get("big", &["--paths", "off"]);
    // While it runs, both paths are seen at work.
    let during = metrics_with(&bench, |metrics| {
        let additional = path_bytes(metrics, "mptcp", "additional", "sent");
        assert!(additional == 0.0 || path_bytes(metrics, "mptcp", "initial", "sent") > 0.0, "{metrics:#?}");
        additional > 0.0
    });
    let path_counts = |metrics: &Metrics, name: &str| {
        ["initial", "additional"].map(|role| metrics.get(name, &[("protocol", "mptcp"), ("role", role)]))
    };
    assert_eq!(path_counts(&during, "mphttp_paths_total"), [1.0, 1.0]);
    getting.json();
    bench.get("big", &["--protocol", "tcp"]).json();
    let after = metrics_with(&bench, |metrics| {
        let open = metrics.get(OPEN, &MPTCP) + metrics.get(OPEN, &TCP);
        open == 0.0 && metrics.get("mphttp_requests_in_flight", &[]) == 0.0
    });
    let sent = ["initial", "additional"].map(|role| path_bytes(&after, "mptcp", role, "sent"));
    println!("sent over MPTCP: {sent:?}");
    let size = 30.0 * MEGABYTE as f64;
    // Links alike: each carries its part, and together they carry the file, and little more.
    assert!(sent.iter().all(|&bytes| bytes > size / 4.0), "{sent:?}");
    assert!((size..size * 1.3).contains(&sent.iter().sum()), "{sent:?}");
    assert_eq!(path_bytes(&after, "mptcp", "backup", "sent"), 0.0);
    let tcp = path_bytes(&after, "tcp", "initial", "sent");
    assert!((size..size * 1.3).contains(&tcp), "{tcp} {after:#?}");
    assert!((50.0..5000.0).contains(&path_bytes(&after, "tcp", "initial", "received")));
    assert_eq!(path_counts(&after, "mphttp_paths_total"), [1.0, 1.0]);
    assert_eq!(path_counts(&after, "mphttp_paths_open"), [0.0, 0.0]);
    assert_eq!(
        (after.get("mphttp_connections_total", &MPTCP), after.get("mphttp_connections_total", &TCP)),
        (1.0, 1.0)
    );
    assert_eq!(after.get("mphttp_requests_total", &[("method", "GET"), ("status", "2xx")]), 2.0);
    assert_eq!(after.get("mphttp_request_duration_seconds_count", &[]), 2.0);
    assert!(after.get("mphttp_request_duration_seconds_sum", &[]) > 1.0);
    assert_eq!(after.get("mphttp_fallbacks_total", &[]), 0.0);

    let log: Vec<Value> = serving.stop().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let details = |line: &Value| -> Vec<u64> {
        let paths = line["path_details"].as_array().unwrap();
        paths.iter().map(|path| path["bytes_sent"].as_u64().unwrap()).collect()
    };
    assert_eq!((&log[0]["protocol"], &log[0]["paths"]), (&"mptcp".into(), &2.into()));
    // When the last byte is handed over, much of it is still to be sent.
    let carried = details(&log[0]);
    assert!(carried.len() == 2 && carried.iter().all(|&bytes| bytes > MEGABYTE), "{carried:?}");
    assert_eq!((&log[1]["protocol"], &log[1]["why_tcp"]), (&"tcp".into(), &"client".into()));
    assert_eq!(details(&log[1]).len(), 1);
}

/// Between two requests the server keeps little more than the socket: what is known of the connection must stay right.
fn parked() {
    let bench = Bench::two_links();
    bench.file("some", MEGABYTE);
    let _serving = bench.serve(&SEEN);
    let address = (bench.links[0].address(&bench.server).unwrap(), 8000).into();
    let told = bench
        .client
        .run(move || {
            let mut stream =
                mptcp_socket::Connect::new(mptcp_socket::Protocol::MptcpOnly).to(&[address]).unwrap().stream;
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut ask = |path: &str, length: usize| {
                let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
                stream.write_all(request.as_bytes()).unwrap();
                let (mut answer, mut piece) = (Vec::new(), vec![0; 1 << 16]);
                let body = |answer: &[u8]| answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
                while body(&answer).is_none_or(|head| answer.len() < head + 4 + length) {
                    let read = stream.read(&mut piece).unwrap();
                    assert!(read > 0, "closed after {} bytes", answer.len());
                    answer.extend_from_slice(&piece[..read]);
                }
                answer.split_off(body(&answer).unwrap() + 4)
            };
            let mut told = Vec::new();
            for _ in 0..3 {
                assert_eq!(ask("/some", MEGABYTE as usize).len() as u64, MEGABYTE);
                thread::sleep(Duration::from_millis(1800));
                let text = ask("/.mphttp/check", "You are using MPTCP over 2 paths.\n".len());
                told.push(String::from_utf8(text).unwrap());
            }
            told
        })
        .unwrap();
    assert_eq!(told, ["You are using MPTCP over 2 paths.\n"; 3]);
    let after = metrics_with(&bench, |metrics| metrics.get(OPEN, &MPTCP) == 0.0);
    let sent = ["initial", "additional"].map(|role| path_bytes(&after, "mptcp", role, "sent"));
    assert!(sent.iter().all(|&bytes| bytes > 0.0), "{sent:?}");
    assert!(sent.iter().sum::<f64>() > 3.0 * MEGABYTE as f64, "{sent:?}");
    assert_eq!(after.get("mphttp_connections_total", &MPTCP), 1.0);
}

fn fallback() {
    let spec = LinkSpec::new().name("wan").rate(Rate::mbit(100)).delay(Duration::from_millis(5));
    let bench = Bench::new([spec.middlebox(BoxKind::StripAfter(After::Bytes(500_000)))]);
    bench.file("big", 5 * MEGABYTE);
    let _serving = bench.serve(&[&SEEN[..], &["--upload"]].concat());
    // The receiver is who sees it: here the server.
    let mut getting =
        bench.get("there", &["-T", bench.path("www/big").to_str().unwrap(), "--max-time", "20"]);
    let after = metrics_with(&bench, |metrics| metrics.get("mphttp_fallbacks_total", &[]) > 0.0);
    assert!(after.get("mphttp_connections_total", &MPTCP) >= 1.0, "{after:#?}");
    let _ = getting.child.kill();
    getting.child.wait().unwrap();
}

fn backup() {
    let bench = Bench::two_links();
    bench.file("big", 20 * MEGABYTE);
    // The client's second address becomes a backup.
    let address = bench.links[1].address(&bench.client).unwrap();
    bench
        .client
        .run(move || {
            let mut manager = mptcp_paths::PathManager::open().unwrap();
            let endpoints = manager.endpoints().unwrap();
            let endpoint = endpoints.iter().find(|endpoint| endpoint.address == address).unwrap();
            let backup = mptcp_paths::FlagChange { backup: Some(true), ..Default::default() };
            manager.change(endpoint.id.unwrap(), backup).unwrap();
        })
        .unwrap();
    let _serving = bench.serve(&SEEN);
    let getting = bench.get("big", &["--paths", "off"]);
    let open = [("protocol", "mptcp"), ("role", "backup")];
    metrics_with(&bench, |metrics| metrics.get("mphttp_paths_open", &open) == 1.0);
    getting.json();
    let after = metrics_with(&bench, |metrics| metrics.get(OPEN, &MPTCP) == 0.0);
    assert_eq!(after.get("mphttp_paths_total", &open), 1.0);
    let initial = path_bytes(&after, "mptcp", "initial", "sent");
    assert!(initial > path_bytes(&after, "mptcp", "backup", "sent"), "{after:#?}");
}

fn status_page() {
    let links = ["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(10)));
    let bench = Bench::new(links);
    bench.file("big", 100 * MEGABYTE);
    let _serving = bench.serve(&SEEN);
    let mut getting = bench.get("big", &["--paths", "off"]);
    let Some(mut browser) = Browser::start(&bench.server) else { return };
    browser.open("http://localhost:9464/");
    // It looks once a second; until there are a few looks with both paths in them.
    let drawn = "document.getElementById('chart').querySelectorAll('polyline').length === 2 && \
                 Number(document.getElementById('chart').dataset.samples) >= 3";
    browser.wait_for(drawn);
    let page = browser.text("document.documentElement.outerHTML");
    let status: Value = serde_json::from_str(&ask(&bench, "/status.json")).unwrap();
    assert_eq!(browser.errors, Vec::<String>::new());
    getting.child.kill().unwrap();
    getting.child.wait().unwrap();

    let connection = &status["connections"][0];
    let client = connection["client"].as_str().unwrap();
    assert_eq!(connection["protocol"], "mptcp");
    let paths = connection["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 2, "{status}");
    assert_eq!((&paths[0]["role"], &paths[1]["role"]), (&"initial".into(), &"additional".into()));
    assert!(page.contains(&format!("{client}<br>")), "{client}: {page}");
    let samples: usize = between(&page, "data-samples=\"", "\"").parse().unwrap();
    println!("{samples} samples in the chart");
    assert!(samples >= 3, "{page}");
    // The server has one address here, and the client two.
    for (link, role) in [("wifi", "initial"), ("wifi", "additional")] {
        // Each link has a line in the chart, of as many points, and carried something in the last of them.
        let line =
            page.split("<polyline").find(|line| line.contains(&format!("data-name=\"{link}, {role}\"")));
        let points: Vec<_> = between(line.expect(&page), "points=\"", "\"").split(' ').collect();
        assert_eq!(points.len(), samples, "{points:?}");
        let y: f64 = points.last().unwrap().split_once(',').unwrap().1.parse().unwrap();
        assert!((0.0..150.0).contains(&y), "{points:?}");
        assert!(page.contains(&format!("{link} ↔ ")), "{page}");
    }
    assert!(page.contains("MPTCP</td>") && page.contains("1 open connection by MPTCP"), "{page}");
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).expect(before).1;
    rest.split_once(after).expect(after).0
}
