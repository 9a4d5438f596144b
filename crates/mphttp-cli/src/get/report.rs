//! What is said when it is over: a line for people, an object for programs.

use std::{io::Write, time::Duration};

use http::header::CONTENT_TYPE;
use mphttp::{Reason, Response, Transport, report::TransportReport};
use mptcp_socket::Spoken;
use serde::Serialize;

use super::progress::{bits, labels, size};
use crate::exit::Exit;

/// A finished transfer.
pub struct Finished {
    pub bytes: u64,
    pub elapsed: Duration,
    pub max_gap: Duration,
    pub transport: Transport,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Summary<'a> {
    url: &'a str,
    status: u16,
    http_version: String,
    content_type: Option<String>,
    bytes: u64,
    seconds: f64,
    connect_seconds: f64,
    max_gap_seconds: f64,
    #[serde(flatten)]
    transport: TransportReport,
}

#[derive(Serialize)]
struct Failed<'a> {
    error: FailedInner<'a>,
}

#[derive(Serialize)]
struct FailedInner<'a> {
    kind: &'a str,
    message: &'a str,
    exit_code: u8,
}

/// What is kept of a response for the time when its body is gone.
pub struct Head {
    url: String,
    status: u16,
    http_version: String,
    content_type: Option<String>,
    connect_time: Duration,
}

impl Head {
    pub fn of(response: &Response) -> Self {
        let content_type = response.headers().get(CONTENT_TYPE);
        Self {
            url: response.url().to_string(),
            status: response.status().as_u16(),
            http_version: format!("{:?}", response.version()),
            content_type: content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            connect_time: response.connect_time(),
        }
    }
}

/// The object about a transfer, as one line.
pub fn json(head: &Head, finished: &Finished) -> Vec<u8> {
    line(&Summary {
        url: &head.url,
        status: head.status,
        http_version: head.http_version.clone(),
        content_type: head.content_type.clone(),
        bytes: finished.bytes,
        seconds: seconds(finished.elapsed),
        connect_seconds: seconds(head.connect_time),
        max_gap_seconds: seconds(finished.max_gap),
        transport: TransportReport::from(&finished.transport),
    })
}

/// The object about a failure, as one line.
pub fn json_error(exit: Exit, message: &str) -> Vec<u8> {
    line(&Failed { error: FailedInner { kind: exit.word(), message, exit_code: exit as u8 } })
}

fn line(object: &impl Serialize) -> Vec<u8> {
    // Neither type holds anything that JSON can't.
    let mut line = serde_json::to_vec(object).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Prints a line on stdout.
pub fn print(line: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(line)?;
    stdout.flush()
}

fn seconds(duration: Duration) -> f64 {
    // Microseconds will do, and keep the numbers readable.
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// The line for people: `100.0 MB in 4.3 s (187 Mbit/s) over MPTCP, 2 paths: wifi 52%, lte 48%`.
pub fn sentence(finished: &Finished) -> String {
    let rate = finished.bytes as f64 / finished.elapsed.as_secs_f64().max(1e-9);
    let what = size(finished.bytes);
    let took = finished.elapsed.as_secs_f64();
    let took = if took < 1.0 { format!("{:.0} ms", took * 1e3) } else { format!("{took:.1} s") };
    format!("{what} in {took} ({}) over {}", bits(rate), used(&finished.transport))
}

fn used(transport: &Transport) -> String {
    match transport.spoken {
        Spoken::Mptcp => {
            let all: Vec<_> = transport.paths.iter().chain(&transport.gone).zip(labels(transport)).collect();
            let bytes =
                |path: &mptcp_socket::Path| path.bytes_received.unwrap_or(0) + path.bytes_sent.unwrap_or(0);
            let sum = all.iter().map(|(path, _)| bytes(path)).sum::<u64>().max(1);
            let shares: Vec<String> = all
                .iter()
                .map(|(path, label)| format!("{label} {:.0}%", bytes(path) as f64 * 100.0 / sum as f64))
                .collect();
            let noun = if all.len() == 1 { "path" } else { "paths" };
            format!("MPTCP, {} {noun}: {}", all.len(), shares.join(", "))
        }
        Spoken::Tcp(reason) => match reason.remedy().filter(|_| reason != Reason::NotRequested) {
            Some(remedy) => format!("TCP: {} ({remedy})", reason.explain()),
            None => format!("TCP: {}", reason.explain()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_line_says_what_was_used_and_why() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut transport = Transport::of(&stream).unwrap();
        transport.spoken = Spoken::Tcp(Reason::PeerOrPath);
        let elapsed = Duration::from_millis(4300);
        let mut finished = Finished { bytes: 100_000_000, elapsed, max_gap: elapsed, transport };
        let text = sentence(&finished);
        let start =
            "100.0 MB in 4.3 s (186 Mbit/s) over TCP: the peer, or a box on the way, answered without";
        assert!(text.starts_with(start) && text.ends_with("another network)"), "{text}");

        finished.transport.spoken = Spoken::Mptcp;
        let mut second = finished.transport.paths[0].clone();
        finished.transport.paths[0].bytes_received = Some(52);
        finished.transport.paths[0].interface = Some("wifi".into());
        second.bytes_received = Some(48);
        second.interface = Some("lte".into());
        finished.transport.gone.push(second);
        let text = sentence(&finished);
        assert!(text.ends_with("over MPTCP, 2 paths: wifi 52%, lte 48%"), "{text}");
    }
}
