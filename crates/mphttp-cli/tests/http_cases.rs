//! The HTTP cases of the crate `http-cases`, a test each and where it runs: against a `Server`, through a reverse proxy, and through a
//! forward proxy. `cargo xtask cases` lists them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "http_cases/answers.rs"]
mod answers;
#[path = "http_cases/files.rs"]
mod files;
#[path = "http_cases/places.rs"]
mod places;
#[path = "http_cases/requests.rs"]
mod requests;
#[allow(dead_code, reason = "of a running program, only its address is of interest here")]
#[path = "support/running.rs"]
mod running;
#[path = "http_cases/wire.rs"]
mod wire;

use std::{
    process::ExitCode,
    sync::{Arc, LazyLock, Mutex},
};

use libtest_mimic::{Arguments, Trial};
use places::Proxied;
use requests::Pieces;

/// Started by the first case that needs it.
type Place = Arc<LazyLock<Mutex<Proxied>>>;

fn main() -> ExitCode {
    let folder = places::site();
    let path = folder.path().to_owned();
    let server = Arc::new(LazyLock::new(move || places::serve(&path)));
    let reverse: Place = Arc::new(LazyLock::new(|| Mutex::new(Proxied::reverse())));
    let forward: Place = Arc::new(LazyLock::new(|| Mutex::new(Proxied::forward())));
    let mut trials = Vec::new();
    for case in http_cases::request::cases() {
        for (pieces, note) in [(Pieces::Large, ""), (Pieces::Bytes, ", byte by byte")] {
            if !requests::goes_in(case, pieces) {
                continue;
            }
            let server = Arc::clone(&server);
            let title = format!("server{note}");
            trials.push(trial(&title, case.name, move || requests::direct(case, **server, pieces)));
            let place = Arc::clone(&reverse);
            let title = format!("proxy{note}");
            let run = move || requests::proxied(case, &case.proxy, &place, pieces);
            trials.push(trial(&title, case.name, run));
        }
        if let Some(expect) = &case.forward {
            let place = Arc::clone(&forward);
            trials.push(trial("forward", case.name, move || {
                requests::proxied(case, expect, &place, Pieces::Large)
            }));
        }
    }
    for case in http_cases::answer::cases() {
        let place = Arc::clone(&reverse);
        trials.push(trial("answer, proxy", case.name, move || answers::proxied(case, case.client, &place)));
        let (place, expected) = (Arc::clone(&forward), case.forward.unwrap_or(case.client));
        trials.push(trial("answer, forward", case.name, move || answers::proxied(case, expected, &place)));
    }
    let before = {
        let server = Arc::clone(&server);
        Arc::new(LazyLock::new(move || Mutex::new(places::proxy(&["--to", &format!("http://{}", **server)]))))
    };
    for case in http_cases::file::cases() {
        let server = Arc::clone(&server);
        trials.push(trial("file, server", case.name, move || files::ask(case, **server)));
        let before = Arc::clone(&before);
        trials
            .push(trial("file, proxy", case.name, move || files::ask(case, places::lock(&before).address())));
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    // The programs end with them.
    drop((reverse, forward, before));
    conclusion.exit_code()
}

fn trial(place: &str, name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(format!("{place}: {name}"), move || {
        run();
        Ok(())
    })
}
