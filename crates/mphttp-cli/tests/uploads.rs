//! Uploads as people and scripts make them: `mphttp serve --upload`, `mphttp get -T` and curl, on loopback, with all that
//! can break in between.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing, helpers included"
)]

#[path = "uploads/breaks.rs"]
mod breaks;
#[path = "uploads/by_hand.rs"]
mod by_hand;
#[path = "uploads/form.rs"]
mod form;
#[path = "uploads/support.rs"]
mod support;

use std::{
    fs,
    io::Write,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{Between, Fate, Site, curl, digest, ended, failed, program, upload, went_well};

#[test]
fn a_file_goes_by_tus_and_says_over_what() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    assert!(serving.banner.iter().any(|line| line.starts_with("Uploads are on: ")), "{:?}", serving.banner);
    let file = site.file("a file.bin", 3_000_000);
    let done = ended(upload(&file, &serving.url("/in/"), &[]));
    went_well(&done);
    assert!(done.stdout.is_empty() && done.stderr.starts_with("3.0 MB in "), "{done:?}");
    assert!(done.stderr.contains(" over MPTCP, 1 path: lo 100%"), "{done:?}");
    assert_eq!(digest(&site.served("in/a file.bin")), digest(&file));
    assert!(!file.with_file_name("a file.bin.mphttp-upload.json").exists());
    // Under another name, with an object for programs; an empty one; and one in checked pieces.
    let done = ended(upload(&file, &serving.url("/in/other"), &["--json", "--upload-chunk", "1M"]));
    went_well(&done);
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&json["bytes"], &json["protocol"]), (&3_000_000.into(), &"mptcp".into()));
    assert_eq!(digest(&site.served("in/other")), digest(&file));
    went_well(&ended(upload(&site.file("empty", 0), &serving.url("/"), &[])));
    assert_eq!(fs::read(site.served("empty")).unwrap(), b"");
    // One chunk, three, and none.
    serving.saw(&[("POST", 3), ("PATCH", 4), ("PUT", 0)]);
}

#[test]
fn what_is_there_stays_unless_the_server_is_told_otherwise() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let (file, other) = (site.file("f", 1000), site.file("g", 2000));
    went_well(&ended(upload(&file, &serving.url("/in/f"), &[])));
    let done = ended(upload(&other, &serving.url("/in/f"), &[]));
    failed(&done, 22, "409 Conflict: There is a file of that name already");
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    let done = ended(upload(&other, &serving.url("/in/f"), &["-X", "PUT", "-f"]));
    failed(&done, 22, "409");
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    drop(serving);
    let serving = site.serve(0, &["--upload", "--overwrite"]);
    went_well(&ended(upload(&other, &serving.url("/in/f"), &["-X", "PUT"])));
    assert_eq!(digest(&site.served("in/f")), digest(&other));
    went_well(&ended(upload(&file, &serving.url("/in/f"), &[])));
    assert_eq!(digest(&site.served("in/f")), digest(&file));
}

#[test]
fn one_request_of_any_method_has_the_file_and_its_length() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let file = site.file("100% ä?.bin", 700_000);
    went_well(&ended(upload(&file, &serving.url("/in/"), &["-X", "PUT"])));
    assert_eq!(digest(&site.served("in/100% ä?.bin")), digest(&file));
    let done = ended(upload(&file, &serving.url("/in/"), &["-X", "POST", "-i"]));
    assert!(done.code == Some(0) && done.stdout.starts_with("HTTP/1.1 405 "), "{done:?}");
    serving.saw(&[("PUT", 1), ("POST", 1), ("PATCH", 0)]);
}

#[test]
fn stdin_is_streamed() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let mut command = upload("-".as_ref(), &serving.url("/in/stdin"), &[]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[b'x'; 300_000]).unwrap();
    // Long before its end, what has come is on its way.
    support::eventually("the first bytes are there", || {
        let sizes = site
            .unfinished()
            .into_iter()
            .map(|name| fs::metadata(site.served(".mphttp-uploads").join(name)).map_or(0, |meta| meta.len()));
        sizes.max() == Some(300_000)
    });
    assert!(!site.served("in/stdin").exists(), "not whole yet");
    stdin.write_all(&[b'y'; 10]).unwrap();
    drop(stdin);
    went_well(&child.wait_with_output().unwrap().into());
    assert_eq!(fs::metadata(site.served("in/stdin")).unwrap().len(), 300_010);
}

#[test]
fn a_file_is_never_whole_in_memory() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload", "--overwrite"]);
    let file = site.file("big", 0);
    fs::File::options().write(true).open(&file).unwrap().set_len(400_000_000).unwrap();
    for arguments in [&[][..], &["-X", "PUT"]] {
        let mut child = upload(&file, &serving.url("/in/"), arguments).spawn().unwrap();
        let (status, mut most) = (format!("/proc/{}/status", child.id()), 0);
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            most = most.max(kilobytes.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success());
        println!("{most} kB at most");
        assert!((1..100_000).contains(&most), "{most} kB");
        assert_eq!(fs::metadata(site.served("in/big")).unwrap().len(), 400_000_000);
    }
}

#[test]
fn refusals_are_clear() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload", "--max-upload", "1M"]);
    let (small, big) = (site.file("small", 10), site.file("big", 2_000_000));
    // tus announces the limit; PUT meets it.
    failed(
        &ended(upload(&big, &serving.url("/in/"), &[])),
        22,
        "413 Payload Too Large: it takes 1000000 bytes at most",
    );
    assert_eq!(curl(&["-T", big.to_str().unwrap(), &serving.url("/in/")]).1, 413);
    failed(
        &ended(upload(&small, &serving.url("/nowhere/"), &[])),
        22,
        "409 Conflict: The folder that it is to go to",
    );
    failed(&ended(upload(&small, &serving.url("/.hidden"), &[])), 22, "There can be no file of that name");
    failed(&ended(upload(&site.served("none"), &serving.url("/"), &[])), 26, "can't read");
    failed(&ended(upload(&site.served("in"), &serving.url("/"), &[])), 26, "can't read");
    // A folder that is removed while the server runs.
    fs::remove_dir_all(site.served("in")).unwrap();
    failed(
        &ended(upload(&small, &serving.url("/in/"), &[])),
        22,
        "409 Conflict: The folder that it is to go to",
    );
    // Without --upload nothing can be written.
    let closed = site.serve(0, &[]);
    failed(
        &ended(upload(&small, &closed.url("/"), &[])),
        22,
        "405 Method Not Allowed: Files can only be read",
    );
    // Nobody there: no waiting for better times.
    let port = closed.port;
    drop(closed);
    let start = Instant::now();
    failed(
        &ended(upload(&small, &format!("http://127.0.0.1:{port}/"), &[])),
        7,
        "check that the server runs",
    );
    assert!(start.elapsed() < Duration::from_secs(5));
    // A folder that can't be written to, whoever asks.
    let done = program("serve").args(["/proc", "--port", "0", "--upload"]).output().unwrap().into();
    failed(&done, 23, "can't take uploads into /proc");
    let done = program("serve").args(["/nowhere", "--port", "0", "--upload"]).output().unwrap().into();
    failed(&done, 2, "can't serve /nowhere");
}

#[test]
fn no_permission_is_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    fs::set_permissions(site.served("in"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(site.served("in/probe"), "").is_ok() {
        eprintln!("skipped: permissions do not bind this user");
        return;
    }
    let file = site.file("f", 10);
    failed(
        &ended(upload(&file, &serving.url("/in/"), &["--retry-for", "1"])),
        22,
        "no permission to write there",
    );
    assert_eq!(curl(&["-T", file.to_str().unwrap(), &serving.url("/in/f")]).1, 403);
}

#[test]
fn a_terminal_sees_how_far_it_is() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Pace(4_000_000)]);
    let file = site.file("f", 4_000_000);
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = upload(&file, &between.url("/in/"), &[]);
    command.env("TERM", "xterm").stderr(terminal.slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut shown = Vec::new();
    // Ends with an error once the program has.
    let _ = std::io::Read::read_to_end(&mut fs::File::from(terminal.master), &mut shown);
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("/4.00 MB") && shown.contains("  lo  "), "{shown}");
}
