//! What became of every transfer, and which errors have a cause.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use mphttp::Error;

use super::trouble::{Kind, Troubles};

/// What can explain an error: how it begins, what it is, and which troubles make it. One of those must have come.
const CAUSES: &[(&str, &str, &[Kind])] = &[
    ("timeout: ", "links were dead, or a server was down, for too long", DEAD),
    ("connect: ", "no way, no server, or a box that answers for it", DEAD),
    ("broken: ", "a server was killed, a path was reset, or its address went", DEAD),
    ("incomplete: ", "a server was killed, or the path was dead for too long", DEAD),
    ("no answer: ", "a server was killed, or closed an idle connection just then", DEAD),
    ("gave up: ", "nothing came, whatever was tried", DEAD),
    ("fell back", "a box took MPTCP's options away in the middle of data", &[Kind::Strip, Kind::StripLate]),
    ("write: StorageFull", "the disk for downloads was full", &[Kind::DownloadsFull]),
    ("status 507", "the disk for uploads was full", &[Kind::UploadsFull]),
    ("status 502", "the proxy's server was down", &[Kind::Kill, Kind::Replace]),
    ("status 503", "the proxy's server was down", &[Kind::Kill, Kind::Replace]),
    ("status 504", "the proxy's server was down", &[Kind::Kill, Kind::Replace]),
    ("status 404", "an upload was forgotten with the disk that held it", &[Kind::UploadsFull]),
    ("upload stuck: ", "nothing got through, or the disk was full", DEAD),
    ("raw: ", "a crowd at a server without descriptors, or a dead link", DEAD),
];

const DEAD: &[Kind] = &Kind::ALL;

/// Transfers of one kind.
#[derive(Clone, Copy, Default)]
struct Count {
    whole: u64,
    failed: u64,
    bytes: u64,
}

#[derive(Default)]
struct Inner {
    counts: BTreeMap<&'static str, Count>,
    /// How often, and an example.
    errors: BTreeMap<String, (u64, String)>,
    /// What must not be: other bytes than those that were served, or an error in calm weather.
    wrong: Vec<String>,
    protocols: BTreeMap<&'static str, u64>,
    /// Bodies in which bytes came twice.
    twice: Vec<String>,
}

/// How many bodies may have bytes twice in a run: a fault that is known and not mended (docs/soak.md). One trouble may hit a few
/// connections at once.
const TWICE: usize = 3;

#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
    storm: AtomicBool,
}

/// What a transfer failed of.
#[derive(Debug)]
pub enum Failure {
    Error(Error),
    Raw(io::Error),
    /// Other bytes than those that were served.
    Wrong(String),
    /// Bytes that had come before, once more.
    Twice(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Raw(error)
    }
}

impl Ledger {
    /// Whether troubles come, and errors may.
    pub fn storm(&self, comes: bool) {
        self.storm.store(comes, Ordering::SeqCst);
    }

    pub fn is_storm(&self) -> bool {
        self.storm.load(Ordering::SeqCst)
    }

    pub fn spoke(&self, protocol: &'static str) {
        *self.inner.lock().unwrap().protocols.entry(protocol).or_default() += 1;
    }

    /// Notes how a transfer ended, which began in a storm or not.
    pub fn note(&self, what: &'static str, stormy: bool, outcome: Result<u64, Failure>) {
        let mut inner = self.inner.lock().unwrap();
        let count = inner.counts.entry(what).or_default();
        match outcome {
            Ok(bytes) => {
                count.whole += 1;
                count.bytes += bytes;
            }
            Err(failure) => {
                count.failed += 1;
                let (kind, text) = match &failure {
                    Failure::Error(error) => (kind(error), error.to_string()),
                    Failure::Raw(error) => (format!("raw: {:?}", error.kind()), error.to_string()),
                    Failure::Wrong(text) => {
                        inner.wrong.push(format!("{what}: {text}"));
                        return;
                    }
                    Failure::Twice(text) => {
                        inner.twice.push(format!("{what}: {text}"));
                        return;
                    }
                };
                if !stormy {
                    inner.wrong.push(format!("{what} in calm weather: {kind}: {text}"));
                }
                inner.errors.entry(kind).or_insert_with(|| (0, format!("{what}: {text}"))).0 += 1;
            }
        }
    }

    /// What is wrong with all that was noted.
    pub fn wrong(&self, troubles: &Troubles) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        let mut wrong = inner.wrong.clone();
        // Only a box that strips makes the kernel do that.
        let stripped = troubles.came(Kind::Strip) + troubles.came(Kind::StripLate) > 0;
        if inner.twice.len() > TWICE || !stripped {
            wrong.extend(inner.twice.iter().cloned());
        }
        for (kind, (count, example)) in &inner.errors {
            let cause = CAUSES.iter().find(|(begin, _, _)| kind.starts_with(begin));
            if cause.is_none_or(|(_, _, troubled)| !troubled.iter().any(|kind| troubles.came(*kind) > 0)) {
                wrong.push(format!("no cause of {count} x {kind}: {example}"));
            }
        }
        for (what, count) in &inner.counts {
            // Trouble is no excuse for nothing ever coming through.
            if count.whole * 2 < count.failed {
                wrong.push(format!("{what}: {} whole, {} failed", count.whole, count.failed));
            }
        }
        wrong
    }

    pub fn table(&self) -> String {
        let inner = self.inner.lock().unwrap();
        let mut text = format!("{:<28} {:>8} {:>8} {:>10}\n", "transfers", "whole", "failed", "MB checked");
        for (what, count) in &inner.counts {
            let megabytes = count.bytes as f64 / 1e6;
            text += &format!("{what:<28} {:>8} {:>8} {megabytes:>10.1}\n", count.whole, count.failed);
        }
        let protocols: Vec<_> =
            inner.protocols.iter().map(|(word, count)| format!("{count} {word}")).collect();
        text += &format!("answers over: {}\n\nerrors, and what made them\n", protocols.join(", "));
        for (kind, (count, example)) in &inner.errors {
            let cause = CAUSES
                .iter()
                .find(|(begin, _, _)| kind.starts_with(begin))
                .map_or("NO CAUSE", |cause| cause.1);
            let example: String = example.chars().take(160).collect();
            text += &format!("{count:>6} x {kind}: {cause}\n           {example}\n");
        }
        for twice in &inner.twice {
            text += &format!("BYTES TWICE, which is known and not mended (docs/soak.md): {twice}\n");
        }
        text
    }
}

/// An error's kind, with what the system said if it did.
fn kind(error: &Error) -> String {
    match error {
        Error::Timeout { phase, .. } => format!("timeout: {}", phase.as_str()),
        Error::Connect { source, .. } => {
            let kinds = source.attempts().iter().map(|attempt| format!("{:?}", attempt.source.kind()));
            let kinds: std::collections::BTreeSet<_> = kinds.collect();
            format!("connect: {}", kinds.into_iter().collect::<Vec<_>>().join(", "))
        }
        Error::GaveUp { source, .. } => format!("gave up: {}", kind(source)),
        Error::UploadStuck { source, .. } => format!("upload stuck: {}", kind(source)),
        Error::UploadRefused { status, .. } | Error::Status { status, .. } | Error::Busy { status, .. } => {
            format!("status {}", status.as_u16())
        }
        Error::FellBack { .. } => "fell back".to_owned(),
        Error::Broken { .. } => format!("broken: {}", said(error)),
        Error::Incomplete { .. } => format!("incomplete: {}", said(error)),
        Error::NoAnswer { .. } => format!("no answer: {}", said(error)),
        Error::Write { source, .. } => format!("write: {:?}", source.kind()),
        other => format!("other: {other:?}"),
    }
}

/// What the system said, or else the library.
fn said(error: &dyn StdError) -> String {
    let (mut next, mut last) = (error.source(), String::new());
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return format!("{:?}", error.kind());
        }
        last = error.to_string();
        next = error.source();
    }
    last
}
