//! What an operator sees: access logs in files, refused requests, metrics and the status page, and who may see those.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{SOON, Serve, mphttp, serve, serve_with};
use crate::prometheus::Metrics;

/// Sends this and reads to the end.
fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // It may be refused, and the connection reset, before all of it was sent.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}

fn ask(address: SocketAddr, path: &str, headers: &str) -> String {
    raw(address, &format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"))
}

/// The address of the operator's listener, as the banner has it.
fn operator(server: &Serve) -> SocketAddr {
    let is_there = |line: &&String| line.starts_with("Status page") || line.starts_with("Metrics");
    let line = server.banner.iter().find(is_there).unwrap();
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    address.replace("0.0.0.0", "127.0.0.1").parse().unwrap()
}

fn wait_for(what: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !what() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_access_log_in_a_file_is_rotated_by_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let mut server = serve(&["--access-log", "combined", "--access-log-file", path.to_str().unwrap()]);
    let hello = |name: &str| ask(server.address(), name, "Host: x\r\nUser-Agent: a\"b\\c\td\r\n");
    assert!(hello("/hello.txt?one").starts_with("HTTP/1.1 200 "));
    wait_for(|| fs::read_to_string(&path).unwrap().ends_with('\n'));
    fs::rename(&path, &old).unwrap();
    server.signal("-HUP");
    wait_for(|| path.exists());
    hello("/hello.txt?two");
    wait_for(|| fs::read_to_string(&path).unwrap().ends_with('\n'));
    let (before, after) = (fs::read_to_string(&old).unwrap(), fs::read_to_string(&path).unwrap());
    assert_eq!((before.lines().count(), after.lines().count()), (1, 1), "{before} {after}");
    // Escaped as Apache does it.
    let middle = "HTTP/1.1\" 200 13 \"-\" \"a\\\"b\\\\c\\td\" tcp client 1 0.0";
    assert!(before.contains("GET /hello.txt?one ") && before.contains(middle), "{before}");
    assert!(after.contains("GET /hello.txt?two "), "{after}");
    server.signal("-TERM");
    assert_eq!(server.exit(), Some(0));
    assert!(server.log.try_recv().is_err(), "nothing of it goes to stdout");
}

#[test]
fn requests_that_are_refused_before_any_handler_have_their_line_and_are_counted() {
    let server = serve(&["--metrics", "0", "--log", "mphttp=debug"]);
    assert!(raw(server.address(), "GET /\x01 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let line = server.line();
    assert!(line.ends_with(" 127.0.0.1 \"-\" 400 0 tcp client 1 0.000"), "{line}");
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(300_000));
    raw(server.address(), &long);
    let line = server.line();
    assert!(line.contains(" \"-\" 431 0 tcp client "), "{line}");
    raw(server.address(), &format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000)));
    let line = server.line();
    assert!(line.contains(" \"-\" 414 0 tcp client "), "{line}");
    // HTTP all right, but against RFC 9112 section 3.2: an answer of ours, among the others.
    assert!(raw(server.address(), "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let line = server.line();
    assert!(line.contains(" \"-\" 400 0 tcp client "), "{line}");
    let answer = ask(operator(&server), "/metrics", "Host: localhost\r\n");
    let metrics = Metrics::parse(answer.split_once("\r\n\r\n").unwrap().1);
    assert_eq!(metrics.get("mphttp_malformed_requests_total", &[]), 3.0);
    assert_eq!(metrics.get("mphttp_access_log_lines_lost_total", &[]), 0.0);
    let told: Vec<_> = server.errors.try_iter().collect();
    assert!(
        told.iter().any(|line| line.contains("accepted") && line.contains("why_tcp=\"client\"")),
        "{told:?}"
    );
}

#[test]
fn the_operators_pages_are_for_this_host_and_for_those_who_mean_it() {
    let server = serve(&["--status", "0"]);
    let address = operator(&server);
    let page = ask(address, "/", &format!("Host: {address}\r\n"));
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<title>mphttp status</title>"), "{page}");
    let head = page.split_once("\r\n\r\n").unwrap().0.to_lowercase();
    for header in
        ["content-security-policy: default-src 'none'; script-src 'self'", "cache-control: no-store"]
    {
        assert!(head.contains(header), "{head}");
    }
    let page_of = |path: &str, host: &str| ask(address, path, &format!("Host: {host}\r\n"));
    for path in ["/page.js", "/page.css", "/status.json"] {
        assert!(page_of(path, "localhost").starts_with("HTTP/1.1 200 "), "{path}");
        // A page whose own name leads here (DNS rebinding).
        assert!(page_of(path, "rebound.example").starts_with("HTTP/1.1 421 "), "{path}");
    }
    assert!(page_of("/metrics", "localhost").starts_with("HTTP/1.1 404 "), "not asked for");
    let post =
        raw(address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    // Not on the public port.
    for path in ["/status.json", "/metrics"] {
        assert!(ask(server.address(), path, "Host: x\r\n").starts_with("HTTP/1.1 404 "));
    }
    let server = serve(&["--metrics", "0"]);
    let address = operator(&server);
    assert!(
        ask(address, "/status.json", "Host: localhost\r\n").starts_with("HTTP/1.1 404 "),
        "not asked for"
    );
    assert!(ask(address, "/metrics", "Host: rebound.example\r\n").starts_with("HTTP/1.1 421 "));
}

#[test]
fn a_status_page_for_others_takes_a_token_or_an_explicit_word() {
    let run = |arguments: &[&str]| {
        let arguments = [&["--port", "0", "--status", "0.0.0.0:0"], arguments].concat();
        let output = mphttp().arg("serve").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run(&[]);
    assert!(code == Some(2) && told.contains("--status-token-file") && told.contains("hint: "), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "short\n").unwrap();
    let (code, told) = run(&["--status-token-file", file.to_str().unwrap()]);
    assert!(code == Some(2) && told.contains("too short"), "{told}");
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let arguments = ["--status", "0.0.0.0:0", "--status-token-file", file.to_str().unwrap()];
    let server = serve(&arguments);
    let address = operator(&server);
    let with = |header: &str| ask(address, "/status.json", &format!("Host: any.example\r\n{header}"));
    let refused = with("");
    assert!(
        refused.starts_with("HTTP/1.1 401 ") && refused.to_lowercase().contains("www-authenticate: basic")
    );
    assert!(with("Authorization: Bearer wrong\r\n").starts_with("HTTP/1.1 401 "));
    let shown = with("Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n");
    assert!(shown.starts_with("HTTP/1.1 200 ") && shown.contains("\"connections\":[]"), "{shown}");
    drop(server);
    let server = serve(&["--status", "0.0.0.0:0", "--status-public"]);
    assert!(ask(operator(&server), "/", "Host: 127.0.0.1\r\n").starts_with("HTTP/1.1 200 "));
}

#[test]
fn how_much_is_told_is_chosen_by_option_or_environment() {
    let server = serve_with(&[], &[("MPHTTP_LOG", "mphttp::server=debug")]);
    ask(server.address(), "/hello.txt", "Host: x\r\n");
    let deadline = Instant::now() + SOON;
    let told = loop {
        let line = server.errors.recv_timeout(deadline - Instant::now()).unwrap();
        if line.contains("answered") {
            break line;
        }
    };
    // No terminal, no colours; and not the request's line twice.
    assert!(told.contains("DEBUG") && !told.contains('\x1b') && told.contains("status=200"), "{told}");
    let output = mphttp().args(["serve", "--log", "mphttp=loud"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && told.contains("--log: \"mphttp=loud\" is no filter"),
        "{told}"
    );
}
