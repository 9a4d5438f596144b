//! What the fetches in one situation come to: rates, ratios, gaps, and whether what is wanted of mphttp is met.

use serde::Serialize;

use super::clients::Client;
use super::fetch::{End, Fetch};
use super::rows::{Situation, Wanted};
use crate::measure::quantile;

/// mphttp may be slower than plain TCP by no more than this, whatever the situation.
const NEVER_BELOW: f64 = 0.98;

/// One situation.
#[derive(Serialize)]
pub struct Row {
    pub number: u8,
    pub situation: &'static str,
    pub megabytes: u64,
    #[serde(skip)]
    pub wanted: Wanted,
    pub columns: Vec<Column>,
}

/// One client in it.
#[derive(Serialize)]
pub struct Column {
    #[serde(rename = "client", serialize_with = "name")]
    pub client: Client,
    /// One a round.
    pub fetches: Vec<Fetch>,
}

fn name<S: serde::Serializer>(client: &Client, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(client.name())
}

fn median(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| quantile(samples, 0.5))
}

impl Row {
    /// A row without fetches.
    pub fn new(number: u8, situation: &Situation, megabytes: u64, clients: &[Client]) -> Self {
        let columns = clients.iter().map(|&client| Column { client, fetches: Vec::new() }).collect();
        Self { number, situation: situation.text, megabytes, wanted: situation.wanted, columns }
    }

    fn column(&self, client: Client) -> Option<&Column> {
        self.columns.iter().find(|column| column.client == client)
    }

    /// The median rate in Mbit/s of the fetches that brought the file.
    pub fn rate(&self, column: &Column) -> Option<f64> {
        let rates: Vec<_> = column.whole().map(|fetch| self.megabytes as f64 * 8.0 / fetch.seconds).collect();
        median(&rates)
    }

    /// The median over the rounds of how many times as fast as plain TCP it was; nothing for plain TCP itself, and where
    /// there is no round in which both brought the file.
    pub fn ratio(&self, column: &Column) -> Option<f64> {
        let tcp = self.column(Client::Tcp).filter(|_| column.client != Client::Tcp)?;
        let rounds = column.fetches.iter().zip(&tcp.fetches);
        let both = rounds.filter(|(fetch, tcp)| fetch.end == End::Whole && tcp.end == End::Whole);
        let ratios: Vec<_> = both.map(|(fetch, tcp)| tcp.seconds / fetch.seconds).collect();
        median(&ratios)
    }

    /// Whether mphttp does what is wanted of it; nothing if that wasn't measured.
    pub fn met(&self) -> Option<bool> {
        let ours = self.column(Client::Mphttp).filter(|ours| !ours.fetches.is_empty())?;
        if !ours.all_whole() {
            return Some(false);
        }
        let ratio = self.ratio(ours);
        match self.wanted {
            Wanted::Ratio(wanted) => ratio.map(|ratio| ratio >= wanted.max(NEVER_BELOW)),
            Wanted::Whole(gap) => {
                let in_time = gap.is_none_or(|gap| ours.worst_gap() <= gap);
                Some(in_time && ratio.is_none_or(|ratio| ratio >= NEVER_BELOW))
            }
            Wanted::FirstBytes(limit) => Some(ours.first_bytes().is_some_and(|first| first <= limit)),
        }
    }
}

impl Column {
    fn whole(&self) -> impl Iterator<Item = &Fetch> {
        self.fetches.iter().filter(|fetch| fetch.end == End::Whole)
    }

    /// Whether every round brought the file.
    pub fn all_whole(&self) -> bool {
        self.whole().count() == self.fetches.len()
    }

    /// The worst way in which a round ended, and how many rounds ended so.
    pub fn worst_end(&self) -> (End, usize) {
        let count = |end| self.fetches.iter().filter(|fetch| fetch.end == end).count();
        let ends = [End::Wrong, End::Hung, End::Failed].map(|end| (end, count(end)));
        ends.into_iter().find(|(_, count)| *count > 0).unwrap_or((End::Whole, self.fetches.len()))
    }

    /// The median time to the end of the rounds that ended so.
    pub fn seconds(&self, end: End) -> Option<f64> {
        let ended = self.fetches.iter().filter(|fetch| fetch.end == end);
        median(&ended.map(|fetch| fetch.seconds).collect::<Vec<_>>())
    }

    /// The longest time without bytes, of all rounds.
    pub fn worst_gap(&self) -> f64 {
        self.fetches.iter().map(|fetch| fetch.longest_gap_seconds).fold(0.0, f64::max)
    }

    /// The median time to the first bytes; nothing if there was a round without any.
    pub fn first_bytes(&self) -> Option<f64> {
        let firsts: Option<Vec<_>> = self.fetches.iter().map(|fetch| fetch.first_bytes_seconds).collect();
        median(&firsts?)
    }

    /// The median time that connecting took by the client's own account.
    pub fn connect(&self) -> Option<f64> {
        let told: Option<Vec<_>> = self.fetches.iter().map(|fetch| fetch.told.connect_seconds).collect();
        median(&told?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fetch::Told;
    use super::super::rows::ALL;
    use super::*;

    fn fetched(end: End, seconds: f64, gap: f64) -> Fetch {
        Fetch {
            end,
            seconds,
            first_bytes_seconds: Some(0.2),
            longest_gap_seconds: gap,
            link_bytes: vec![0, 0],
            told: Told::default(),
            complaint: None,
        }
    }

    fn row(number: usize, tcp: Vec<Fetch>, ours: Vec<Fetch>) -> Row {
        let mut row = Row::new(1, &ALL[number - 1], 100, &[Client::Tcp, Client::Mphttp]);
        row.columns[0].fetches = tcp;
        row.columns[1].fetches = ours;
        row
    }

    #[test]
    fn a_ratio_compares_within_a_round_and_only_whole_files() {
        let tcp =
            vec![fetched(End::Whole, 8.0, 0.0), fetched(End::Whole, 16.0, 0.0), fetched(End::Hung, 1.0, 0.0)];
        let ours =
            vec![fetched(End::Whole, 4.0, 0.0), fetched(End::Whole, 8.0, 0.0), fetched(End::Whole, 4.0, 0.0)];
        let row = row(1, tcp, ours);
        assert_eq!(row.ratio(&row.columns[1]), Some(2.0));
        assert_eq!(row.ratio(&row.columns[0]), None);
        assert_eq!(row.rate(&row.columns[1]), Some(200.0));
        assert_eq!(row.met(), Some(true));
    }

    #[test]
    fn a_file_that_is_not_whole_meets_nothing() {
        for end in [End::Wrong, End::Failed, End::Hung] {
            let row = row(1, vec![fetched(End::Whole, 8.0, 0.0)], vec![fetched(end, 4.0, 0.0)]);
            assert_eq!(row.met(), Some(false));
            assert_eq!(row.columns[1].worst_end(), (end, 1));
        }
    }

    #[test]
    fn a_death_wants_a_short_gap_in_every_round_and_no_ratio_where_plain_tcp_dies() {
        let dead = || vec![fetched(End::Hung, 60.0, 55.0), fetched(End::Hung, 60.0, 55.0)];
        let ours = |gap| vec![fetched(End::Whole, 6.0, 0.1), fetched(End::Whole, 6.0, gap)];
        assert_eq!(row(11, dead(), ours(0.4)).met(), Some(true));
        assert_eq!(row(11, dead(), ours(0.6)).met(), Some(false));
        assert_eq!(row(12, dead(), ours(10.0)).met(), Some(true));
    }

    #[test]
    fn without_plain_tcp_a_ratio_is_unknown() {
        assert_eq!(row(1, Vec::new(), vec![fetched(End::Whole, 4.0, 0.0)]).met(), None);
        assert_eq!(row(13, Vec::new(), vec![fetched(End::Whole, 4.0, 0.0)]).met(), Some(true));
    }
}
