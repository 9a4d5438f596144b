//! `mphttp get` as people and scripts meet it: the real program against servers on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by failing")]

#[path = "get/faults.rs"]
mod faults;
#[path = "get/support.rs"]
mod support;
#[path = "get/terminal.rs"]
mod terminal;

use std::{fs, io::Write, net::TcpStream, process::Stdio};

use mphttp::Protocol;
use mptcp_socket::Listen;
use serde_json::Value;
use support::{Server, command, failed, get, names, read_head};

#[test]
fn the_body_goes_to_stdout_and_a_line_about_the_connection_to_stderr() {
    let server = Server::of("hello");
    let ended = get([&server.url()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "hello"));
    assert!(ended.stderr.starts_with("5 bytes in ") && ended.stderr.lines().count() == 1, "{ended:?}");
    assert!(ended.stderr.contains("over TCP: the peer, or a box on the way, answered without"), "{ended:?}");
    let ended = get(["-q", "--protocol", "tcp", &server.url()]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("hello", ""));
}

#[test]
fn verbose_tells_of_attempts_and_of_what_became_of_them() {
    let server = Server::of("hello");
    let address = server.address.to_string();
    let ended = get(["-q", "-vv", &server.url()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "hello"));
    let line = |words: &[&str]| {
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        ended.stderr.lines().find(has_all).unwrap_or_else(|| panic!("no {words:?}: {ended:?}")).to_owned()
    };
    line(&["DEBUG", "trying", &address, "protocol=mptcp"]);
    line(&[" INFO", "connected", &address, "protocol=\"tcp\"", "why_tcp=\"peer-or-path\""]);
    line(&["DEBUG", "answered", "status=200"]);
    // Once, a little; and passwords never.
    let url = server.url().replace("http://", "http://me:secret@");
    let ended = get(["-q", "-v", &url]);
    assert!(ended.stderr.contains("connected") && !ended.stderr.contains("trying"), "{ended:?}");
    let ended = get(["-q", "-vvv", &url]);
    assert!(ended.stderr.contains("connected") && !ended.stderr.contains("secret"), "{ended:?}");
    let gone = "http://127.0.0.1:1/";
    let ended = command().args(["-q", gone]).env("MPHTTP_LOG", "mptcp_socket=debug").output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("failed") && told.contains("127.0.0.1:1") && told.contains("error: "), "{told}");
}

#[test]
fn the_environment_and_the_option_choose_the_protocol() {
    let server = Server::of("hello");
    let ended = command().env("MPHTTP_PROTOCOL", "tcp").arg(server.url()).output().unwrap();
    assert!(String::from_utf8(ended.stderr).unwrap().contains("over TCP: plain TCP was asked for"));
    let ended = command().env("MPHTTP_PROTOCOL", "mtcp").arg(server.url()).output().unwrap();
    failed(&ended.into(), 2, "MPHTTP_PROTOCOL");
}

#[test]
fn over_mptcp_it_says_so_to_people_and_programs() {
    let listening = Listen::new(Protocol::Mptcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", listening.local_addr().unwrap());
    let listener = listening.into_std();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            read_head(&mut stream);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
            let _ = stream.write_all(head.as_bytes());
            // Open until the client has seen what it wants to see of it.
            read_head(&mut stream);
        }
    });
    let ended = get(["--protocol", "mptcp-only", &url]);
    assert!(ended.code == Some(0) && ended.stderr.contains("over MPTCP, 1 path: lo 100%"), "{ended:?}");

    let ended = get(["--json", &url]);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["protocol"], "mptcp");
    assert_eq!((&json["why_tcp"], &json["paths_total"]), (&Value::Null, &1.into()));
    assert_eq!((&json["status"], &json["bytes"]), (&200.into(), &5.into()));
    assert_eq!((&json["content_type"], &json["http_version"]), (&"text/plain".into(), &"HTTP/1.1".into()));
    assert_eq!(json["url"], url);
    for field in ["seconds", "connect_seconds", "max_gap_seconds"] {
        assert!(json[field].as_f64().unwrap() >= 0.0, "{field}");
    }
    let path = &json["paths"][0];
    assert_eq!((&path["interface"], json["paths"].as_array().unwrap().len()), (&"lo".into(), 1));
    for field in ["local", "remote", "rtt_ms", "bytes_received", "bytes_sent", "retransmits", "state"] {
        assert!(!path[field].is_null(), "{field}");
    }
    assert!(path["bytes_received"].as_u64().unwrap() > 5);
}

#[test]
fn a_file_is_written_and_its_mode_is_the_umasks() {
    let server = Server::of("hello");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let ended = get(["-o", path.to_str().unwrap(), &server.url()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
    let plain = directory.path().join("plain");
    fs::write(&plain, "").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions(), fs::metadata(&plain).unwrap().permissions());

    let ended = command().current_dir(&directory).args(["-O", "--json"]).arg(server.url()).output().unwrap();
    let json: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((&json["protocol"], &json["why_tcp"]), (&"tcp".into(), &"peer-or-path".into()));
    assert_eq!(names(directory.path()), ["file", "out", "plain"]);
}

#[test]
fn devices_and_pipes_are_written_to_and_not_replaced() {
    let server = Server::of("hello");
    assert_eq!(get(["-q", "-o", "/dev/null", &server.url()]).code, Some(0));
    let ended = get(["-q", "-o", "/dev/stdout", &server.url()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "hello"));
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let running = command().arg("-qo").arg(&pipe).arg(server.url()).spawn().unwrap();
    assert_eq!(fs::read_to_string(&pipe).unwrap(), "hello");
    assert!(running.wait_with_output().unwrap().status.success());
    assert_eq!(names(directory.path()), ["pipe"]);
}

#[test]
fn the_request_is_what_the_options_say() {
    let server = Server::echoing();
    let url = server.url();
    let ended = get(["-H", "X-A: b", "-H", "User-Agent: me", "-u", "al:w", &url]);
    assert!(ended.stdout.starts_with("GET /file HTTP/1.1\r\n"), "{ended:?}");
    for line in ["x-a: b\r\n", "user-agent: me\r\n", "authorization: Basic YWw6dw==\r\n"] {
        assert!(ended.stdout.contains(line), "{line:?}: {ended:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::write(&data, "one\ntwo\n").unwrap();
    let from_file = format!("@{}", data.display());
    let ended = get(["-d", "a=1", "-d", &from_file, &url]);
    assert!(ended.stdout.starts_with("POST /file HTTP/1.1\r\n"), "{ended:?}");
    assert!(ended.stdout.contains("content-type: application/x-www-form-urlencoded\r\n"), "{ended:?}");
    assert!(ended.stdout.ends_with("\r\n\r\na=1&onetwo"), "{ended:?}");
    let ended = get(["-X", "PUT", "--data-binary", &from_file, &url]);
    assert!(ended.stdout.starts_with("PUT ") && ended.stdout.ends_with("\r\n\r\none\ntwo\n"), "{ended:?}");
}

#[test]
fn headers_are_shown_on_demand() {
    let server = Server::of("hello");
    let ended = get(["-i", &server.url()]);
    assert_eq!(ended.stdout, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let headless = Server::answering("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(get(["-I", &headless.url()]).stdout, "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\n\r\n");
}

#[test]
fn the_scheme_may_be_left_out_and_the_address_given() {
    let server = Server::echoing();
    let port = server.address.port();
    let rule = format!("files.invalid:{port}:127.0.0.1");
    let ended = get(["--resolve", &rule, &format!("files.invalid:{port}/file")]);
    assert!(ended.stdout.contains(&format!("host: files.invalid:{port}\r\n")), "{ended:?}");
    let ended = get(["--interface", "lo", &server.url()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = get(["--interface", "127.0.0.7", &server.url()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn redirects_are_followed_unless_that_is_unwanted() {
    let end = Server::of("the end");
    let to = end.url();
    let start =
        Server::answering(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 4\r\n\r\nhere"));
    assert_eq!(get([&start.url()]).stdout, "the end");
    assert_eq!(get(["--no-location", &start.url()]).stdout, "here");
    let circle = Server::answering("HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n");
    failed(&get([&circle.url()]), 47, "more than 10 redirects");
}

#[test]
fn a_proxy_is_taken_from_the_environment_unless_told_otherwise() {
    let proxy = Server::echoing();
    let server = Server::of("direct");
    let run = |arguments: &[&str]| {
        let mut command = command();
        command.env("http_proxy", format!("http://{}", proxy.address)).args(arguments).arg(server.url());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(run(&[]).starts_with(&format!("GET {} HTTP/1.1\r\n", server.url())));
    assert_eq!(run(&["--noproxy"]), "direct");
}

#[test]
fn a_reader_that_has_had_enough_is_no_news() {
    let server = Server::new(|mut stream: TcpStream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    let mut running =
        command().arg(server.url()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(running.stdout.take());
    let ended = running.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(23), Vec::new()));
}
