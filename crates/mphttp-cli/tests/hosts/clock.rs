//! Hosts whose clock is wrong: one without a battery starts in 1970.

use std::{fs, path::PathBuf, process::Command, time::SystemTime};

use crate::{
    Odd, Said, program, run,
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
    let get = |url: &str, more: &[&str]| -> Said {
        run(&bench.client, in_1970(&[&["get", "-i", "-o", "/dev/null", url], more].concat()))
    };

    // The server's clock is right; the client's isn't.
    let serving = bench.serve(&["--self-signed"]);
    let url = format!("https://{}:8000/small", bench.links[0].address(&bench.server).unwrap());
    let certificate = bench.path("certificate.pem");
    let _ = certificate;
    let said = get(&url, &["-k"]);
    said.assert(0, "");
    drop(serving);

    // Both are wrong.
    let mut command = in_1970(&["serve", "--port", "8001"]);
    command.arg(bench.path("www"));
    let _serving = crate::start(&bench.server, command);
    for name in ["small", "old"] {
        let url = format!("http://{}:8001/{name}", bench.links[0].address(&bench.server).unwrap());
        get(&url, &[]).assert(0, "MPTCP");
    }
    run(&bench.client, in_1970(&["doctor"])).assert(0, "nothing is wrong");
    run(&bench.client, in_1970(&["top", "--once", "--interval", "0"])).assert(0, "");
}
