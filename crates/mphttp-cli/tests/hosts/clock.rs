//! Hosts whose clock is wrong: one without a battery starts in 1970.

use std::{fs, path::PathBuf, process::Command, time::SystemTime};

use crate::{
    Odd, program, run,
    support::{Bench, MEGABYTE},
};

pub const ODD: &[Odd] = &[Odd {
    name: "a clock at 1970",
    made: "`clock_gettime(CLOCK_REALTIME)` preloaded with one that began to run at 0; files that were changed in 1970 and in 1960",
    expected: "HTTP works both ways, with the dates that the clock and the files have; over HTTPS certificates are not valid yet, \
               which is what the error says (exit code 60)",
    test: at_1970,
}];

/// The monotonic clock, which begins at boot, in place of the real one.
const SHIM: &str = r"
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int realtime = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    return syscall(SYS_clock_gettime, realtime ? CLOCK_MONOTONIC : clock, time);
}
";

fn shim(bench: &Bench) -> PathBuf {
    let (source, library) = (bench.path("clock.c"), bench.path("clock.so"));
    fs::write(&source, SHIM).unwrap();
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    library
}

/// A certificate for the server's address, valid from 2020 on, and its key.
fn certificate(bench: &Bench) -> (String, String) {
    let mut parameters = rcgen::CertificateParams::new(vec!["10.1.0.2".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    let [certificate, private] = ["certificate.pem", "key.pem"].map(|name| bench.path(name));
    fs::write(&certificate, made.pem()).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    (certificate.display().to_string(), private.display().to_string())
}

fn at_1970() {
    let bench = Bench::two_links();
    bench.file("small", MEGABYTE / 10);
    bench.file("old", 1000);
    let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(10 * 365 * 86_400);
    for (name, time) in [("small", SystemTime::UNIX_EPOCH), ("old", before)] {
        fs::File::options()
            .append(true)
            .open(bench.path("www").join(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    let library = shim(&bench);
    let in_1970 = |arguments: &[&str]| {
        let mut command = program(arguments);
        command.env("LD_PRELOAD", &library);
        command
    };
    // The server's clock is right; the client's isn't.
    let (certificate, key) = certificate(&bench);
    let serving = bench.serve(&["--tls-cert", &certificate, "--tls-key", &key]);
    let url = format!("https://{}:8000/small", bench.links[0].address(&bench.server).unwrap());
    let get = ["get", "--cacert", &certificate, "-o", "/dev/null", &url];
    run(&bench.client, program(&get)).assert(0, "MPTCP");
    let early = run(&bench.client, in_1970(&get));
    early.assert(60, "not valid yet");
    assert!(early.stderr.contains("clock"), "{early:?}");
    drop(serving);

    // Both are wrong.
    let mut command = in_1970(&["serve", "--port", "8001"]);
    command.arg(bench.path("www"));
    let _serving = crate::start(&bench.server, command);
    for (name, modified) in [("small", "Thu, 01 Jan 1970 00:00:00 GMT"), ("old", "")] {
        let url = format!("http://{}:8001/{name}", bench.links[0].address(&bench.server).unwrap());
        let got = run(&bench.client, in_1970(&["get", "-i", &url]));
        got.assert(0, "MPTCP");
        let head = got.stdout.to_ascii_lowercase();
        let field =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").to_owned();
        assert!(field("date: ").contains(" jan 1970 "), "the clock is not at 1970: {got:?}");
        assert_eq!(field("last-modified: "), modified.to_ascii_lowercase());
    }
    run(&bench.client, in_1970(&["doctor"])).assert(0, "nothing is wrong");
    run(&bench.client, in_1970(&["top", "--once", "--interval", "0"])).assert(0, "");
}
