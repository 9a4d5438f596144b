//! HTTP/2 as raw frames: the tables of the crate `http-cases`, a test for each case.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "http2/attacks.rs"]
mod attacks;
#[path = "http2/behind.rs"]
mod behind;
#[path = "http_cases/wire.rs"]
#[allow(dead_code, reason = "of it only the reader of requests is wanted here")]
mod message;
#[path = "http2/places.rs"]
mod places;
#[path = "support/running.rs"]
#[allow(dead_code, reason = "not everything is wanted here")]
mod running;
#[path = "http2/wire.rs"]
mod wire;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use http_cases::http2;
use libtest_mimic::{Arguments, Failed, Trial};

use behind::Proxied;
use places::Servers;
use wire::Wire;

/// Most cases wait for an answer, and some for a limit.
const AT_ONCE: usize = 12;

/// What cases share, made when the first one asks for it.
#[derive(Default)]
struct Shared {
    servers: OnceLock<Servers>,
    http1: Mutex<Option<Proxied>>,
    http2: Mutex<Option<Proxied>>,
    /// Attacks keep a processor busy: no more at a time than this.
    attacks: [Mutex<()>; 3],
}

impl Shared {
    fn servers(&self) -> &Servers {
        self.servers.get_or_init(Servers::start)
    }
}

fn trial(
    shared: &Arc<Shared>,
    group: &str,
    name: &str,
    run: impl FnOnce(&Shared) -> Result<(), String> + Send + 'static,
) -> Trial {
    let shared = Arc::clone(shared);
    Trial::test(format!("{group}: {name}"), move || run(&shared).map_err(Failed::from))
}

fn through(
    place: &Mutex<Option<Proxied>>,
    make: fn() -> Proxied,
    case: &'static http2::Smuggled,
) -> Result<(), String> {
    // A case that failed is no reason for the next one to.
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    place.get_or_insert_with(make).run(case)
}

fn main() -> ExitCode {
    let shared = Arc::new(Shared::default());
    let mut trials = Vec::new();
    for case in http2::impatient() {
        trials.push(trial(&shared, "slowly", case.name, move |shared| {
            Wire::plain(shared.servers().impatient).play(case)
        }));
    }
    for case in http2::cases() {
        trials.push(trial(&shared, "server", case.name, move |shared| {
            let address = shared.servers().calm;
            Wire::plain(address).play(case)?;
            Wire::others(address)
        }));
    }
    for (case, alpn) in http2::over_tls() {
        trials.push(trial(&shared, "TLS", case.name, move |shared| {
            Wire::tls(shared.servers().tls, alpn, places::trusting()).play(case)
        }));
    }
    for case in http2::smuggled() {
        trials.push(trial(&shared, "to HTTP/1.1", case.case.name, move |shared| {
            through(&shared.http1, Proxied::http1, case)
        }));
        trials.push(trial(&shared, "to HTTP/2", case.case.name, move |shared| {
            through(&shared.http2, Proxied::http2, case)
        }));
    }
    for (number, attack) in http2::attacks().enumerate() {
        trials.push(trial(&shared, "attack", attack.case.name, move |shared| {
            let seat = &shared.attacks[number % shared.attacks.len()];
            let _seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
            attacks::run(attack)
        }));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Ends the programs that cases shared.
    drop(shared);
    conclusion.exit_code()
}
