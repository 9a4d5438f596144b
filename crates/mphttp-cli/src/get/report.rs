//! What is said when it is over: a line for people, an object for programs.

use std::{io::Write, time::Duration};

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use mphttp::{
    Reason, Response, Transport,
    download::{Downloaded, Strategy},
    report::TransportReport,
};
use mptcp_socket::Spoken;
use serde::Serialize;

use super::progress::{Carried, bits, carried, size};
use crate::exit::Exit;

/// A finished transfer.
pub struct Finished {
    pub bytes: u64,
    pub elapsed: Duration,
    pub max_gap: Duration,
    /// What the first connection spoke.
    pub transport: Transport,
    pub strategy: Strategy,
    /// What each path or link has carried.
    pub carried: Vec<Carried>,
    pub resumed: u64,
    pub failures: u32,
    pub verified: bool,
}

impl Finished {
    /// A transfer over one connection.
    pub fn over(transport: Transport, bytes: u64, elapsed: Duration, max_gap: Duration) -> Self {
        let strategy = if transport.is_mptcp() { Strategy::Mptcp } else { Strategy::Single };
        let carried = carried(&transport);
        Self {
            bytes,
            elapsed,
            max_gap,
            transport,
            strategy,
            carried,
            resumed: 0,
            failures: 0,
            verified: false,
        }
    }
}

impl From<Downloaded> for Finished {
    fn from(done: Downloaded) -> Self {
        let carried = match done.strategy {
            // The paths tell more than the links, if they have carried everything.
            Strategy::Mptcp if done.requests == 1 => carried(&done.transport),
            _ => done
                .links
                .into_iter()
                .map(|link| Carried { label: link.interface, bytes: link.bytes, state: "" })
                .collect(),
        };
        Self {
            bytes: done.bytes,
            elapsed: done.elapsed,
            max_gap: done.max_gap,
            transport: done.transport,
            strategy: done.strategy,
            carried,
            resumed: done.resumed,
            failures: done.failures,
            verified: done.verified,
        }
    }
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
    strategy: &'static str,
    /// Bytes of the body by interface; by path, with what went along, where one connection has carried all.
    links: Vec<LinkReport<'a>>,
    /// Bytes that an earlier download had left.
    resumed_bytes: u64,
    /// Connections that failed, and were made up for.
    failures: u32,
    /// Whether a checksum was checked.
    verified: bool,
    #[serde(flatten)]
    transport: TransportReport,
}

#[derive(Serialize)]
struct LinkReport<'a> {
    link: &'a str,
    bytes: u64,
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
        Self {
            url: response.url().to_string(),
            status: response.status().as_u16(),
            http_version: format!("{:?}", response.version()),
            content_type: content_type(response.headers()),
            connect_time: response.connect_time(),
        }
    }

    /// Whether the server says that what the client has is still right.
    pub fn is_unchanged(&self) -> bool {
        self.status == 304
    }

    /// The status, if it says that something is wrong.
    pub fn error(&self) -> Option<StatusCode> {
        let status = StatusCode::from_u16(self.status).ok()?;
        (status.is_client_error() || status.is_server_error()).then_some(status)
    }

    pub fn of_download(done: &Downloaded) -> Self {
        Self {
            url: done.url.to_string(),
            status: done.status.as_u16(),
            http_version: format!("{:?}", done.version),
            content_type: content_type(&done.headers),
            connect_time: done.connect_time,
        }
    }
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
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
        strategy: finished.strategy.as_str(),
        links: finished
            .carried
            .iter()
            .map(|carried| LinkReport { link: &carried.label, bytes: carried.bytes })
            .collect(),
        resumed_bytes: finished.resumed,
        failures: finished.failures,
        verified: finished.verified,
        transport: TransportReport::from(&finished.transport),
    })
}

/// The object about a failure, as one line.
pub fn json_error(exit: Exit, message: &str) -> Vec<u8> {
    line(&Failed { error: FailedInner { kind: exit.word(), message, exit_code: exit as u8 } })
}

fn line(object: &impl Serialize) -> Vec<u8> {
    // Neither type holds anything that JSON can't.
    let text = serde_json::to_string(object).unwrap_or_default();
    // What servers say may be for the terminal: DEL and the control characters beyond ASCII, which JSON lets pass as they are.
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character.is_control() {
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line.into_bytes()
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
    let came = finished.bytes.saturating_sub(finished.resumed);
    let rate = came as f64 / finished.elapsed.as_secs_f64().max(1e-9);
    let what = size(came);
    let took = finished.elapsed.as_secs_f64();
    let took = if took < 1.0 { format!("{:.0} ms", took * 1e3) } else { format!("{took:.1} s") };
    let mut text = format!("{what} in {took} ({}) over {}", bits(rate), used(finished));
    if finished.resumed > 0 {
        text.push_str(&format!("; {} were there already", size(finished.resumed)));
    }
    if finished.failures > 0 {
        let noun = if finished.failures == 1 {
            "connection that failed was"
        } else {
            "connections that failed were"
        };
        text.push_str(&format!("; {} {noun} replaced", finished.failures));
    }
    text
}

fn used(finished: &Finished) -> String {
    let sum = finished.carried.iter().map(|carried| carried.bytes).sum::<u64>().max(1);
    let shares: Vec<String> = finished
        .carried
        .iter()
        .map(|carried| format!("{} {:.0}%", carried.label, carried.bytes as f64 * 100.0 / sum as f64))
        .collect();
    let spoken = finished.transport.spoken;
    if finished.strategy == Strategy::Striped {
        let noun = if shares.len() == 1 { "link" } else { "links" };
        let first = match spoken {
            Spoken::Mptcp => String::new(),
            Spoken::Tcp(reason) => format!("; TCP: {}", reason.explain()),
        };
        return format!("{} {noun}, striped: {}{first}", shares.len(), shares.join(", "));
    }
    match spoken {
        Spoken::Mptcp => {
            let noun = if shares.len() == 1 { "path" } else { "paths" };
            format!("MPTCP, {} {noun}: {}", shares.len(), shares.join(", "))
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
        let finished =
            |transport: &Transport| Finished::over(transport.clone(), 100_000_000, elapsed, elapsed);
        let text = sentence(&finished(&transport));
        let start =
            "100.0 MB in 4.3 s (186 Mbit/s) over TCP: the peer, or a box on the way, answered without";
        assert!(text.starts_with(start) && text.ends_with("another network)"), "{text}");

        transport.spoken = Spoken::Mptcp;
        let mut second = transport.paths[0].clone();
        transport.paths[0].bytes_received = Some(52);
        transport.paths[0].interface = Some("wifi".into());
        second.bytes_received = Some(48);
        second.interface = Some("lte".into());
        transport.gone.push(second);
        let text = sentence(&finished(&transport));
        assert!(text.ends_with("over MPTCP, 2 paths: wifi 52%, lte 48%"), "{text}");

        transport.spoken = Spoken::Tcp(Reason::Disabled);
        let mut striped = finished(&transport);
        (striped.strategy, striped.resumed, striped.failures) = (Strategy::Striped, 40_000_000, 1);
        let text = sentence(&striped);
        assert!(
            text.starts_with("60.0 MB in 4.3 s (112 Mbit/s) over 2 links, striped: wifi 52%, lte 48%"),
            "{text}"
        );
        assert!(
            text.ends_with("40.0 MB were there already; 1 connection that failed was replaced"),
            "{text}"
        );
    }
}
