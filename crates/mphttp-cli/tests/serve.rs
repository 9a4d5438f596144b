//! The program as people run it: `mphttp serve` on a free port, used by curl, Python, a browser and plain sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[cfg(target_os = "linux")]
#[path = "serve/idle.rs"]
mod idle;
#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "support/running.rs"]
mod running;
#[path = "serve/seen.rs"]
mod seen;
#[path = "serve/site.rs"]
mod site;

use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    ops::Deref,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tempfile::TempDir;

use running::{Running, SOON, mphttp};

const IPPROTO_MPTCP: i32 = 262;

/// A running `mphttp serve` with a directory of its own.
struct Serve {
    running: Running,
    directory: TempDir,
}

impl Deref for Serve {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

fn site() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("hello.txt"), "hello, world\n").unwrap();
    fs::write(path.join("page.html"), "<!doctype html><title>A page</title><p id=it>It works").unwrap();
    fs::create_dir(path.join("sub")).unwrap();
    fs::write(path.join("sub/big.bin"), vec![b'x'; 1_000_000]).unwrap();
    directory
}

fn serve(arguments: &[&str]) -> Serve {
    serve_with(arguments, &[])
}

fn serve_with(arguments: &[&str], environment: &[(&str, &str)]) -> Serve {
    serve_as(mphttp(), arguments, environment)
}

fn serve_as(mut program: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Serve {
    let directory = site();
    program.arg("serve").arg(directory.path()).args(["--port", "0"]).args(arguments);
    let running = Running::start(program.envs(environment.iter().copied()));
    Serve { running, directory }
}

impl Serve {
    fn line(&self) -> String {
        self.log.recv_timeout(SOON).expect("a line of the access log")
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn exit(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < SOON {
            if let Some(status) = self.running.child.try_wait().unwrap() {
                assert_eq!(status.signal(), None);
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not stop");
    }
}

/// Runs a program if this host has it.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One request over a socket of the given protocol; the whole answer.
fn ask(address: SocketAddr, protocol: Protocol, request: &str) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut stream: std::net::TcpStream = socket.into();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(path: &str, accept: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
}

fn mptcp() -> Option<Protocol> {
    let protocol = Protocol::from(IPPROTO_MPTCP);
    match Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)) {
        Ok(_) => Some(protocol),
        Err(error) => {
            eprintln!("skipped: this host has no MPTCP: {error}");
            None
        }
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn curl_gets_files_heads_and_ranges() {
    let server = serve(&[]);
    let Some(whole) = run("curl", &["-sS", "-i", &server.url("/hello.txt")]) else { return };
    let whole = text(&whole);
    assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("hello, world\n"), "{whole}");
    assert!(server.line().contains("127.0.0.1 \"GET /hello.txt HTTP/1.1\" 200 13 tcp client 1 0."));

    let part = run("curl", &["-sS", "-i", "-r", "7-11", &server.url("/hello.txt")]).unwrap();
    assert!(text(&part).starts_with("HTTP/1.1 206 ") && body(&text(&part)) == "world", "{}", text(&part));
    assert!(server.line().contains("\" 206 5 "));

    let head = text(&run("curl", &["-sS", "-I", &server.url("/sub/big.bin")]).unwrap());
    assert!(head.to_lowercase().contains("content-length: 1000000\r\n"), "{head}");
    assert!(server.line().contains("\"HEAD /sub/big.bin HTTP/1.1\" 200 0 "));

    let none = run("curl", &["-sS", "-w", "%{http_code}", "-o", "/dev/null", &server.url("/none")]).unwrap();
    assert_eq!(text(&none), "404");
    assert!(server.line().contains("\"GET /none HTTP/1.1\" 404 "));
}

#[test]
fn curl_speaks_http2_and_tls() {
    let arguments = ["-sS", "--http2-prior-knowledge", "-w", "%{http_version}"];
    let server = serve(&[]);
    let Some(answer) = run("curl", &[&arguments[..], &[&server.url("/hello.txt")]].concat()) else { return };
    assert_eq!(text(&answer), "hello, world\n2");
    assert!(server.line().contains("\"GET /hello.txt HTTP/2\" 200 13 "));

    let server = serve(&["--self-signed"]);
    assert!(
        server.banner.iter().any(|line| line.starts_with("Certificate, SHA-256: ")),
        "{:?}",
        server.banner
    );
    let url = server.url("/hello.txt").replace("http:", "https:");
    let answer = run("curl", &["-sS", "-k", "-w", "%{http_version}", &url]).unwrap();
    assert_eq!(text(&answer), "hello, world\n2");
    let answer = run("curl", &["-sS", "-k", "--http1.1", "-w", "%{http_version}", &url]).unwrap();
    assert_eq!(text(&answer), "hello, world\n1.1");
    let plain = run("curl", &["-sS", &server.url("/")]).unwrap();
    assert!(text(&plain).contains("use https://"), "{}", text(&plain));
}

#[test]
fn pythons_http_client_uses_one_connection_for_many_requests() {
    let server = serve(&["--access-log", "json"]);
    let program = format!(
        "import http.client\n\
         connection = http.client.HTTPConnection('127.0.0.1', {})\n\
         for path, size in [('/hello.txt', 13), ('/sub/big.bin', 1000000), ('/hello.txt', 13)]:\n\
         \x20   connection.request('GET', path)\n\
         \x20   answer = connection.getresponse()\n\
         \x20   assert (answer.status, len(answer.read())) == (200, size)\n\
         print('done')",
        server.port
    );
    let Some(output) = run("python3", &["-c", &program]) else { return };
    assert_eq!(text(&output).trim(), "done", "{}", String::from_utf8_lossy(&output.stderr));
    let logged: Vec<Value> = (0..3).map(|_| serde_json::from_str(&server.line()).unwrap()).collect();
    let clients: Vec<_> = logged.iter().map(|line| &line["client"]).collect();
    assert!(clients.iter().all(|client| *client == clients[0]), "one connection: {clients:?}");
    assert_eq!((&logged[1]["bytes"], &logged[1]["why_tcp"]), (&1_000_000.into(), &"client".into()));
}

#[test]
fn the_check_tells_a_tcp_client_so() {
    let server = serve(&[]);
    let answer = ask(server.address(), Protocol::TCP, &get("/.mphttp/check", "*/*"));
    let lower = answer.to_lowercase();
    assert!(
        lower.contains("content-type: text/plain") && lower.contains("cache-control: no-store"),
        "{answer}"
    );
    assert_eq!(body(&answer), "You are using TCP: the client asked for plain TCP.\n");
    let answer = ask(server.address(), Protocol::TCP, &get("/.mphttp/check", "application/json"));
    let json: Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!((&json["protocol"], &json["why_tcp"]), (&"tcp".into(), &"client".into()));
    assert_eq!(json["paths"][0]["local"], server.address().to_string());
}

#[test]
fn the_check_tells_an_mptcp_client_its_paths() {
    let Some(mptcp) = mptcp() else { return };
    let server = serve(&[]);
    assert!(server.banner.iter().any(|line| line.starts_with("MPTCP is on")), "{:?}", server.banner);
    let answer = ask(server.address(), mptcp, &get("/.mphttp/check", "*/*"));
    assert_eq!(body(&answer), "You are using MPTCP over 1 path.\n");
    assert!(server.line().contains("\"GET /.mphttp/check HTTP/1.1\" 200 33 mptcp - 1 "));
    let answer = ask(server.address(), mptcp, &get("/.mphttp/check", "application/json"));
    let json: Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!((&json["protocol"], &json["why_tcp"]), (&"mptcp".into(), &Value::Null));
    assert_eq!((&json["paths_total"], &json["paths"][0]["interface"]), (&1.into(), &"lo".into()));
    assert_eq!(json["paths"][0]["state"], "established");
}

#[test]
fn the_protocol_comes_from_the_option_then_from_the_environment() {
    let off = |server: &Serve| server.banner.iter().any(|line| line.contains("plain TCP was asked for"));
    assert!(off(&serve(&["--protocol", "tcp"])));
    assert!(off(&serve_with(&[], &[("MPHTTP_PROTOCOL", "tcp")])));
    if mptcp().is_some() {
        assert!(!off(&serve_with(&["--protocol", "mptcp"], &[("MPHTTP_PROTOCOL", "tcp")])));
        let server = serve(&["--protocol", "mptcp-only"]);
        let refused = std::net::TcpStream::connect(server.address()).unwrap().read(&mut [0]);
        assert!(matches!(refused, Ok(0) | Err(_)), "a TCP client is turned away");
    }
}

#[test]
fn options_take_the_check_and_the_listing_away() {
    let server = serve(&["--no-check", "--no-listing", "--bind", "127.0.0.1"]);
    let status = |path: &str| {
        ask(server.address(), Protocol::TCP, &get(path, "*/*")).split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(
        (status("/.mphttp/check"), status("/"), status("/hello.txt")),
        ("404".into(), "403".into(), "200".into())
    );
    assert!(server.banner.contains(&format!("  http://127.0.0.1:{}/", server.port)), "{:?}", server.banner);
}

#[test]
fn a_client_cannot_forge_lines_of_the_log() {
    let server = serve(&["--access-log", "combined"]);
    let agent = "a\" 200\tb\u{9b}[2J";
    let request =
        format!("GET /%0a?x HTTP/1.1\r\nHost: test\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n");
    ask(server.address(), Protocol::TCP, &request);
    let line = server.line();
    assert!(line.contains("/%0a?x HTTP/1.1\" 404"), "{line}");
    assert!(line.contains("\"a\\\" 200\\tb\\xc2\\x9b[2J\""), "{line}");
}

#[test]
fn a_closed_stdout_does_not_stop_the_server() {
    let mut server = serve(&[]);
    drop(std::mem::replace(&mut server.running.log, channel().1));
    for _ in 0..50 {
        let answer = ask(server.address(), Protocol::TCP, &get("/hello.txt", "*/*"));
        assert_eq!(body(&answer), "hello, world\n");
    }
    let warning = server.errors.recv_timeout(SOON).unwrap();
    assert!(warning.contains("the access log ends here"), "{warning}");
    assert_eq!(server.running.child.try_wait().unwrap(), None);
}

#[test]
fn a_lack_of_file_descriptors_is_said_once_and_survived() {
    let mut program = Command::new("sh");
    program.args(["-c", "ulimit -n 40 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_mphttp")]);
    let server = serve_as(program, &[], &[]);
    let held: Vec<_> = (0..80).map(|_| std::net::TcpStream::connect(server.address()).unwrap()).collect();
    let warning = server.errors.recv_timeout(SOON).unwrap();
    assert!(warning.contains("can't accept connections for now"), "{warning}");
    thread::sleep(Duration::from_millis(500));
    assert!(server.errors.try_recv().is_err(), "once is enough");
    drop(held);
    let answer = ask(server.address(), Protocol::TCP, &get("/hello.txt", "*/*"));
    assert_eq!(body(&answer), "hello, world\n");
}

#[test]
fn a_signal_lets_a_download_finish() {
    for signal in ["-INT", "-TERM"] {
        let mut server = serve(&[]);
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.write_all(get("/sub/big.bin", "*/*").as_bytes()).unwrap();
        let mut first = [0; 1000];
        stream.read_exact(&mut first).unwrap();
        server.signal(signal);
        assert!(server.errors.recv_timeout(SOON).unwrap().starts_with("Stopping"));
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(first.len() + rest.len() > 1_000_000, "{} bytes", rest.len());
        assert_eq!(server.exit(), Some(0));
        assert!(server.line().contains(" 200 1000000 "), "the last lines are written");
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut server = serve(&[]);
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    // A head that never ends keeps its connection through the grace period.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: te").unwrap();
    thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    server.signal("-INT");
    assert!(server.errors.recv_timeout(SOON).unwrap().starts_with("Stopping"));
    server.signal("-INT");
    assert_eq!(server.exit(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn wrong_usage_and_failures_have_their_own_exit_codes() {
    let fails = |arguments: &[&str]| {
        let output = mphttp().arg("serve").args(arguments).env("MPHTTP_PROTOCOL", "").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = fails(&["--protocol", "sctp"]);
    assert!(code == 2 && text.contains("mptcp-only"), "{code} {text}");
    let (code, text) = fails(&["/no/such/directory"]);
    assert!(code == 2 && text.contains("/no/such/directory") && text.contains("\nhint: "), "{code} {text}");
    assert_eq!(fails(&["--tls-cert", "x"]).0, 2);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, text) = fails(&["--bind", "127.0.0.1", "--port", &port]);
    assert!(code == 7 && text.contains("another program listens there"), "{code} {text}");
    let (code, text) = fails(&["--port", "0", "--tls-cert", "/no/cert.pem", "--tls-key", "/no/key.pem"]);
    assert!(code == 35 && text.starts_with("error: /no/cert.pem: can't read it"), "{code} {text}");
    let output = mphttp().args(["serve", "--port", "0"]).env("MPHTTP_PROTOCOL", "sctp").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn completions_know_the_verbs() {
    let output = mphttp().args(["completions", "bash"]).output().unwrap();
    assert!(output.status.success() && text(&output).contains("--self-signed"));
}

#[test]
fn there_is_a_manual_page_for_each_verb() {
    let output = mphttp().arg("man").output().unwrap();
    assert!(output.status.success() && text(&output).contains(".TH mphttp 1"), "{}", text(&output));
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    assert!(mphttp().args(["man", "--out"]).arg(&pages).status().unwrap().success());
    for (page, word) in
        [("mphttp-get.1", "continue"), ("mphttp-paths-auto.1", "endpoints"), ("mphttp-proxy.1", "forward")]
    {
        let text = fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(word), "{page}: {text}");
    }
    let failed = mphttp().args(["man", "--out", "/dev/null/man1"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(23));
}

fn browse(profile: &Path, url: &str) -> Option<String> {
    let profile = format!("--user-data-dir={}", profile.display());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--disable-quic",
        &profile,
        "--dump-dom",
    ];
    run("/usr/bin/chromium", &[&flags[..], &[url]].concat()).map(|output| text(&output))
}

#[test]
fn a_browser_shows_the_listing_and_a_page() {
    let server = serve(&[]);
    let profile = tempfile::tempdir().unwrap();
    let Some(listing) = browse(profile.path(), &server.url("/")) else { return };
    assert!(listing.contains("hello.txt") && listing.contains("href=\"sub/\""), "{listing}");
    let page = browse(profile.path(), &server.url("/page.html")).unwrap();
    assert!(page.contains("<title>A page</title>") && page.contains("<p id=\"it\">It works"), "{page}");
}
