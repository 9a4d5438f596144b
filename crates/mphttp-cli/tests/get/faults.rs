//! Strange input and strange peers: each has its own text and exit code, and none leaves a file behind.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use mphttp::tls::ServerTls;
use serde_json::Value;

use super::support::{Ended, Server, command, failed, get, names, read_head};

#[test]
fn wrong_usage_and_bad_urls() {
    assert_eq!(get([]).code, Some(2));
    assert_eq!(get(["--protocol", "sctp", "http://localhost/"]).code, Some(2));
    failed(&get(["--json", "-o", "-", "http://localhost/"]), 2, "--json");
    failed(&get(["-O", "http://localhost/"]), 2, "doesn't end in a file name");
    failed(&get(["-H", "no colon", "http://localhost/"]), 2, "\"Name: value\"");
    failed(&get(["--resolve", "a:b", "http://localhost/"]), 2, "HOST:PORT:ADDR");
    for (url, clause) in [
        ("http://", "empty host"),
        ("ftp://localhost/", "ftp is not supported"),
        ("http://a b/", "can't be requested"),
        ("http://localhost:99999/", "port"),
    ] {
        failed(&get([url]), 3, clause);
    }
}

#[test]
fn a_host_that_is_unknown_and_a_port_that_is_closed() {
    failed(&get(["http://no-such-host.invalid/"]), 6, "can't resolve \"no-such-host.invalid\"");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    failed(&get([&format!("http://127.0.0.1:{port}/")]), 7, "check that the server runs");
}

#[test]
fn a_server_without_mptcp_where_mptcp_was_demanded() {
    let server = Server::of("hello");
    let ended = get(["--protocol", "mptcp-only", &server.url()]);
    failed(&ended, 120, "Multipath TCP was demanded, but the peer, or a box on the way");
    assert_eq!(ended.stdout, "");
}

/// Asserts how a download of these bytes into a file ends, and that no file is left.
#[track_caller]
fn download_fails(bytes: impl Into<Vec<u8>>, code: i32, clause: &str) {
    let server = Server::answering(bytes);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    failed(&get(["-o", path.to_str().unwrap(), &server.url()]), code, clause);
    assert_eq!(names(directory.path()), Vec::<String>::new());
}

#[test]
fn bodies_lengths_and_headers_that_break_the_rules() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello";
    download_fails(short, 18, "cut short after 5 bytes of 100");
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    download_fails(chunks, 18, "cut short after 5 bytes");
    let wrong = "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello";
    download_fails(wrong, 8, "did not answer in valid HTTP");
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello";
    download_fails(two, 8, "did not answer in valid HTTP");
    let headers = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300 << 10));
    download_fails(headers, 100, "the response headers");
    download_fails("", 52, "closed the connection without an answer");
    download_fails("220 mail.example ESMTP\r\n\r\n", 8, "check that an HTTP server listens");
}

#[test]
fn a_status_is_a_failure_on_demand() {
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
    download_fails_with_fail(missing);
    let ended = get([&Server::answering(missing).url()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "gone"));
    assert!(ended.stderr.starts_with("404 Not Found: 4 "), "{}", ended.stderr);
}

fn download_fails_with_fail(bytes: &str) {
    let server = Server::answering(bytes);
    let ended = get(["--fail", &server.url()]);
    failed(&ended, 22, "answered 404 Not Found");
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_failure_is_an_object_for_programs() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    let ended = get(["--json", &server.url()]);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let error = &json["error"];
    assert_eq!((&error["kind"], &error["exit_code"]), (&"cut-short".into(), &18.into()));
    assert!(error["message"].as_str().unwrap().contains("5 bytes of 100"));
    failed(&ended, 18, "cut short");
}

#[test]
fn limits_of_time() {
    let silent = Server::new(|mut stream| {
        read_head(&mut stream);
        thread::sleep(Duration::from_secs(10));
    });
    failed(&get(["--max-time", "0.3", &silent.url()]), 28, "the transfer was not finished within 0.300 s");
    let url = silent.url().replace("http:", "https:");
    failed(
        &get(["--connect-timeout", "0.3", &url]),
        28,
        "the handshake with proxy or TLS was not finished within 0.300 s",
    );
}

#[test]
fn outputs_that_cannot_be_written_are_found_before_the_request() {
    let server = Server::of("hello");
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("missing/out");
    failed(&get(["-o", inside.to_str().unwrap(), &server.url()]), 23, "No such file or directory");
    failed(&get(["-o", directory.path().to_str().unwrap(), &server.url()]), 23, "Is a directory");
    assert_eq!(server.accepted(), 0);
    failed(&get(["-o", "/dev/full", &server.url()]), 23, "No space left on device");
}

#[test]
fn a_disk_that_is_too_full_says_so_and_keeps_nothing() {
    let server = Server::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{}",
        "x".repeat(200_000)
    ));
    let chunked = Server::new(|mut stream| {
        read_head(&mut stream);
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(piece.as_bytes()).is_ok() {}
    });
    let directory = tempfile::tempdir().unwrap();
    for url in [server.url(), chunked.url()] {
        // A file system of 64 KiB in a mount namespace of its own. The program's exit code, then what is left.
        let script = "mount -t tmpfs -o size=64k none \"$1\" && cd \"$1\" && \
                      \"$2\" get -qo out \"$3\"; code=$?; ls -A; exit $code";
        let ended: Ended = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(directory.path())
            .args([env!("CARGO_BIN_EXE_mphttp"), &url])
            .output()
            .unwrap()
            .into();
        failed(&ended, 23, "No space left on device");
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn signals_leave_no_file() {
    let server = Server::new(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        thread::sleep(Duration::from_secs(10));
    });
    for (signal, code) in [(nix::sys::signal::Signal::SIGINT, 130), (nix::sys::signal::Signal::SIGTERM, 143)]
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let running = command().arg("-qo").arg(&path).arg(server.url()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::read_dir(&directory).unwrap().all(|file| file.unwrap().metadata().unwrap().len() == 0) {
            assert!(Instant::now() < deadline, "nothing was written");
            thread::sleep(Duration::from_millis(10));
        }
        let id = nix::unistd::Pid::from_raw(running.id().try_into().unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(code));
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }
}

/// An HTTPS server known by a self-signed certificate for `name`, and the path of that certificate.
fn secure(name: &str, directory: &std::path::Path) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let (chain, private) = (directory.join("chain.pem"), directory.join("key.pem"));
    fs::write(&chain, certificate.pem()).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    let tls = ServerTls::from_pem_files(&chain, private).unwrap();
    let server = Server::new(move |mut stream| {
        let mut connection = rustls::ServerConnection::new(tls.config()).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut stream);
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    });
    (format!("https://localhost:{}/", server.address.port()), chain.to_str().unwrap().to_owned())
}

#[test]
fn certificates_that_do_not_fit() {
    let directory = tempfile::tempdir().unwrap();
    let (url, chain) = secure("other.example", directory.path());
    let ended = get(["--http1.1", "--cacert", &chain, &url]);
    failed(&ended, 60, "the certificate is for other.example");
    failed(&get(["--http1.1", &url]), 60, "nobody trusted has signed the certificate");
    assert_eq!(get(["--http1.1", "--insecure", &url]).stdout, "hello");

    let (url, chain) = secure("localhost", directory.path());
    assert_eq!(get(["--http1.1", "--cacert", &chain, &url]).stdout, "hello");
    failed(&get(["--cacert", "/nowhere.pem", &url]), 77, "can't use /nowhere.pem");
    let plain = Server::new(|mut stream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        let _ = stream.read(&mut [0; 1000]);
    });
    let url = plain.url().replace("http:", "https:");
    failed(&get([&url]), 35, "the peer does not speak TLS there");
}
