//! What came of a benchmark: medians and ratios, a table, remarks, a picture.

use std::collections::BTreeMap;

use serde::Serialize;

use super::transfer::{Kind, Limits, Transfer};
use crate::picture::{self, Panel};

/// Shorter ones say little: connections have not found their speed.
const SHORT: f64 = 1.0;

/// The results, as `--json` prints them.
#[derive(Debug, Serialize)]
pub struct Report {
    url: String,
    rounds: u32,
    limits: Limits,
    /// Interfaces with a default route.
    links: Vec<String>,
    pub kinds: Vec<Summary>,
    /// What must be known to read the figures, for people.
    remarks: Vec<String>,
}

/// The transfers of one kind.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub kind: Kind,
    /// Mbit/s; null if all failed.
    pub median_mbit: Option<f64>,
    pub slowest_mbit: Option<f64>,
    pub fastest_mbit: Option<f64>,
    /// Median to TCP's median.
    pub ratio_to_tcp: Option<f64>,
    pub transfers: Vec<Transfer>,
}

/// The middle one; of an even number, the mean of the two.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted.get(sorted.len() / 2 - 1)? + upper) / 2.0)
}

impl Summary {
    fn new(kind: Kind, transfers: Vec<Transfer>, tcp: Option<f64>) -> Self {
        let rates: Vec<f64> = transfers.iter().filter_map(Transfer::megabits).collect();
        let median_mbit = median(&rates);
        // Of TCP itself it is 1, whatever it was.
        let tcp = tcp.or(median_mbit.filter(|_| kind == Kind::Tcp));
        Self {
            kind,
            median_mbit,
            slowest_mbit: rates.iter().copied().min_by(f64::total_cmp),
            fastest_mbit: rates.iter().copied().max_by(f64::total_cmp),
            ratio_to_tcp: median_mbit.zip(tcp.filter(|tcp| *tcp > 0.0)).map(|(own, tcp)| own / tcp),
            transfers,
        }
    }

    /// The transfer whose rate is nearest to the median.
    pub fn typical(&self) -> Option<&Transfer> {
        let median = self.median_mbit?;
        let distance =
            |transfer: &&Transfer| transfer.megabits().map_or(f64::MAX, |rate| (rate - median).abs());
        self.transfers.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// What each link carried in all transfers together, most first.
    fn shares(&self) -> Vec<(&str, f64)> {
        let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
        for (link, carried) in self.transfers.iter().flat_map(|transfer| &transfer.links) {
            *bytes.entry(link).or_default() += carried;
        }
        let sum: u64 = bytes.values().sum();
        let mut shares: Vec<(&str, f64)> = bytes
            .into_iter()
            .filter(|(_, carried)| *carried > 0)
            .map(|(link, carried)| (link, carried as f64 / sum.max(1) as f64))
            .collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }

    fn failures(&self) -> impl Iterator<Item = &str> {
        self.transfers.iter().filter_map(|transfer| transfer.error.as_deref())
    }
}

impl Report {
    pub fn new(url: &str, rounds: u32, limits: Limits, transfers: Vec<Transfer>) -> Self {
        // A host whose routes can't be read has none that are known.
        let ways = mptcp_paths::ways_out().unwrap_or_default();
        let links = ways.into_iter().map(|way| way.interface).collect();
        Self::with_links(url, rounds, limits, transfers, links)
    }

    fn with_links(
        url: &str,
        rounds: u32,
        limits: Limits,
        transfers: Vec<Transfer>,
        links: Vec<String>,
    ) -> Self {
        let of = |kind: Kind| transfers.iter().filter(|transfer| transfer.kind == kind).cloned().collect();
        let tcp = Summary::new(Kind::Tcp, of(Kind::Tcp), None);
        let base = tcp.median_mbit;
        let others = [Kind::Mptcp, Kind::Striped].map(|kind| Summary::new(kind, of(kind), base));
        let kinds = [tcp].into_iter().chain(others).collect();
        let mut report = Self { url: url.to_owned(), rounds, limits, links, kinds, remarks: Vec::new() };
        report.remarks = report.find_remarks();
        report
    }

    fn find_remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for summary in &self.kinds {
            let name = summary.kind.name();
            let failures: Vec<&str> = summary.failures().collect();
            if let Some(first) = failures.first() {
                remarks.push(format!(
                    "{name}: {} of {} failed: {first}",
                    failures.len(),
                    summary.transfers.len()
                ));
            }
            let went: Vec<&Transfer> =
                summary.transfers.iter().filter(|transfer| transfer.error.is_none()).collect();
            match summary.kind {
                Kind::Tcp => {}
                Kind::Mptcp => self.about_mptcp(&went, summary.shares().len(), &mut remarks),
                Kind::Striped => self.about_striped(&went, &mut remarks),
            }
        }
        if self.links.len() == 1 && !self.kinds.iter().any(|summary| summary.shares().len() > 1) {
            remarks.push(format!(
                "this host has one link with a default route, {}: there is nothing that two could do better",
                self.links.join("")
            ));
        }
        let short =
            |transfer: &Transfer| transfer.error.is_none() && transfer.whole && transfer.seconds < SHORT;
        if self.kinds.iter().flat_map(|summary| &summary.transfers).any(short) {
            remarks.push(format!(
                "the body came in less than {SHORT:.0} s, before connections find their speed: a larger one tells more"
            ));
        }
        remarks
    }

    fn about_mptcp(&self, went: &[&Transfer], links: usize, remarks: &mut Vec<String>) {
        let fell_back: Vec<&&Transfer> = went.iter().filter(|transfer| transfer.why_tcp.is_some()).collect();
        if let Some(first) = fell_back.first() {
            let how_often = if fell_back.len() == went.len() {
                "MPTCP was not used".to_owned()
            } else {
                format!("MPTCP was not used in {} of {} transfers", fell_back.len(), went.len())
            };
            let remedy = first.remedy.map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            remarks.push(format!("{how_often}: {}{remedy}", first.why_tcp_text.unwrap_or_default()));
        } else if !went.is_empty() && links < 2 && self.links.len() > 1 {
            remarks.push(format!(
                "MPTCP used one path, though there are {} links ({}): the host has no endpoint for the others, or the server \
                 can't be reached over them",
                self.links.len(),
                self.links.join(", ")
            ));
        }
    }

    fn about_striped(&self, went: &[&Transfer], remarks: &mut Vec<String>) {
        let single = went.iter().filter(|transfer| transfer.strategy == Some("single")).count();
        if single == 0 || self.links.len() < 2 {
            return;
        }
        let what = if single == went.len() { "nothing was striped" } else { "not all was striped" };
        remarks.push(format!(
            "{what}: the server takes no ranges or names no version of the body, the body is small, or the other links don't \
             reach it"
        ));
    }

    /// The table of medians.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<8} {:>11}  {:>17}  {:>5}  {:>8}  {}\n",
            "", "median", "from, to (Mbit/s)", "x TCP", "connect", "over"
        );
        for summary in &self.kinds {
            let name = summary.kind.name();
            let (Some(median), Some(slowest), Some(fastest)) =
                (summary.median_mbit, summary.slowest_mbit, summary.fastest_mbit)
            else {
                text.push_str(&format!("{name:<8} {:>11}\n", "failed"));
                continue;
            };
            let ratio = summary.ratio_to_tcp.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let connects: Vec<f64> = summary.transfers.iter().filter_map(|t| t.connect_seconds).collect();
            let connect = self::median(&connects).map_or("-".to_owned(), |s| format!("{:.0} ms", s * 1e3));
            let shares: Vec<String> = summary
                .shares()
                .iter()
                .map(|(link, share)| format!("{link} {:.0}%", share * 100.0))
                .collect();
            let over = shares.join(", ");
            let spoken = if summary.transfers.iter().any(|t| t.why_tcp.is_some()) { " (TCP!)" } else { "" };
            text.push_str(&format!(
                "{name:<8} {:>11}  {:>17}  {ratio:>5}  {connect:>8}  {over}{spoken}\n",
                format!("{} Mbit/s", rate(median)),
                format!("{}, {}", rate(slowest), rate(fastest)),
            ));
        }
        text
    }

    /// The remarks, for people.
    pub fn remarks(&self) -> String {
        self.remarks.iter().map(|remark| format!("\n- {remark}")).collect::<String>()
            + if self.remarks.is_empty() { "" } else { "\n" }
    }

    /// A panel for the typical transfer of each kind.
    pub fn picture(&self) -> String {
        let typical: Vec<&Transfer> = self.kinds.iter().filter_map(Summary::typical).collect();
        let mut links: Vec<&str> = Vec::new();
        for link in typical.iter().flat_map(|transfer| transfer.links.keys()) {
            if !links.contains(&link.as_str()) {
                links.push(link);
            }
        }
        let panels: Vec<Panel<'_>> = typical
            .iter()
            .map(|transfer| {
                let why = transfer.why_tcp_text.map(|why| format!(", TCP: {why}")).unwrap_or_default();
                let rate = rate(transfer.megabits().unwrap_or(0.0));
                Panel {
                    title: format!("{}: {rate} Mbit/s{why}", transfer.kind.name()),
                    seconds: transfer.seconds,
                    looks: &transfer.looks,
                    event: None,
                }
            })
            .collect();
        picture::draw(&panels, &links)
    }
}

/// Mbit/s with as many digits as tell something.
pub fn rate(megabits: f64) -> String {
    match megabits {
        rate if rate < 10.0 => format!("{rate:.2}"),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
pub mod tests;
