//! A server's figures for Prometheus, in its text format, version 0.0.4.
//!
//! Written by hand: the counters are there already, as atomics that cost a request an addition each, and the format has four
//! rules. A crate would bring its own counters behind locks, or want ours wrapped.
//!
//! ```
//! let server = mphttp::Server::bind(mphttp::Protocol::Mptcp, ([127, 0, 0, 1], 0).into())?.track_connections(true);
//! let text = mphttp::metrics::render(&server.stats().sample());
//! assert!(text.contains("\nmphttp_connections_total{protocol=\"mptcp\",reason=\"\"} 0\n"));
//! # Ok::<(), mphttp::Error>(())
//! ```

mod process;

use std::fmt::{Display, Write};

use crate::server::{PathCounts, Role, Sample};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family of samples is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of observations up to each of some bounds.
    Histogram,
}

/// The text, as it grows. A family must be written in one go, and once.
#[derive(Clone, Debug, Default)]
pub struct Text(String);

/// The samples of one family are written through this.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Text {
    /// No text yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family: its name, with unit and suffix, and a sentence of help.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let text = &mut self.0;
        text.push_str("# HELP ");
        text.push_str(name);
        text.push(' ');
        for character in help.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        // Writing to a String can't fail.
        let _ = write!(text, "\n# TYPE {name} {kind}\n");
        Family { text, name }
    }

    /// A family with one sample and no labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The whole text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample. Values of labels may be anything: they are escaped.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.with_suffix("", labels, value)
    }

    fn with_suffix(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels {
            self.text.push(before);
            before = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
        self
    }
}

/// A server's figures, and those of this process.
#[must_use]
pub fn render(sample: &Sample) -> String {
    let mut text = Text::new();
    server(&mut text, sample);
    process(&mut text);
    text.into_string()
}

/// The families of a server, all of them named `mphttp_…`. Those of paths are left out unless connections are
/// [tracked](crate::Server::track_connections).
pub fn server(text: &mut Text, sample: &Sample) {
    connections(text, sample);
    if !sample.paths.is_empty() {
        paths(text, sample);
    }
    requests(text, sample);
}

fn connections(text: &mut Text, sample: &Sample) {
    // What never was is left out, but for what most servers see: a series that appears late has no rate at first.
    let usual = ["", "client"];
    let word =
        |counts: &crate::server::SpokenCounts| counts.spoken.reason().map_or("", |reason| reason.as_str());
    let shown: Vec<_> =
        sample.spoken.iter().filter(|counts| counts.total > 0 || usual.contains(&word(counts))).collect();
    let help = "Connections accepted, by what they spoke then; reason says why it was tcp.";
    let mut family = text.family("mphttp_connections_total", Kind::Counter, help);
    for counts in &shown {
        let labels = [("protocol", counts.spoken.as_str()), ("reason", word(counts))];
        family.sample(&labels, counts.total);
    }
    let help = "Connections open now, by what they spoke when they were accepted.";
    let mut family = text.family("mphttp_connections_open", Kind::Gauge, help);
    for counts in &shown {
        let labels = [("protocol", counts.spoken.as_str()), ("reason", word(counts))];
        family.sample(&labels, counts.open);
    }
    let counts = &sample.counts;
    for (name, help, value) in [
        (
            "mphttp_refused_tcp_total",
            "Connections closed because they spoke TCP where MPTCP was demanded.",
            counts.refused_tcp,
        ),
        (
            "mphttp_tls_failures_total",
            "Connections whose TLS handshake failed, or that spoke plain HTTP instead.",
            counts.tls_failed,
        ),
        ("mphttp_accept_errors_total", "Errors of accept(2).", counts.accept_errors),
    ] {
        text.single(name, Kind::Counter, help, value);
    }
    let help = "Connections closed, or not taken, by why: others wanted the room, too many from one address, slow heads, \
                silent bodies, clients that don't read.";
    let mut family = text.family("mphttp_connections_cut_total", Kind::Counter, help);
    for (why, count) in &sample.cuts {
        family.sample(&[("why", why.as_str())], count);
    }
}

fn paths(text: &mut Text, sample: &Sample) {
    let help = "Connections on which MPTCP was agreed on and then lost (RFC 8684 section 3.7).";
    text.single("mphttp_fallbacks_total", Kind::Counter, help, sample.fallbacks);
    let labels = |counts: &PathCounts| {
        let protocol = if counts.mptcp { "mptcp" } else { "tcp" };
        [("protocol", protocol), ("role", counts.role.map_or("", Role::as_str))]
    };
    let help = "Payload bytes by the path's role in its connection; those sent include retransmissions.";
    let mut family = text.family("mphttp_path_bytes_total", Kind::Counter, help);
    for counts in &sample.paths {
        let [protocol, role] = labels(counts);
        family.sample(&[protocol, role, ("direction", "sent")], counts.bytes_sent);
        family.sample(&[protocol, role, ("direction", "received")], counts.bytes_received);
    }
    for (name, kind, help, of) in [
        (
            "mphttp_path_retransmits_total",
            Kind::Counter,
            "Segments sent again, by the path's role.",
            (|counts| counts.retransmits) as fn(&PathCounts) -> u64,
        ),
        ("mphttp_paths_total", Kind::Counter, "Paths (subflows) seen, by role.", |counts| counts.total),
        ("mphttp_paths_open", Kind::Gauge, "Paths (subflows) open now, by role.", |counts| counts.open),
    ] {
        let mut family = text.family(name, kind, help);
        for counts in &sample.paths {
            family.sample(&labels(counts), of(counts));
        }
    }
}

fn requests(text: &mut Text, sample: &Sample) {
    let help =
        "Requests that are over, by method and class of status; none: the client left before there was one.";
    let mut family = text.family("mphttp_requests_total", Kind::Counter, help);
    for counts in &sample.requests {
        family.sample(&[("method", counts.method), ("status", counts.status)], counts.total);
    }
    text.single(
        "mphttp_requests_in_flight",
        Kind::Gauge,
        "Requests that are being answered now.",
        sample.in_flight(),
    );
    text.single(
        "mphttp_malformed_requests_total",
        Kind::Counter,
        "Requests refused since they were no HTTP/1.1 or had too long a head.",
        sample.counts.malformed,
    );
    let help = "Time from a request's head to the last byte of its answer that was handed to the connection.";
    let mut family = text.family("mphttp_request_duration_seconds", Kind::Histogram, help);
    for (bound, count) in &sample.durations.up_to {
        family.with_suffix("_bucket", &[("le", &bound.to_string())], count);
    }
    family
        .with_suffix("_bucket", &[("le", "+Inf")], sample.durations.count)
        .with_suffix("_sum", &[], sample.durations.sum.as_secs_f64())
        .with_suffix("_count", &[], sample.durations.count);
}

/// The families of this process (`process_…`, as Prometheus' own libraries name them), and the version of this library.
/// Those of the process need Linux's `/proc`.
pub fn process(text: &mut Text) {
    let help = "The version of the library; always 1.";
    let mut family = text.family("mphttp_build_info", Kind::Gauge, help);
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    process::write(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_labels_and_help_are_escaped_as_the_format_demands() {
        let mut text = Text::new();
        text.family("a_total", Kind::Counter, "one\\two\nthree \"four\"")
            .sample(&[("x", "q\"b\\n\nü")], 3)
            .sample(&[], 0.5);
        assert_eq!(
            text.into_string(),
            "# HELP a_total one\\\\two\\nthree \"four\"\n# TYPE a_total counter\n\
             a_total{x=\"q\\\"b\\\\n\\nü\"} 3\na_total 0.5\n"
        );
    }
}
