//! Rows of text in columns, the same for the screen and for `--once`: what fits into 80 columns, and what gives way.

use std::net::SocketAddr;

use super::board::{PathRow, Row, View};

/// Which figures are shown of each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    Rates,
    Bytes,
    Both,
}

impl Columns {
    const fn rates(self) -> bool {
        matches!(self, Self::Rates | Self::Both)
    }

    const fn bytes(self) -> bool {
        matches!(self, Self::Bytes | Self::Both)
    }
}

/// How wide the columns are that differ.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    columns: Columns,
    /// The part before the figures.
    left: usize,
}

/// A line of the table, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    /// Index of the connection.
    pub connection: usize,
    /// Index of the path, unless it is the connection's own line.
    pub path: Option<usize>,
}

const PID: usize = 7;
const PROGRAM: usize = 15;
/// `  ├ `, the interface and a space.
const TREE: usize = 4;
const INTERFACE: usize = 9;
/// Columns of figures, each with a space before it.
const STATE: usize = 6;
const FIGURE: usize = 6;
const RTT: usize = 5;
const RETRANSMITS: usize = 5;

impl Layout {
    /// For a terminal of this width.
    pub fn new(width: usize, columns: Columns) -> Self {
        let columns = if width >= 80 + 2 * (FIGURE + 1) { Columns::Both } else { columns };
        Self { columns, left: width.saturating_sub(right(columns)).max(TREE + INTERFACE + 8) }
    }

    /// As wide as it takes for nothing to be shortened.
    pub fn unlimited(view: &View) -> Self {
        let widest = view.connections.iter().flat_map(|row| {
            let own = PID + 1 + row.program().chars().count() + 1 + row.remote.to_string().len();
            let paths = row
                .paths
                .iter()
                .map(|path| TREE + interface(path).len().max(INTERFACE) + 1 + whole(path).chars().count());
            paths.chain([own])
        });
        Self { columns: Columns::Both, left: widest.max().unwrap_or(0).max(40) }
    }

    /// The names of the columns.
    pub fn header(&self) -> String {
        let mut text =
            fit(&format!("{:>PID$} {:<PROGRAM$} {}", "PID", "PROGRAM", "REMOTE, OR PATHS"), self.left);
        text.push_str(&format!(" {:<STATE$}", "STATE"));
        if self.columns.rates() {
            text.push_str(&format!(" {:>FIGURE$} {:>FIGURE$}", "RECV/s", "SEND/s"));
        }
        if self.columns.bytes() {
            text.push_str(&format!(" {:>FIGURE$} {:>FIGURE$}", "RECVD", "SENT"));
        }
        text.push_str(&format!(" {:>RTT$} {:>RETRANSMITS$}", "RTTms", "RETR"));
        text
    }

    /// The lines of all connections, each with its paths under it.
    pub fn lines(&self, view: &View) -> Vec<Line> {
        let mut lines = Vec::new();
        for (connection, row) in view.connections.iter().enumerate() {
            lines.push(Line { text: self.connection(row), connection, path: None });
            for (index, path) in row.paths.iter().enumerate() {
                let last = index + 1 == row.paths.len();
                lines.push(Line { text: self.path(path, last), connection, path: Some(index) });
            }
        }
        lines
    }

    fn connection(&self, row: &Row) -> String {
        let pid = row.pid().map_or("-".to_owned(), |pid| pid.to_string());
        let program = row.program();
        let program = if self.left >= PID + PROGRAM + 20 { program } else { elide(&program, PROGRAM) };
        let head = format!("{pid:>PID$} {program:<PROGRAM$} ");
        let room = self.left.saturating_sub(head.chars().count());
        let left = head + &elide(&row.remote.to_string(), room);
        let state = match row.state {
            _ if row.fallback => "tcp",
            "established" if row.paths.is_empty() => "lost",
            "established" => "",
            "syn-sent" | "syn-received" => "syn",
            "closed" => "closed",
            _ => "fin",
        };
        // Its paths say the rest.
        let bytes = (row.bytes_received, row.bytes_sent);
        self.line(&left, state, (row.receive_rate, row.send_rate), bytes, row.rtt(), row.retransmits)
    }

    fn path(&self, path: &PathRow, last: bool) -> String {
        let mark = if last { "  └ " } else { "  ├ " };
        let name = interface(path);
        let name = if self.left > 60 { name } else { elide(&name, INTERFACE) };
        let head = format!("{mark}{name:<INTERFACE$} ");
        let room = self.left.saturating_sub(head.chars().count());
        let left = head + &ends(path, room);
        let report = &path.report;
        let bytes = (report.bytes_received, report.bytes_sent);
        let rates = (path.receive_rate, path.send_rate);
        self.line(&left, path.state(), rates, bytes, report.rtt_ms, report.retransmits.map(u64::from))
    }

    fn line(
        &self,
        left: &str,
        state: &str,
        rates: (Option<f64>, Option<f64>),
        bytes: (Option<u64>, Option<u64>),
        rtt: Option<f64>,
        retransmits: Option<u64>,
    ) -> String {
        let mut text = fit(left, self.left);
        text.push_str(&format!(" {:<STATE$}", elide(state, STATE)));
        if self.columns.rates() {
            text.push_str(&format!(" {:>FIGURE$} {:>FIGURE$}", short(rates.0), short(rates.1)));
        }
        if self.columns.bytes() {
            let short = |bytes: Option<u64>| short(bytes.map(|bytes| bytes as f64));
            text.push_str(&format!(" {:>FIGURE$} {:>FIGURE$}", short(bytes.0), short(bytes.1)));
        }
        let rtt = rtt.map_or("-".to_owned(), milliseconds);
        let retransmits = short(retransmits.map(|count| count as f64));
        text.push_str(&format!(" {rtt:>RTT$} {retransmits:>RETRANSMITS$}"));
        text
    }
}

/// Everything behind the addresses.
const fn right(columns: Columns) -> usize {
    let pairs = if matches!(columns, Columns::Both) { 2 } else { 1 };
    1 + STATE + pairs * 2 * (FIGURE + 1) + 1 + RTT + 1 + RETRANSMITS
}

/// The whole table as text, for `--once`.
pub fn plain(view: &View, layout: &Layout) -> String {
    let mut text = layout.header();
    text.push('\n');
    for line in layout.lines(view) {
        text.push_str(line.text.trim_end());
        text.push('\n');
    }
    text
}

fn interface(path: &PathRow) -> String {
    path.report.interface.clone().unwrap_or_else(|| "?".to_owned())
}

/// Both ends of a path with their ports.
pub fn whole(path: &PathRow) -> String {
    let end = |address: Option<SocketAddr>| address.map_or("?".to_owned(), |address| address.to_string());
    format!("{} → {}", end(path.report.local), end(path.report.remote))
}

/// Both ends of a path in so many columns: first the local port gives way, then the remote one, then parts of addresses.
fn ends(path: &PathRow, room: usize) -> String {
    let (Some(local), Some(remote)) = (path.report.local, path.report.remote) else {
        return elide(&whole(path), room);
    };
    let (near, far) = (local.ip().to_string(), remote.ip().to_string());
    let candidates = [
        whole(path),
        format!("{local}→{remote}"),
        format!("{near} → {remote}"),
        format!("{near}→{remote}"),
        format!("{near} → {far}"),
        format!("{near}→{far}"),
    ];
    candidates.into_iter().find(|text| text.chars().count() <= room).unwrap_or_else(|| {
        let each = room.saturating_sub(1) / 2;
        format!("{}→{}", elide(&near, each), elide(&far, room.saturating_sub(1) - each))
    })
}

/// A text in at most so many characters, its middle left out: both ends of an address tell more.
fn elide(text: &str, room: usize) -> String {
    let count = text.chars().count();
    if count <= room {
        return text.to_owned();
    }
    let Some(kept) = room.checked_sub(1) else { return String::new() };
    let (front, back) = (kept.div_ceil(2), kept / 2);
    let start: String = text.chars().take(front).collect();
    let end: String = text.chars().skip(count - back).collect();
    format!("{start}…{end}")
}

/// A text in exactly so many characters.
fn fit(text: &str, width: usize) -> String {
    let text = elide(text, width);
    format!("{text:<width$}")
}

/// Milliseconds in at most five characters.
fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

/// A figure in at most five characters: `94.1k`, `1.3G`.
pub fn short(figure: Option<f64>) -> String {
    let Some(figure) = figure else { return "-".to_owned() };
    for (unit, size) in [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        // What would be rounded to 1000 belongs to the next unit.
        if figure >= size * 0.9995 {
            let value = figure / size;
            return if value < 99.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") };
        }
    }
    format!("{figure:.0}")
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::{path, sample};
    use super::*;

    #[test]
    fn figures_fit_their_columns() {
        let texts =
            [0.0, 7.4, 999.4, 999.9, 94_100.0, 99_960.0, 999_960.0, 1.25e9, 9e14].map(|f| short(Some(f)));
        assert_eq!(texts, ["0", "7", "999", "1.0k", "94.1k", "100k", "1.0M", "1.2G", "900T"]);
        assert_eq!(short(None), "-");
    }

    #[test]
    fn lines_are_exactly_as_wide_as_asked() {
        for width in [40, 60, 80, 93, 94, 120, 200] {
            for columns in [Columns::Rates, Columns::Bytes] {
                let layout = Layout::new(width, columns);
                let view = sample();
                for text in layout.lines(&view).into_iter().map(|line| line.text).chain([layout.header()]) {
                    let wide = text.chars().count();
                    assert!(wide == width || width < 60, "{wide} of {width}: {text:?}");
                }
            }
        }
    }

    #[test]
    fn addresses_give_way_port_by_port() {
        let path = path("wlan0", "192.168.178.123:43222", "203.0.113.77:443", (0.0, 0.0), 0);
        for (room, text) in [
            (99, "192.168.178.123:43222 → 203.0.113.77:443"),
            (39, "192.168.178.123:43222→203.0.113.77:443"),
            (36, "192.168.178.123 → 203.0.113.77:443"),
            (33, "192.168.178.123→203.0.113.77:443"),
            (30, "192.168.178.123 → 203.0.113.77"),
            (21, "192.1….123→203.0…3.77"),
        ] {
            assert_eq!(ends(&path, room), text, "{room}");
        }
    }

    #[test]
    fn a_pipe_gets_everything_whole() {
        let view = sample();
        let text = plain(&view, &Layout::unlimited(&view));
        for part in [
            "192.168.178.123:43222 → 203.0.113.77:443",
            "[2001:db8:85a3:8d3:1319:8a2e:370:7349]:60000 → [2001:db8:85a3:8d3:1319:8a2e:370:7348]:443",
            "enp0s31f6",
            "(user 1000)",
            "lost",
            "123M",
        ] {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
        assert!(!text.contains('…'), "{text}");
    }
}
