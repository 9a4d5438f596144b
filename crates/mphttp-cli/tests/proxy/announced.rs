//! The PROXY protocol, in and out.

use std::{io::Read, process::Command};

use super::support::{SOON, body, mirror, proxy, say, start, upstream};

const LINE: &str = "PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n";

#[test]
fn a_listed_peer_is_believed_and_others_are_served_without() {
    let server = mirror();
    let listed =
        proxy(&["--to", &server.url, "--proxy-protocol", "10.0.0.0/8", "--proxy-protocol", "127.0.0.1"]);
    let seen = listed.ask(&format!("{LINE}{GET}")).to_lowercase();
    assert!(body(&seen).contains("\r\nx-forwarded-for: 203.0.113.7\r\n"), "{seen}");
    assert_eq!(listed.ask(GET), "", "it must send a header");
    let other = proxy(&["--to", &server.url, "--proxy-protocol", "10.0.0.0/8"]);
    let seen = other.ask(GET).to_lowercase();
    assert!(body(&seen).contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{seen}");
    let forged = other.ask(&format!("{LINE}{GET}"));
    assert!(!forged.contains("200 OK"), "{forged}");
}

#[test]
fn a_file_server_takes_it_from_curl_and_logs_the_client() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("hello.txt"), "hello, world\n").unwrap();
    let folder = site.path().to_str().unwrap();
    let serving =
        start(&["serve", folder, "--bind", "127.0.0.1", "--port", "0", "--proxy-protocol", "127.0.0.0/8"]);
    let answer = serving.ask(&format!("{LINE}{}", GET.replace("/ ", "/hello.txt ")));
    assert_eq!(body(&answer), "hello, world\n");
    let line = serving.log.recv_timeout(SOON).unwrap();
    assert!(line.contains(" 203.0.113.7 \"GET /hello.txt "), "{line}");
    let curl = |more: &[&str]| {
        let url = serving.url("/hello.txt");
        let output = Command::new("curl").args(["-sS", "--noproxy", "*"]).args(more).arg(url).output();
        output.ok().map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Some(got) = curl(&["--haproxy-protocol"]) else { return eprintln!("skipped: no curl") };
    assert_eq!(got, "hello, world\n");
    assert_eq!(curl(&[]).unwrap(), "");
}

#[test]
fn servers_are_told_the_client() {
    // The header begins with an empty line and another: that is the "head" here.
    let server = upstream(|head, mut stream| {
        assert_eq!(head, "\r\n\r\n");
        let mut header = [0; 24];
        stream.read_exact(&mut header).unwrap();
        assert_eq!(&header[..12], b"\0\r\nQUIT\n\x21\x11\0\x0c");
        assert_eq!(header[12..], [203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb]);
        let head = super::head(&mut stream);
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
        say(&stream, "told");
    });
    let arguments = ["--proxy-protocol", "127.0.0.1", "--send-proxy-protocol"];
    let raw = proxy(&[&["--to", &server.url], &arguments[..]].concat());
    for _ in 0..2 {
        assert_eq!(body(&raw.ask(&format!("{LINE}{GET}"))), "told");
    }
    // And our own server understands it, for one client after the other.
    let last = mirror();
    let second = proxy(&["--to", &last.url, "--proxy-protocol", "127.0.0.1"]);
    let first = proxy(&[&["--to", &second.url("")], &arguments[..]].concat());
    for client in ["203.0.113.7", "203.0.113.8"] {
        let seen = first.ask(&format!("{}{GET}", LINE.replace("203.0.113.7", client))).to_lowercase();
        assert!(body(&seen).contains(&format!("\r\nx-forwarded-for: {client}\r\n")), "{seen}");
    }
}
