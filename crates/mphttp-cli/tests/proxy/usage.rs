//! What the command line refuses, and what it says to do instead.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::support::{SOON, mphttp, nowhere, proxy};

fn fails(arguments: &[&str]) -> (i32, String) {
    let mut command = mphttp();
    command.arg("proxy").args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > SOON {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_usage_has_its_exit_codes_and_a_next_step() {
    assert_eq!(fails(&[]).0, 2);
    let (code, text) = fails(&["--to", "ftp://x", "--listen", "127.0.0.1:0"]);
    assert!(code == 3 && text.contains("http:// or https://"), "{code} {text}");
    let (code, text) = fails(&["--to", &nowhere(), "--listen", "example.com"]);
    assert!(code == 2 && text.contains("127.0.0.1"), "{code} {text}");
    assert_eq!(fails(&["--to", &nowhere(), "--trust-forwarded", "10.0.0.0/99"]).0, 2);
    assert_eq!(fails(&["--to", &nowhere(), "--cacert", "/no/such.pem"]).0, 77);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    let (code, text) = fails(&["--to", &nowhere(), "--listen", &place]);
    assert!(code == 7 && text.contains("another program listens there"), "{code} {text}");
}

#[test]
fn one_way_or_the_other_must_be_chosen() {
    let to = nowhere();
    for (arguments, wanted) in [
        (&[][..], "--to <URL>"),
        (&["--forward", "--to", &to], "--forward"),
        (&["--to", &to, "--allow", "10.0.0.0/8"], "--to <URL>"),
        (&["--to", &to, "--deny-target", "10.0.0.0/8"], "--to <URL>"),
        (&["--to", &to, "--token-file", "/no/such"], "--to <URL>"),
        (&["--forward", "--health", "/"], "--forward"),
        (&["--forward", "--send-proxy-protocol"], "--forward"),
        (&["--to", &to, "--proxy-protocol", "everybody"], "everybody"),
        (&["--to", &to, "--to-protocol", "sctp"], "mptcp-only"),
        (&["--to", &to, "--listen-protocol", "sctp"], "mptcp-only"),
    ] {
        let (code, text) = fails(arguments);
        assert!(
            code == 2 && text.contains(wanted) && text.contains("--help"),
            "{arguments:?}: {code} {text}"
        );
    }
    let (code, text) = fails(&["--forward", "--listen", "0.0.0.0:0"]);
    assert!(code == 2 && text.contains("--allow") && text.contains("--token-file"), "{code} {text}");
}

#[test]
fn each_side_has_its_protocol() {
    let server = super::mirror();
    // The server speaks TCP alone, and so does this client.
    let strict_there =
        proxy(&["--to", &server.url, "--to-protocol", "mptcp-only", "--listen-protocol", "tcp"]);
    assert!(strict_there.get("/").starts_with("HTTP/1.1 502 "));
    let warning = strict_there.errors.recv_timeout(SOON).unwrap();
    assert!(warning.contains("can't reach an upstream"), "{warning}");
    let strict_here = proxy(&["--to", &server.url, "--protocol", "tcp", "--listen-protocol", "mptcp-only"]);
    assert_eq!(strict_here.get("/"), "", "closed without an answer");
    let neither = proxy(&["--to", &server.url, "--to-protocol", "tcp", "--listen-protocol", "tcp"]);
    assert!(neither.get("/").starts_with("HTTP/1.1 200 "));
}
