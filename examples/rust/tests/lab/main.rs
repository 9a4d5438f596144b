//! Every example on two hosts with two links: MPTCP over both for those who can, TCP for the others.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod docs;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::fd::OwnedFd,
    panic::catch_unwind,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};
use mptcp_socket::{Connect, Listen, Protocol, Watched};
use netlab::{Host, Lab, LinkSpec};

macro_rules! program {
    ($name:literal) => {
        env!(concat!("CARGO_BIN_EXE_", $name))
    };
}

const PORT: u16 = 8000;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads = Some(1);
    let tests: Vec<(&str, fn())> = vec![
        ("axum serves and extracts", || serves(program!("axum_server"))),
        ("hyper serves", || serves(program!("hyper_server"))),
        ("actix-web serves", || serves(program!("actix_server"))),
        ("warp serves", || serves(program!("warp_server"))),
        ("a listener that systemd passed is served", activated),
        ("hyper asks", || asks(program!("hyper_client"))),
        ("ureq asks", || asks(program!("ureq_client"))),
        ("reqwest's types ask through our connector", || asks(program!("reqwest_client"))),
        ("reqwest asks through a proxy in its own process", || asks(program!("reqwest_proxy"))),
        ("mphttp's own client downloads and uploads, and the server tells of it", own),
        ("tonic calls and is called", tonic),
        ("WebSockets of tokio-tungstenite", websockets),
        ("rustls alone, both ends", rustls),
        ("the guide links these programs", docs::links_the_programs),
    ];
    let tests = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || catch_unwind(test).map_err(|_| Failed::from("see above")))
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}

struct Bench {
    _lab: Lab,
    client: Host,
    server: Host,
    address: String,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bench {
    fn new() -> Self {
        let lab = Lab::new().unwrap();
        let (client, server) = (lab.host("client").unwrap(), lab.host("server").unwrap());
        let wifi = lab.link(&client, &server, LinkSpec::new().name("wifi")).unwrap();
        lab.link(&client, &server, LinkSpec::new().name("lte")).unwrap();
        lab.enable_multipath(&client, &server).unwrap();
        let address = format!("{}:{PORT}", wifi.address(&server).unwrap());
        Self { _lab: lab, client, server, address }
    }

    /// Starts a server on all addresses, and returns when it listens.
    fn start(&self, program: &str, arguments: &[&str]) -> (Running, BufReader<impl Read + use<>>) {
        let mut command = Command::new(program);
        command.arg(format!("0.0.0.0:{PORT}")).args(arguments);
        self.listening(command)
    }

    fn listening(&self, mut command: Command) -> (Running, BufReader<impl Read + use<>>) {
        command.env_remove("MPHTTP_PROTOCOL").stdout(Stdio::piped());
        let mut running = Running(self.server.spawn(command).unwrap());
        let mut told = BufReader::new(running.0.stdout.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on ") && line.contains(&PORT.to_string()), "{line}");
        (running, told)
    }

    /// What a client program prints.
    fn run(&self, program: &str, protocol: &str, arguments: &[&str]) -> String {
        self.run_in(Path::new("."), program, protocol, arguments)
    }

    fn run_in(&self, folder: &Path, program: &str, protocol: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .args(arguments)
            .env("MPHTTP_PROTOCOL", protocol)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let output = self.client.spawn(command).unwrap().wait_with_output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        println!("{protocol}: {told}");
        told
    }

    fn connect(&self, protocol: Protocol) -> Watched<TcpStream> {
        let address = self.address.parse().unwrap();
        self.client.run(|| Connect::new(protocol).to(&[address]).unwrap().watched()).unwrap()
    }

    /// The server says the truth to both: two paths, which come with the first data, and TCP.
    fn judge(&self) {
        let mut stream = self.connect(Protocol::MptcpOnly);
        let both = (0..500).any(|_| {
            let answer = get(&mut stream);
            assert!(answer.contains("MPTCP"), "{answer}");
            thread::sleep(Duration::from_millis(10));
            answer.contains("MPTCP over 2 paths") && stream.watch().path_count() == 2
        });
        assert!(both, "{}", get(&mut stream));
        let answer = get(&mut self.connect(Protocol::Tcp));
        assert!(answer.contains("TCP: ") && !answer.contains("MPTCP over"), "{answer}");
    }
}

/// One request on a connection that is kept, and the body of its answer.
fn get(stream: &mut Watched<TcpStream>) -> String {
    write!(stream, "GET / HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
    let (mut reader, mut line, mut length) = (BufReader::new(stream), String::new(), 0);
    while line != "\r\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the connection was closed");
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn serves(program: &str) {
    let bench = Bench::new();
    let _server = bench.start(program, &[]);
    bench.judge();
}

fn activated() {
    let bench = Bench::new();
    let listening = bench.server.run(|| Listen::new(Protocol::Mptcp).bind_all(PORT).unwrap()).unwrap();
    // As systemd does it: descriptor 3, and LISTEN_PID, which only the process itself can know.
    let mut command = Command::new("sh");
    let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@""#;
    command.args(["-c", script, "sh", program!("activated_server"), "127.0.0.1:9"]);
    command.stdin(OwnedFd::from(listening.into_std()));
    let _server = bench.listening(command);
    bench.judge();
}

/// A client program says of both kinds of connection what the server sees.
fn asks(program: &str) {
    let bench = Bench::new();
    let _server = bench.start(program!("axum_server"), &[]);
    let url = format!("http://{}/", bench.address);
    assert!(bench.run(program, "mptcp-only", &[&url]).contains("server: MPTCP"));
    assert!(bench.run(program, "tcp", &[&url]).contains("server: TCP"));
}

fn own() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let _server = bench.start(program!("observed_server"), &[folder.path().to_str().unwrap()]);
    for protocol in ["mptcp-only", "tcp"] {
        let home = tempfile::tempdir().unwrap();
        // What is downloaded is in the way of nothing, and what is uploaded is what came.
        let url = format!("http://{}/metrics", bench.address);
        let told = bench.run_in(home.path(), program!("download"), protocol, &[&url]);
        let spoken = if protocol == "tcp" { "we say: TCP" } else { "we say: MPTCP" };
        assert!(told.contains(spoken) && told.contains(" bytes, "), "{told}");
        let came = fs::read_to_string(home.path().join("big.iso")).unwrap();
        assert!(came.contains("mphttp_connections_total{protocol="), "{came}");
        let url = format!("http://{}/", bench.address);
        let told = bench.run_in(home.path(), program!("upload"), protocol, &[&url]);
        assert!(told.contains("0 interruptions"), "{told}");
        assert_eq!(fs::read_to_string(folder.path().join("big.iso")).unwrap(), came);
        fs::remove_file(folder.path().join("big.iso")).unwrap();
    }
}

fn tonic() {
    let bench = Bench::new();
    let (_server, mut told) = bench.start(program!("tonic_server"), &[]);
    let url = format!("http://{}", bench.address);
    for (protocol, word) in [("mptcp-only", "a call over MPTCP"), ("tcp", "a call over TCP")] {
        assert!(bench.run(program!("tonic_client"), protocol, &[&url]).contains("status Serving"));
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        assert!(line.starts_with(word), "{line}");
    }
}

fn websockets() {
    let bench = Bench::new();
    let _server = bench.start(program!("websocket_server"), &[]);
    for (protocol, word) in [("mptcp-only", "server: MPTCP"), ("tcp", "server: TCP")] {
        assert!(bench.run(program!("websocket_client"), protocol, &[&bench.address]).contains(word));
    }
}

fn rustls() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let (host, port) = bench.address.split_once(':').unwrap();
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let _server = bench.start(program!("rustls_server"), &[certificate, key]);
    for (protocol, word) in [("mptcp-only", "server: MPTCP"), ("tcp", "server: TCP")] {
        assert!(bench.run(program!("rustls_client"), protocol, &[host, port, certificate]).contains(word));
    }
}
