//! What is wrong on the server's side: seen from the client, and from the server itself.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use mptcp_paths::{Endpoint, EndpointFlags};
use mptcp_socket::{Listen, Protocol};

use crate::{
    clinic::{Clinic, SIGNAL, Tests, run, run_commands, run_line},
    support::mphttp,
};

pub const TESTS: Tests = &[
    ("the server listens with TCP", tcp_server),
    ("the server's host has MPTCP switched off", server_disabled),
    ("the server's limit of subflows is 0", server_limit),
    ("the server forbids paths to its address and announces none", cflag),
    ("a server's set-up behind a load balancer is known", load_balanced),
    ("the server announces addresses that the client may not use", limit_add_addr),
    ("the server is bound to one address", || one_address(SIGNAL)),
    ("the server is bound to one address, and opens paths too", || {
        one_address(EndpointFlags { subflow: true, ..SIGNAL });
    }),
    ("what else listens on a server is nothing to do with it", other_listeners),
    ("the server announces an address that it doesn't have", announced_gone),
    ("nobody answers", unreachable),
    ("the server takes its time", silent_server),
    ("a server that is silent at the handshake of TLS", silent_at_the_handshake),
    ("the server hangs up", rude_server),
    ("another network answers in the server's place", login_page),
];

fn tcp_server() {
    let mut clinic = Clinic::with(&["--protocol", "tcp"]);
    let said = clinic.doctor();
    let finding = said.finding("peer-without-mptcp");
    assert_eq!((&finding["certainty"], &finding["place"]), (&"likely".into(), &"peer".into()));
    clinic.serve_anew(&[]);
    clinic.assert_well();
}

fn server_disabled() {
    let mut clinic = Clinic::new();
    clinic.serving = None;
    clinic.server().sysctl("net.mptcp.enabled", "0").unwrap();
    clinic.serve_anew(&[]);
    clinic.doctor().finding("peer-without-mptcp");
    // "Run mphttp doctor --server there", it says.
    run_commands(clinic.server(), clinic.server_doctor().finding("disabled"));
    clinic.serve_anew(&[]);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn server_limit() {
    let clinic = Clinic::new();
    clinic.server().mptcp_limits(0, 0).unwrap();
    let said = clinic.doctor();
    let finding = said.finding("peer-refuses-joins");
    assert_eq!((&finding["certainty"], &finding["place"]), (&"likely".into(), &"peer".into()));
    assert_eq!(clinic.server_doctor().finding("limit-subflows")["certainty"], "proven");
    run_commands(clinic.server(), finding);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn cflag() {
    let clinic = Clinic::new();
    clinic.server().sysctl("net.mptcp.allow_join_initial_addr_port", "0").unwrap();
    let said = clinic.doctor();
    let finding = said.finding("peer-forbids-joins");
    assert_eq!((&finding["certainty"], &finding["place"]), (&"likely".into(), &"peer".into()));
    assert_eq!(clinic.server_doctor().finding("cflag-without-signal")["certainty"], "proven");
    run_commands(clinic.server(), finding);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

/// The server's second address, announced, on a port of its own or on that of the first path.
fn announced(clinic: &Clinic, port: Option<u16>) -> Endpoint {
    let address = clinic.bench.links[1].address(clinic.server()).unwrap();
    Endpoint { port, ..Endpoint::new(address, SIGNAL) }
}

fn load_balanced() {
    let clinic = Clinic::new();
    clinic.server().sysctl("net.mptcp.allow_join_initial_addr_port", "0").unwrap();
    clinic.server().add_endpoint(&announced(&clinic, Some(8443))).unwrap();
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn limit_add_addr() {
    let clinic = Clinic::new();
    // The client's second address is no endpoint: the path comes of the server's announcement or not at all.
    clinic.endpoints(&[]);
    clinic.client().mptcp_limits(8, 0).unwrap();
    clinic.server().add_endpoint(&announced(&clinic, None)).unwrap();
    let said = clinic.doctor();
    let findings = said.json["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["code"] == "limit-add-addr").unwrap();
    assert_eq!((&finding["certainty"], said.exit), (&"likely".into(), 121));
    // That there is no endpoint is the other way to mend it.
    assert!(
        findings
            .iter()
            .all(|other| ["limit-add-addr", "no-endpoints"].contains(&other["code"].as_str().unwrap()))
    );
    run_commands(clinic.client(), finding);
    clinic.assert_well();
}

/// What to do is for the owner, who knows which listener matters; taking it back is like that.
fn one_address(flags: EndpointFlags) {
    let mut clinic = Clinic::new();
    let address = clinic.bench.links[0].address(clinic.server()).unwrap().to_string();
    clinic.serve_anew(&["--bind", &address]);
    clinic.endpoints(&[]);
    clinic.server().add_endpoint(&Endpoint { flags, ..announced(&clinic, None) }).unwrap();
    let before = clinic.server().path_manager().unwrap().endpoints().unwrap();
    let said = clinic.server_doctor();
    let finding = said.finding("listener-one-address");
    assert_eq!((&finding["subject"], &finding["safe"]), (&format!("{address}:8000").into(), &false.into()));
    run_commands(clinic.server(), finding);
    clinic.server_doctor().assert_well();
    clinic.assert_well();
    for command in finding["undo"].as_array().unwrap() {
        run_line(clinic.server(), command.as_str().unwrap());
    }
    assert_eq!(clinic.server().path_manager().unwrap().endpoints().unwrap(), before);
}

/// A resolver for virtual machines, and the kernel's own listener for an announced port.
fn other_listeners() {
    let clinic = Clinic::new();
    clinic.endpoints(&[]);
    let first = clinic.bench.links[0].address(clinic.server()).unwrap();
    clinic.server().add_endpoint(&announced(&clinic, None)).unwrap();
    clinic.server().add_endpoint(&Endpoint { port: Some(8443), ..Endpoint::new(first, SIGNAL) }).unwrap();
    let _resolver =
        clinic.server().run(|| Listen::new(Protocol::Tcp).bind((first, 53).into())).unwrap().unwrap();
    let announced = || -> Vec<Endpoint> {
        // The kernel adds implicit ones of its own.
        let there = clinic.server().path_manager().unwrap().endpoints().unwrap();
        there.into_iter().filter(|endpoint| !endpoint.flags.implicit).collect()
    };
    let before = announced();
    let mut command = Command::new(mphttp());
    command.args(["doctor", "--server", "--fix", "--yes", "--json"]);
    let output = run(clinic.server(), command);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["findings"], &json["fixed"]),
        (&serde_json::json!([]), &serde_json::json!([])),
        "{json}"
    );
    assert_eq!(output.status.code(), Some(0), "{json}");
    clinic.server_doctor().assert_well();
    clinic.assert_well();
    assert_eq!(announced(), before);
}

fn announced_gone() {
    let clinic = Clinic::new();
    clinic.server().add_endpoint(&Endpoint::new("192.0.2.9".parse().unwrap(), SIGNAL)).unwrap();
    run_commands(clinic.server(), clinic.server_doctor().finding("endpoint-address-gone"));
    clinic.server_doctor().assert_well();
    clinic.assert_well();
}

fn unreachable() {
    let mut clinic = Clinic::new();
    clinic.serving = None;
    let said = clinic.doctor();
    assert_eq!(said.exit, 120, "{}", said.json);
    assert_eq!(said.json["findings"][0]["code"], "unreachable", "{}", said.json);
    clinic.serve_anew(&[]);
    clinic.assert_well();
    // A name that isn't one is no finding, but an error with its own code.
    let mut command = Command::new(mphttp());
    command.args(["doctor", "--json", "ftp://example.com/"]);
    let output = run(clinic.client(), command);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"]["kind"], "bad-url");
}

/// In the server's place: a program that does this with each connection, until there is an end to it.
fn answers_with(clinic: &mut Clinic, answer: fn(TcpStream, SocketAddr)) {
    clinic.serving = None;
    let listener = clinic.server().run(|| Listen::new(Protocol::Mptcp).bind_all(8000)).unwrap().unwrap();
    // It ends with the tests: nobody connects to it once its hosts are gone.
    std::thread::spawn(move || {
        while let Ok((stream, peer)) = listener.accept() {
            std::thread::spawn(move || answer(stream.into_inner(), peer));
        }
    });
}

fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut piece = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend_from_slice(&piece[..count]),
        }
    }
}

fn no_answer(clinic: &Clinic) {
    let said = clinic.doctor();
    let finding = said.finding("no-answer");
    assert_eq!((&finding["certainty"], &finding["place"]), (&"proven".into(), &"peer".into()), "{finding}");
    assert_eq!((&said.json["transfer"]["outcome"], said.exit), (&"failed".into(), 121), "{}", said.json);
    for probe in said.json["probes"].as_array().unwrap() {
        assert_eq!(probe["outcome"], "failed", "{probe}");
    }
    let mut command = Command::new(mphttp());
    command.arg("doctor").arg(clinic.bench.url("big"));
    let text = String::from_utf8(run(clinic.client(), command).stdout).unwrap();
    assert!(text.starts_with("MPTCP works on this host, with 1 finding.\n\nno-answer"), "{text}");
}

fn silent_server() {
    let mut clinic = Clinic::new();
    answers_with(&mut clinic, |mut stream, _| {
        read_request(&mut stream);
        // Until the client has lost its patience.
        let _ = stream.read(&mut [0]);
    });
    no_answer(&clinic);
}

/// The connection is there, also where large packets get lost: TLS is the first to notice.
fn silent_at_the_handshake() {
    let mut clinic = Clinic::new();
    answers_with(&mut clinic, |mut stream, _| {
        let mut piece = [0; 1024];
        while stream.read(&mut piece).is_ok_and(|count| count > 0) {}
    });
    let mut command = Command::new(mphttp());
    command.args(["doctor", "--json"]).arg(clinic.bench.url("big").replace("http:", "https:"));
    let output = run(clinic.client(), command);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<_> = json["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["no-answer"], "{json}");
    assert_eq!((&json["transfer"]["outcome"], output.status.code()), (&"failed".into(), Some(121)), "{json}");
}

fn rude_server() {
    let mut clinic = Clinic::new();
    answers_with(&mut clinic, |mut stream, _| read_request(&mut stream));
    no_answer(&clinic);
}

/// As a hotel's network does for all servers until somebody has logged in; here, by no HTTP that could be understood.
fn login_page() {
    static LOGGED_IN: AtomicBool = AtomicBool::new(false);
    let mut clinic = Clinic::new();
    answers_with(&mut clinic, |mut stream, peer| {
        read_request(&mut stream);
        let first =
            LOGGED_IN.load(Ordering::Relaxed) || peer.ip().to_canonical() == IpAddr::from([10, 1, 0, 1]);
        let body = vec![0; 8 << 20];
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer =
            if first { [head.as_bytes(), &body].concat() } else { b"Log in, please.\r\n\r\n".to_vec() };
        let _ = stream.write_all(&answer);
        let _ = stream.read(&mut [0]);
    });
    let said = clinic.doctor();
    let finding = said.finding("path-fails");
    assert_eq!((&finding["subject"], &finding["place"]), (&"lte".into(), &"network".into()), "{finding}");
    assert_eq!(said.exit, 121, "{}", said.json);
    // What it says to do.
    LOGGED_IN.store(true, Ordering::Relaxed);
    clinic.assert_well();
}
