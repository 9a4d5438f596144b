//! What a line of the access log looks like, in each format.

use std::{fmt::Write as _, net::SocketAddr};

use mphttp::{Transport, report::PathReport};
use serde::Serialize;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::Format;

/// What a line tells.
pub(super) struct Record<'a> {
    pub(super) time: OffsetDateTime,
    pub(super) client: Option<SocketAddr>,
    pub(super) user: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) target: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) referer: Option<&'a [u8]>,
    pub(super) agent: Option<&'a [u8]>,
    pub(super) protocol: &'a str,
    pub(super) why_tcp: Option<&'a str>,
    pub(super) paths: u32,
    /// The connection's paths, where the format has room for them.
    pub(super) transport: Option<&'a Transport>,
    pub(super) seconds: f64,
}

#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: Option<SocketAddr>,
    user: Option<&'a str>,
    method: Option<&'a str>,
    target: Option<&'a str>,
    version: Option<&'a str>,
    status: u16,
    bytes: u64,
    referer: Option<std::borrow::Cow<'a, str>>,
    user_agent: Option<std::borrow::Cow<'a, str>>,
    protocol: &'a str,
    why_tcp: Option<&'a str>,
    paths: u32,
    path_details: Vec<PathReport>,
    seconds: f64,
}

/// Times for programs: UTC, to the millisecond.
pub const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const CLF: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

impl Record<'_> {
    pub(super) fn line(&self, format: Format) -> String {
        let mut line = String::with_capacity(160);
        match format {
            Format::Off => return line,
            Format::Json => self.json(&mut line),
            Format::Text => {
                let _ = write!(line, "{} {} ", self.stamp(RFC3339), self.host());
                self.request(&mut line);
                self.tail(&mut line);
            }
            Format::Common | Format::Combined => {
                let _ = write!(line, "{} - ", self.host());
                escape(self.user.unwrap_or("-").as_bytes(), &mut line);
                let _ = write!(line, " [{}] ", self.stamp(CLF));
                self.request(&mut line);
                if format == Format::Combined {
                    for value in [self.referer, self.agent] {
                        line.push_str(" \"");
                        escape(value.unwrap_or(b"-"), &mut line);
                        line.push('"');
                    }
                }
                self.tail(&mut line);
            }
        }
        line.push('\n');
        line
    }

    fn host(&self) -> String {
        self.client.map_or_else(|| "-".to_owned(), |client| client.ip().to_string())
    }

    fn stamp(&self, format: &[BorrowedFormatItem<'_>]) -> String {
        self.time.format(&format).unwrap_or_else(|_| "-".to_owned())
    }

    fn request(&self, line: &mut String) {
        line.push('"');
        // What could not be read is one dash, as elsewhere.
        match (self.method, self.target, self.version) {
            (Some(method), Some(target), Some(version)) => {
                escape(method.as_bytes(), line);
                line.push(' ');
                escape(target.as_bytes(), line);
                line.push(' ');
                line.push_str(version);
            }
            _ => line.push('-'),
        }
        let _ = write!(line, "\" {} {}", self.status, self.bytes);
    }

    fn tail(&self, line: &mut String) {
        let reason = self.why_tcp.unwrap_or("-");
        let _ = write!(line, " {} {reason} {} {:.3}", self.protocol, self.paths, self.seconds);
    }

    /// Those that there are now, then those that have gone.
    fn path_details(&self) -> Vec<PathReport> {
        let paths = self.transport.iter().flat_map(|transport| transport.paths.iter().chain(&transport.gone));
        paths.map(PathReport::from).collect()
    }

    fn json(&self, line: &mut String) {
        let json = Json {
            time: self.stamp(RFC3339),
            client: self.client,
            user: self.user,
            method: self.method,
            target: self.target,
            version: self.version,
            status: self.status,
            bytes: self.bytes,
            referer: self.referer.map(String::from_utf8_lossy),
            user_agent: self.agent.map(String::from_utf8_lossy),
            protocol: self.protocol,
            why_tcp: self.why_tcp,
            paths: self.paths,
            path_details: self.path_details(),
            seconds: (self.seconds * 1e6).round() / 1e6,
        };
        // JSON escapes control characters up to U+001F only; a terminal also obeys DEL and U+0080 to U+009F.
        for character in serde_json::to_string(&json).unwrap_or_default().chars() {
            if character.is_ascii() && character != '\x7f' {
                line.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
}

/// Keeps whatever a client sent within its field: anything but printable ASCII, quotes and backslashes are escaped, as
/// Apache's `mod_log_config` does it.
fn escape(bytes: &[u8], line: &mut String) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(byte));
            }
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x08 => line.push_str("\\b"),
            0x0b => line.push_str("\\v"),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn record() -> Record<'static> {
        Record {
            time: datetime!(2026-11-03 04:05:06.789 UTC),
            client: Some("192.0.2.7:4711".parse().unwrap()),
            user: None,
            method: Some("GET"),
            target: Some("/a?b=c"),
            version: Some("HTTP/1.1"),
            status: 200,
            bytes: 1234,
            referer: None,
            agent: Some(b"curl/8 \"x\"\n\xff"),
            protocol: "mptcp",
            why_tcp: None,
            paths: 2,
            transport: None,
            seconds: 0.01234,
        }
    }

    #[test]
    fn text_is_a_line_of_fields() {
        assert_eq!(
            record().line(Format::Text),
            "2026-11-03T04:05:06.789Z 192.0.2.7 \"GET /a?b=c HTTP/1.1\" 200 1234 mptcp - 2 0.012\n"
        );
        let tcp = Record { protocol: "tcp", why_tcp: Some("client"), paths: 1, ..record() };
        assert!(tcp.line(Format::Text).ends_with(" 200 1234 tcp client 1 0.012\n"));
    }

    #[test]
    fn common_and_combined_begin_as_everywhere() {
        let common = "192.0.2.7 - - [03/Nov/2026:04:05:06 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234";
        assert_eq!(record().line(Format::Common), format!("{common} mptcp - 2 0.012\n"));
        assert_eq!(
            record().line(Format::Combined),
            format!("{common} \"-\" \"curl/8 \\\"x\\\"\\n\\xff\" mptcp - 2 0.012\n")
        );
        let known = Record { user: Some("zoë"), ..record() };
        assert!(known.line(Format::Common).starts_with("192.0.2.7 - zo\\xc3\\xab [03/Nov/2026"));
        assert!(known.line(Format::Json).contains("\"user\":\"zo\\u00eb\""));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = record().line(Format::Json);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["client"], "192.0.2.7:4711");
        assert_eq!(json["why_tcp"], serde_json::Value::Null);
        assert_eq!((&json["status"], &json["paths"]), (&200.into(), &2.into()));
    }

    #[test]
    fn a_client_cannot_forge_lines_or_steer_a_terminal() {
        let nasty = Record { target: Some("/\n\r\x1b[2J\x7f\u{9b}\""), ..record() };
        for format in [Format::Text, Format::Json, Format::Common, Format::Combined] {
            let line = nasty.line(format);
            let body = line.strip_suffix('\n').unwrap();
            assert!(body.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{format:?}: {line:?}");
        }
    }
}
