//! Traces as a collector gets them: the real programs, and a receiver of OTLP over HTTP that reads the protobuf itself.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

const SOON: Duration = Duration::from_secs(20);

/// A span, as far as it matters here.
#[derive(Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    service: String,
    attributes: HashMap<String, String>,
}

/// `SpanKind` of opentelemetry/proto/trace/v1/trace.proto.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// A field of a protobuf message: a number, or bytes.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("the number {number} is no bytes"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    fn hex(&self) -> String {
        self.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The fields of a message (<https://protobuf.dev/programming-guides/encoding/>).
fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(from: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = from.split_first().expect("a whole number");
            *from = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, Field::Number(varint(&mut message))));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (bytes, rest) = message.split_at(length);
        fields.push((key >> 3, Field::Bytes(bytes)));
        message = rest;
    }
    fields
}

fn key_value(message: &[u8]) -> (String, String) {
    let (mut key, mut value) = (String::new(), String::new());
    for (number, field) in fields(message) {
        match number {
            1 => key = field.text(),
            2 => {
                for (number, field) in fields(field.bytes()) {
                    value = match (number, &field) {
                        (1, _) => field.text(),
                        (_, Field::Number(number)) => number.to_string(),
                        _ => String::new(),
                    };
                }
            }
            _ => {}
        }
    }
    (key, value)
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(message: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for (_, resource_spans) in fields(message).iter().filter(|(number, _)| *number == 1) {
        let mut service = String::new();
        for (number, field) in fields(resource_spans.bytes()) {
            let inner = fields(field.bytes());
            match number {
                1 => {
                    let attributes = inner.iter().filter(|(number, _)| *number == 1);
                    let mut attributes = attributes.map(|(_, field)| key_value(field.bytes()));
                    service = attributes.find(|(key, _)| key == "service.name").unwrap().1;
                }
                2 => {
                    for (_, span) in inner.iter().filter(|(number, _)| *number == 2) {
                        let mut read = Span { service: service.clone(), ..Span::default() };
                        for (number, field) in fields(span.bytes()) {
                            match (number, &field) {
                                (1, _) => read.trace = field.hex(),
                                (2, _) => read.id = field.hex(),
                                (4, _) => read.parent = field.hex(),
                                (5, _) => read.name = field.text(),
                                (6, Field::Number(kind)) => read.kind = *kind,
                                (9, _) => read.attributes.extend([key_value(field.bytes())]),
                                _ => {}
                            }
                        }
                        found.push(read);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// Takes traces, on a free port.
fn receiver() -> (SocketAddr, Receiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
                    let head = head.to_ascii_lowercase();
                    assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
                    let length = head.split("content-length: ").nth(1).unwrap();
                    let length = length.lines().next().unwrap().parse().unwrap();
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    for span in spans(&body) {
                        let _ = sender.send(span);
                    }
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
                    reader.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    (address, receiver)
}

fn mphttp(collector: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mphttp"));
    command.env_remove("MPHTTP_PROTOCOL").env_remove("MPHTTP_LOG").env("no_proxy", "*");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the server when the test does.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_trace_goes_from_the_client_through_the_server_to_the_collector() {
    let (collector, arriving) = receiver();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "hello").unwrap();
    let mut command = mphttp(collector);
    command.env("OTEL_SERVICE_NAME", "files").env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let child = command.arg("serve").arg(folder.path()).args(["--bind", "127.0.0.1", "--port", "0"]).spawn();
    let mut serving = Serving(child.unwrap());
    let stderr = BufReader::new(serving.0.stderr.take().unwrap()).lines();
    let told = stderr.map_while(Result::ok).find(|line| line.contains("://")).unwrap();
    let url = format!("{}file", told.trim());

    let output = mphttp(collector).args(["get", &url]).output().unwrap();
    assert!(output.status.success() && output.stdout == b"hello", "{output:?}");
    let mut pair = [arriving.recv_timeout(SOON).unwrap(), arriving.recv_timeout(SOON).unwrap()];
    pair.sort_by_key(|span| span.kind);
    let [server, client] = &pair;
    assert_eq!((server.kind, server.service.as_str()), (SERVER, "files"));
    assert_eq!((client.kind, client.service.as_str()), (CLIENT, "mphttp"));
    assert_eq!((&server.trace, &server.parent), (&client.trace, &client.id));
    assert_eq!((client.trace.len(), client.id.len(), client.parent.as_str()), (32, 16, ""));
    for (span, expected) in [
        (server, [("url.path", "/file"), ("client.address", "127.0.0.1"), ("http.request.method", "GET")]),
        (
            client,
            [("url.full", url.as_str()), ("server.address", "127.0.0.1"), ("http.request.method", "GET")],
        ),
    ] {
        assert_eq!(span.name, "GET");
        let both = [("mphttp.protocol", "mptcp"), ("http.response.status_code", "200")];
        for (key, value) in expected.into_iter().chain(both) {
            assert_eq!(span.attributes.get(key).map(String::as_str), Some(value), "{key} of {span:#?}");
        }
    }

    // A trace that another program began, over a plain socket.
    let address: SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let request = format!(
        "GET /none HTTP/1.1\r\nHost: x\r\ntraceparent: 00-{trace}-{parent}-01\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let span = arriving.recv_timeout(SOON).unwrap();
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (trace, parent));
    assert_eq!(span.attributes["mphttp.why_tcp"], "client");
    assert_eq!(span.attributes["http.response.status_code"], "404");
}

#[test]
fn an_endpoint_that_is_none_is_an_error_and_an_absent_collector_is_not() {
    let output = Command::new(env!("CARGO_BIN_EXE_mphttp"))
        .args(["get", "http://127.0.0.1:1/"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://not a url")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && told.contains("hint: "), "{told}");

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    });
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = mphttp(gone).args(["get", &url]).output().unwrap();
    assert!(output.status.success() && output.stdout == b"hello", "{output:?}");
}
