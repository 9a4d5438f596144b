//! Uploads on two hosts with two links: one that dies costs nothing but time, and when both are gone for a while the
//! upload goes on where it was.
//!
//! As `lab.rs`, it needs no privilege and runs one test at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/browser.rs"]
mod browser;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use browser::Browser;
use libtest_mimic::{Arguments, Failed, Trial};
use netlab::{Direction, Host, Lab, Link, LinkSpec, Rate};
use serde_json::Value;
use sha2::{Digest, Sha256};

const MPHTTP: &str = env!("CARGO_BIN_EXE_mphttp");
const SIZE: u64 = 60_000_000;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads = Some(1);
    let tests: Vec<(&str, fn())> = vec![
        ("the first link dies half-way through an upload", || dies_half_way(0)),
        ("the second link dies half-way through an upload", || dies_half_way(1)),
        ("both links are dead for a while, and the upload goes on", both_die_for_a_while),
        ("a browser uploads files and folders, and another site's page nothing", browser_uploads),
    ];
    let tests = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || std::panic::catch_unwind(test).map_err(|_| Failed::from("see above")))
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}

/// Two hosts, two links of 100 Mbit/s, and a server that takes uploads.
struct Bench {
    // The first to go.
    server: Child,
    _lab: Lab,
    client: Host,
    links: Vec<Link>,
    folder: tempfile::TempDir,
    url: String,
}

impl Bench {
    fn new() -> Self {
        let lab = Lab::new().unwrap();
        let (client, host) = (lab.host("client").unwrap(), lab.host("server").unwrap());
        let spec = |name| LinkSpec::new().name(name).rate(Rate::mbit(100));
        let links: Vec<_> =
            ["wifi", "lte"].map(|name| lab.link(&client, &host, spec(name)).unwrap()).into_iter().collect();
        lab.enable_multipath(&client, &host).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let www = folder.path().join("www");
        fs::create_dir(&www).unwrap();
        let mut command = Command::new(MPHTTP);
        command.arg("serve").arg(&www).args(["--port", "8000", "--upload", "--access-log", "off"]);
        command.env_remove("MPHTTP_PROTOCOL").stderr(Stdio::piped());
        let mut server = host.spawn(command).unwrap();
        let mut told = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(told.any(|line| line == "Ctrl-C stops."));
        thread::spawn(move || told.for_each(drop));
        let url = format!("http://{}:8000/", links[0].address(&host).unwrap());
        Self { server, _lab: lab, client, links, folder, url }
    }

    fn file(&self) -> PathBuf {
        let path = self.folder.path().join("file");
        let mut state = 88_172_645_463_325_252_u64;
        let mut content = Vec::with_capacity(SIZE as usize);
        while content.len() < SIZE as usize {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_ne_bytes());
        }
        fs::write(&path, content).unwrap();
        path
    }

    fn upload(&self, file: &Path, arguments: &[&str]) -> Child {
        let mut command = Command::new(MPHTTP);
        command.args(["get", "--json", "-T"]).arg(file).arg(&self.url).args(arguments);
        command.env_remove("MPHTTP_PROTOCOL").env("no_proxy", "*");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.client.spawn(command).unwrap()
    }

    /// Waits until the links have carried so many bytes to the server.
    fn wait_for(&self, bytes: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let carried = || {
            self.links.iter().map(|link| link.traffic(Direction::AToB).unwrap().received_bytes).sum::<u64>()
        };
        while carried() < bytes {
            assert!(Instant::now() < deadline, "the upload does not get that far");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the upload, and sees that the server has the file.
    #[track_caller]
    fn whole(&self, uploading: Child, file: &Path) -> Value {
        let output = uploading.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        let digest = |path: &Path| Sha256::digest(fs::read(path).unwrap()).to_vec();
        assert_eq!(digest(&self.folder.path().join("www/file")), digest(file));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        println!("{value}\n{said}");
        value
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn dies_half_way(which: usize) {
    let bench = Bench::new();
    let file = bench.file();
    let uploading = bench.upload(&file, &[]);
    bench.wait_for(SIZE / 2);
    bench.links[which].set_black_hole(true).unwrap();
    let value = bench.whole(uploading, &file);
    assert_eq!((&value["protocol"], &value["bytes"]), (&"mptcp".into(), &SIZE.into()));
    // The connection itself has survived: it has carried the file from its first byte, over both.
    let sent: u64 =
        value["paths"].as_array().unwrap().iter().filter_map(|path| path["bytes_sent"].as_u64()).sum();
    assert!(value["paths_total"] == 2 && sent >= SIZE, "{value}");
    assert!(value["max_gap_seconds"].as_f64().unwrap() < 2.0, "{value}");
}

fn both_die_for_a_while() {
    let bench = Bench::new();
    let file = bench.file();
    let uploading = bench.upload(&file, &["--read-timeout", "2"]);
    bench.wait_for(SIZE / 2);
    for link in &bench.links {
        link.set_black_hole(true).unwrap();
    }
    // Longer than the client waits for its connection; the server never hears of that one's end.
    thread::sleep(Duration::from_secs(4));
    for link in &bench.links {
        link.set_black_hole(false).unwrap();
    }
    let value = bench.whole(uploading, &file);
    // A new connection, which had less than all to carry.
    let sent: u64 =
        value["paths"].as_array().unwrap().iter().filter_map(|path| path["bytes_sent"].as_u64()).sum();
    assert!(sent < SIZE * 3 / 4, "{value}");
}

/// What is served below a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name == ".mphttp-uploads" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            names.extend(self::names(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

fn browser_uploads() {
    let bench = Bench::new();
    let (www, from) = (bench.folder.path().join("www"), bench.folder.path().join("from"));
    for (name, content) in
        [("one.txt", "1"), ("two ä.txt", "22"), ("tree/three.txt", "333"), ("tree/sub/four", "4444")]
    {
        let path = from.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let (one, two, tree) = (from.join("one.txt"), from.join("two ä.txt"), from.join("tree"));
    let Some(mut browser) = Browser::start(&bench.client) else { return };

    // The page is there, and its script has run.
    let ready = "document.readyState === 'complete' && document.getElementById('hint')?.hidden === false";

    // Without its script: the browser sends the form itself, and is sent back to the listing.
    browser.open(&bench.url);
    browser.wait_for(ready);
    browser.choose("input[name=file]", &[&one, &two]);
    browser.value("document.forms[0].submit()");
    browser.wait_for("document.links.length > 4 && document.body.textContent.includes('two ä.txt')");
    browser.wait_for(ready);
    assert_eq!(names(&www), ["one.txt", "two ä.txt"]);
    assert_eq!(fs::read_to_string(www.join("two ä.txt")).unwrap(), "22");

    // With it: a folder by the dialog, then the page shows it.
    browser.choose("input[name=folder]", &[&tree]);
    // The browser looks through the folder by and by.
    browser.wait_for("document.querySelector('input[name=folder]').files.length === 2");
    browser.value("document.querySelector('#upload button').click()");
    browser.wait_for("[...document.links].some(link => link.textContent === 'tree/')");
    assert_eq!(names(&www), ["one.txt", "tree/sub/four", "tree/three.txt", "two ä.txt"]);
    assert_eq!(fs::read_to_string(www.join("tree/sub/four")).unwrap(), "4444");

    browser.wait_for(ready);

    // Files dropped on the page: one is there already, which is told and stops no other.
    browser.value(
        "{ const data = new DataTransfer();
           data.items.add(new File(['other'], 'one.txt'));
           data.items.add(new File(['x'.repeat(3000000)], 'dropped <b>.bin'));
           document.dispatchEvent(new DragEvent('drop', { dataTransfer: data, cancelable: true })); }",
    );
    browser.wait_for("document.querySelector('#bar span').textContent === '2 of 2 files, 100%'");
    let told = browser.text("document.getElementById('failed').textContent");
    assert!(told.starts_with("Not stored: one.txt: There is a file of that name already"), "{told}");
    assert_eq!(browser.value("document.querySelector('progress').value"), 3_000_005);
    assert_eq!(fs::read_to_string(www.join("one.txt")).unwrap(), "1");
    assert_eq!(fs::metadata(www.join("dropped <b>.bin")).unwrap().len(), 3_000_000);
    // The browser itself says that a request failed; nothing else went wrong, the policy allowed it all.
    let others: Vec<_> = browser.errors.iter().filter(|error| !error.contains("409 (Conflict)")).collect();
    assert_eq!(others, Vec::<&String>::new());

    // A page of another site, on the same computer as the browser.
    let evil = bench.folder.path().join("evil");
    fs::create_dir(&evil).unwrap();
    let page = format!(
        "<!doctype html><form method=post enctype=multipart/form-data action={}><input type=file name=file></form><script>\
         const data = new DataTransfer(); data.items.add(new File(['evil'], 'evil.txt'));\
         document.querySelector('input').files = data.files; document.forms[0].submit()</script>",
        bench.url
    );
    fs::write(evil.join("index.html"), page).unwrap();
    let mut command = Command::new(MPHTTP);
    command.arg("serve").arg(&evil).args(["--port", "9000", "--bind", "127.0.0.1", "--access-log", "off"]);
    command.env_remove("MPHTTP_PROTOCOL").stderr(Stdio::piped());
    let mut other = bench.client.spawn(command).unwrap();
    let mut told = BufReader::new(other.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(told.any(|line| line == "Ctrl-C stops."));
    browser.open("http://127.0.0.1:9000/");
    browser.wait_for("document.body?.textContent.includes('Pages of other sites')");
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(!www.join("evil.txt").exists());
}
