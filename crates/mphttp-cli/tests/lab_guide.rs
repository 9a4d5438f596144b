//! The guide does what it says: every block of code of every page is run, or stands in a program that another test runs, or says
//! beside it why it is not run. Commands run on two hosts with two links, over real kernel MPTCP, as a reader would type them; the
//! names in them (`server`, `example.com` …) are in a `/etc/hosts` of this process alone. Links and the table of contents are checked
//! as well, and what is covered is printed.
//!
//! `guide/note.rs` says how a block says what it is. Blocks of Python run where `MPHTTP_GUIDE_PYTHON` names an interpreter with the
//! package, as `cargo xtask test --only python` does; then those run alone.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "guide/hosts.rs"]
mod hosts;
#[path = "guide/links.rs"]
mod links;
#[path = "guide/note.rs"]
mod note;
#[path = "guide/options.rs"]
mod options;
#[path = "guide/page.rs"]
mod page;
#[path = "guide/run.rs"]
mod run;
#[path = "guide/session.rs"]
mod session;

use std::{panic::catch_unwind, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use note::Note;
use page::Page;

/// Blocks mostly wait for links and for programs to start.
const AT_ONCE: usize = 3;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    let python = std::env::var_os("MPHTTP_GUIDE_PYTHON");
    let ground = Arc::new(hosts::Ground::new(python.clone().map(Into::into)));
    let mut trials = Vec::new();
    let mut trial = |name: String, test: Box<dyn FnOnce() + Send>| {
        trials.push(Trial::test(name, move || {
            catch_unwind(std::panic::AssertUnwindSafe(test)).map_err(|_| Failed::from("see above"))
        }));
    };
    let pages = match Page::all() {
        Ok(pages) => pages,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::FAILURE;
        }
    };
    if python.is_none() {
        let all = pages.clone();
        trial("every block is run, or says why not".into(), Box::new(move || page::report(&all)));
        let all = pages.clone();
        trial("what is said to be elsewhere is there".into(), Box::new(move || page::elsewhere(&all)));
        let all = pages.clone();
        trial("links lead somewhere".into(), Box::new(move || links::lead_somewhere(&all)));
        let all = pages.clone();
        trial("options that pages name exist".into(), Box::new(move || options::exist(&all)));
        let all = pages.clone();
        trial("the table of contents has every page".into(), Box::new(move || links::summary(&all)));
        let all = pages.clone();
        trial(
            "a page begins with what it is for, and ends with where to go".into(),
            Box::new(move || links::shape(&all)),
        );
    }
    for page in pages {
        for (index, block) in page.blocks.iter().enumerate() {
            let Note::Run(how) = &block.note else { continue };
            if how.python != python.is_some() {
                continue;
            }
            let (page, ground) = (page.clone(), ground.clone());
            let name = format!("{}:{}", page.name, block.line);
            trial(name, Box::new(move || run::block(&ground, &page, index)));
        }
    }
    arguments.test_threads.get_or_insert(AT_ONCE);
    libtest_mimic::run(&arguments, trials).exit_code()
}
