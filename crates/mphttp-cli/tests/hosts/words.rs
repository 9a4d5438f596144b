//! Words that are no text: arguments, variables and names of files that are not UTF-8, and the locale C.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, process::Command};

use crate::{
    Odd, program, run,
    support::{Bench, mphttp},
};

pub const ODD: &[Odd] = &[Odd {
    name: "arguments, variables and file names that are not UTF-8; locale C",
    made: "the byte 0xff in each; `LC_ALL=C`",
    expected: "names of files and folders are taken as they are; a URL, a number or a protocol that is not UTF-8 is an error (exit code 2 or 3); \
               other people's variables don't matter",
    test: not_utf8,
}];

const NAME: &[u8] = b"na\xffme";

fn not_utf8() {
    let bench = Bench::two_links();
    let odd = OsStr::from_bytes(NAME);
    let folder = bench.path("www").join(odd);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(odd), "hello").unwrap();
    let mut command = program(&["serve", "--port", "8000"]);
    command.arg(bench.path("www")).env("LC_ALL", "C").env(odd, odd).env("HOME", odd);
    let _serving = crate::start(&bench.server, command);

    let url = bench.url("na%FFme/na%FFme");
    let output = bench.folder.path().join(odd);
    let mut get = program(&["get", &url, "-o"]);
    get.arg(&output).env("LC_ALL", "C").env(odd, odd).env("HOME", odd).env("TMPDIR", odd);
    let said = run(&bench.client, get);
    said.assert(0, "MPTCP");
    assert_eq!(fs::read(&output).unwrap(), b"hello");
    let listing = run(&bench.client, program(&["get", &bench.url("na%FFme/")]));
    listing.assert(0, "na%FFme");

    let with = |arguments: &[&OsStr], variables: &[(&str, &OsStr)]| {
        let mut command = Command::new(mphttp());
        command.args(arguments).env_remove("MPHTTP_PROTOCOL").env("no_proxy", "*");
        command.envs(variables.iter().copied());
        run(&bench.client, command)
    };
    let word = |word: &'static str| OsStr::new(word);
    with(&[word("get"), odd], &[]).assert(2, "error: ");
    with(&[word("get"), word("--max-time"), odd, OsStr::new(&url)], &[]).assert(2, "error: ");
    with(&[odd], &[]).assert(2, "error: ");
    let get = [word("get"), word("-o"), word("/dev/null"), OsStr::new(&url)];
    with(&get, &[("MPHTTP_PROTOCOL", odd)]).assert(2, "MPHTTP_PROTOCOL");
    with(&get, &[("MPHTTP_LOG", odd), ("http_proxy", odd)]).assert(0, "MPTCP");
    with(&[word("serve"), odd], &[]).assert(2, "error: ");
}
