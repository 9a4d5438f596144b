//! A strict reader of Prometheus' text format, version 0.0.4: what is only nearly right fails.

#![allow(dead_code, reason = "two tests share it, and neither uses all of it")]

use std::collections::{BTreeMap, BTreeSet};

/// The samples by name and labels, in the order `name{a="b",c="d"}` with the labels sorted and unescaped.
#[derive(Debug)]
pub struct Metrics(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Metrics {
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut samples = BTreeMap::new();
        let (mut families, mut current) = (BTreeSet::new(), None::<(String, String)>);
        let mut helped = None::<String>;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(helped.is_none() && !help.is_empty(), "{line}");
                unescape(help, false);
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(helped.take().as_deref(), Some(name), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(is_name(name, ":") && families.insert(name.to_owned()), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                current = Some((name.to_owned(), kind.to_owned()));
            } else {
                let (family, kind) = current.as_ref().expect(line);
                let (name, labels, value) = sample(line);
                let suffix = name.strip_prefix(family.as_str()).expect(line);
                let allowed: &[&str] =
                    if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(helped.is_none() && allowed.contains(&suffix), "{line}");
                assert!(kind == "gauge" || value >= 0.0, "{line}");
                assert!(samples.insert((name, labels), value).is_none(), "twice: {line}");
            }
        }
        let metrics = Self(samples);
        for family in &families {
            metrics.check_histogram(family);
        }
        metrics
    }

    /// Buckets are cumulative, and the last is all of them.
    fn check_histogram(&self, family: &str) {
        let bucket = format!("{family}_bucket");
        let mut buckets: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter(|((name, _), _)| *name == bucket)
            .map(|((_, labels), value)| (labels["le"].replace("+Inf", "inf").parse().unwrap(), *value))
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{family}: {buckets:?}");
        if let Some((bound, count)) = buckets.last() {
            assert_eq!((*bound, *count), (f64::INFINITY, self.get(&format!("{family}_count"), &[])));
            self.get(&format!("{family}_sum"), &[]);
        }
    }

    /// The value of a sample that must be there.
    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let key = (name.to_owned(), labels);
        *self.0.get(&key).unwrap_or_else(|| panic!("no {key:?} in {self:#?}"))
    }
}

fn is_name(name: &str, more: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    name.chars().all(good) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let mut labels = BTreeMap::new();
    let (name, value) = match line.split_once('{') {
        None => line.split_once(' ').expect(line),
        Some((name, mut rest)) => loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label, ""), "{line}");
            let end = end_of_string(after).expect(line);
            assert!(labels.insert(label.to_owned(), unescape(&after[..end], true)).is_none(), "{line}");
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break (name, rest.strip_prefix("} ").expect(line)),
            }
        },
    };
    assert!(is_name(name, ":"), "{line}");
    (name.to_owned(), labels, value.parse().expect(line))
}

fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

fn unescape(text: &str, quotes: bool) -> String {
    let (mut plain, mut characters) = (String::new(), text.chars());
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                other => panic!("no escape: {other:?} in {text:?}"),
            },
            other => other,
        });
    }
    plain
}
