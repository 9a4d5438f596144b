//! Hosts without file systems that most have, and programs without an environment.

use std::{fs, path::Path, process::Command};

use nix::{
    mount::{MsFlags, mount},
    sys::statvfs::{FsFlags, statvfs},
};

use crate::{
    Odd, hide, hold, program, run,
    support::{Bench, MEGABYTE, mphttp},
    with_mounts,
};

pub const ODD: &[Odd] = &[
    Odd {
        name: "no /proc",
        made: "an empty file system mounted over it",
        expected: "`get`, `serve` and `top` as ever, `top` without processes; `doctor` and `paths` say that sysctls and counters \
                   can't be read",
        test: no_proc,
    },
    Odd {
        name: "no /sys",
        made: "an empty file system mounted over it",
        expected: "nothing is missed",
        test: no_sys,
    },
    Odd {
        name: "a root that can only be read",
        made: "the root mounted read-only, and what is mounted for temporary files",
        expected: "`serve`, `doctor`, `paths` and `get` to stdout as ever; `get -o` says that it can't write, with exit code 23",
        test: read_only,
    },
    Odd {
        name: "no environment",
        made: "a program that is given no variable at all: no HOME, no TMPDIR, no PATH, no TERM",
        expected: "nothing is missed",
        test: no_environment,
    },
];

/// What works wherever there is a network: a download, as it should be, from a server there, and looks at the host.
fn all_verbs(change: impl Fn() + Sync) -> Bench {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE / 10);
    with_mounts(&change, || {
        let _serving = bench.serve(&[]);
        let got = bench.get("small", &[]).json();
        assert_eq!((got["protocol"].as_str(), bench.got()), (Some("mptcp"), digest), "{got}");
        let _held = hold(&bench);
        let json = run(&bench.client, program(&["top", "--once", "--json", "--interval", "0"])).json();
        let [connection] = json["connections"].as_array().unwrap().as_slice() else { panic!("{json}") };
        // Processes have nothing but /proc to be found by.
        let has_proc = Path::new("/proc/self").exists();
        assert_eq!(connection["processes"].as_array().unwrap().is_empty(), !has_proc, "{json}");
        run(&bench.client, program(&["paths"])).assert(0, "wifi");
    });
    bench
}

fn no_proc() {
    let bench = all_verbs(|| hide("/proc"));
    with_mounts(
        || hide("/proc"),
        || {
            let paths = run(&bench.client, program(&["paths"]));
            paths.assert(0, "/proc/sys/net/mptcp can't be read");
            let doctor = run(&bench.client, program(&["doctor", "--json"]));
            doctor.assert(0, "mount /proc");
        },
    );
}

fn no_sys() {
    let bench = all_verbs(|| hide("/sys"));
    with_mounts(|| hide("/sys"), || run(&bench.client, program(&["doctor"])).assert(0, "nothing is wrong"));
}

/// What a mount is changed with. Whoever is root of a user namespace alone may not take away what else it forbids.
fn read_only_flags(place: &Path) -> MsFlags {
    let now = statvfs(place).unwrap().flags();
    let kept = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
    ];
    let change = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    kept.iter().filter(|(flag, _)| now.contains(*flag)).fold(change, |flags, (_, flag)| flags | *flag)
}

fn read_only() {
    let bench = Bench::two_links();
    bench.file("small", MEGABYTE / 10);
    let folder = bench.folder.path().to_owned();
    let change = || {
        // What temporary files are on is not always a file system of its own.
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(&folder), &folder, None::<&str>, bind, None::<&str>).unwrap();
        for place in [folder.as_path(), "/".as_ref()] {
            mount(None::<&str>, place, None::<&str>, read_only_flags(place), None::<&str>).unwrap();
        }
        assert!(fs::write(folder.join("probe"), "").is_err());
    };
    with_mounts(change, || {
        let serving = bench.serve(&[]);
        let url = bench.url("small");
        let got = run(&bench.client, program(&["get", &url]));
        assert_eq!(got.code, Some(0));
        let path = folder.join("got");
        let mut to_file = program(&["get", "-o"]);
        to_file.arg(&path).arg(&url);
        let said = run(&bench.client, to_file);
        said.assert(23, "error: ");
        assert!(said.stderr.contains("got"), "{said:?}");
        run(&bench.client, program(&["doctor"])).assert(0, "nothing is wrong");
        run(&bench.client, program(&["paths"])).assert(0, "wifi");
        // A file that could not be written was not asked for.
        assert_eq!(serving.stop().len(), 1);
    });
}

fn no_environment() {
    let bench = Bench::two_links();
    bench.file("small", MEGABYTE / 10);
    let _serving = bench.serve(&[]);
    let url = bench.url("small");
    let output = bench.path("got").display().to_string();
    for (arguments, says) in [
        (vec!["get", "-o", &output, &url], "MPTCP"),
        (vec!["doctor"], "nothing is wrong"),
        (vec!["paths"], "wifi"),
        (vec!["top", "--once", "--interval", "0"], ""),
        (vec!["serve", "/does/not/exist"], "/does/not/exist"),
    ] {
        let mut command = Command::new(mphttp());
        command.args(&arguments).env_clear().current_dir("/");
        let said = run(&bench.client, command);
        said.assert(if arguments[0] == "serve" { 2 } else { 0 }, says);
    }
}
