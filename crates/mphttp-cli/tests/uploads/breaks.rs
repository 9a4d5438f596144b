//! Connections that break or stall, servers and clients that are killed: the file is whole in the end, and not all of it
//! was sent again.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::support::{Between, Ended, Fate, Site, digest, ended, eventually, failed, upload, went_well};

const SIZE: usize = 12_000_000;

fn sidecar(file: &std::path::Path) -> PathBuf {
    PathBuf::from(format!("{}.mphttp-upload.json", file.display()))
}

/// How much of the one unfinished upload is there.
fn arrived(site: &Site) -> u64 {
    let data = site.unfinished().into_iter().find(|name| name.ends_with(".data"));
    data.and_then(|name| fs::metadata(site.served(".mphttp-uploads").join(name)).ok())
        .map_or(0, |meta| meta.len())
}

#[test]
fn a_connection_that_breaks_twice_costs_little() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Cut(3_000_000), Fate::Cut(4_000_000), Fate::Free]);
    let file = site.file("f", SIZE);
    went_well(&ended(upload(&file, &between.url("/in/"), &[])));
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    assert_eq!(between.connections(), 3);
    // Only what the kernels still held was sent twice, and the box counts what it passed on.
    assert!(between.passed() < SIZE as u64 + 100_000, "{}", between.passed());
    serving.saw(&[("POST", 1)]);
    assert!(!sidecar(&file).exists());
}

#[test]
fn checked_chunks_survive_breaks_too() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Cut(3_000_000), Fate::Free]);
    let file = site.file("f", SIZE);
    went_well(&ended(upload(&file, &between.url("/in/"), &["--upload-chunk", "2M"])));
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    // The chunk that broke, up to the break, counts for nothing.
    let again = between.passed() - SIZE as u64;
    assert!((500_000..1_100_000).contains(&again), "{again}");
}

#[test]
fn a_connection_that_stalls_is_given_up_and_its_upload_taken_over() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Stall(3_000_000), Fate::Free]);
    let file = site.file("f", SIZE);
    let start = Instant::now();
    went_well(&ended(upload(&file, &between.url("/in/"), &["--read-timeout", "1"])));
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    println!("{:?}", start.elapsed());
    // The server has heard nothing of the end of the first connection.
    assert!(between.connections() >= 2 && start.elapsed() < Duration::from_secs(15));
    assert!(between.passed() < SIZE as u64 + 100_000, "{}", between.passed());
}

#[test]
fn a_server_that_is_killed_and_comes_back_goes_on() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Pace(8_000_000)]);
    let file = site.file("f", SIZE);
    let child = upload(&file, &between.url("/in/"), &[]).spawn().unwrap();
    eventually("the upload is half-way", || arrived(&site) > SIZE as u64 / 3);
    let port = serving.port;
    // SIGKILL.
    drop(serving);
    let had = arrived(&site);
    thread::sleep(Duration::from_millis(700));
    let serving = site.serve(port, &["--upload"]);
    went_well(&child.wait_with_output().unwrap().into());
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    assert!(
        had > SIZE as u64 / 3 && between.passed() < 2 * SIZE as u64 - had + 500_000,
        "{}",
        between.passed()
    );
    // One PATCH asks whether it may, one carries the rest.
    serving.saw(&[("POST", 0), ("PATCH", 2)]);
}

#[test]
fn a_client_that_is_killed_goes_on_in_a_new_process() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Pace(8_000_000)]);
    let file = site.file("f", SIZE);
    let mut child = upload(&file, &between.url("/in/"), &[]).spawn().unwrap();
    eventually("the upload is half-way", || arrived(&site) > SIZE as u64 / 3);
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    let state: Value = serde_json::from_slice(&fs::read(sidecar(&file)).unwrap()).unwrap();
    assert_eq!((&state["target"], &state["size"]), (&between.url("/in/").into(), &SIZE.into()));
    let done = ended(upload(&file, &between.url("/in/"), &["-C", "--json", "--upload-chunk", "5M"]));
    went_well(&done);
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(json["bytes"].as_u64().unwrap() < 2 * SIZE as u64 / 3, "{json}");
    serving.saw(&[("POST", 1)]);
    assert!(!sidecar(&file).exists());
    // Nothing left to go on with: all of it again, and the server says what it thinks of that.
    failed(&ended(upload(&file, &between.url("/in/"), &["-C"])), 22, "There is a file of that name already");
}

#[test]
fn who_gives_up_says_how_to_go_on() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Pace(4_000_000)]);
    let file = site.file("f", SIZE);
    let child = upload(&file, &between.url("/in/"), &["--retry-for", "1"]).spawn().unwrap();
    eventually("some of it is there", || arrived(&site) > 1_000_000);
    let port = serving.port;
    drop(serving);
    let done: Ended = child.wait_with_output().unwrap().into();
    assert!(matches!(done.code, Some(52 | 56)), "{done:?}");
    assert!(done.stderr.starts_with("error: nothing more got through in 1 s ("), "{done:?}");
    assert!(done.stderr.contains("hint: ") && done.stderr.contains("-C"), "{done:?}");
    let _serving = site.serve(port, &["--upload"]);
    went_well(&ended(upload(&file, &between.url("/in/"), &["-C"])));
    assert_eq!(digest(&site.served("in/f")), digest(&file));
}

#[test]
fn a_file_that_changes_is_an_error() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let between = Between::new(serving.address(), &[Fate::Pace(8_000_000)]);
    let file = site.file("f", SIZE);
    let child = upload(&file, &between.url("/in/"), &[]).spawn().unwrap();
    eventually("some of it is there", || arrived(&site) > 1_000_000);
    let mut content = fs::read(&file).unwrap();
    content[0] ^= 1;
    fs::write(&file, content).unwrap();
    failed(&child.wait_with_output().unwrap().into(), 26, "changed while it was being sent");
    assert!(!site.served("in/f").exists());
    // Nor does a new process go on with half of another file.
    let done = ended(upload(&file, &serving.url("/in/"), &["-C"]));
    went_well(&done);
    assert_eq!(digest(&site.served("in/f")), digest(&file));
}
