//! `mphttp get` against servers that lie: the cases of `http_cases::liars`, a test each.
//!
//! The real program, real sockets, real files. Besides what a case says, each holds the program to the same rules: no panic, an end
//! in good time, little memory, an error that says what to do, and nothing on the terminal that could steer it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "liars/bodies.rs"]
mod bodies;
#[path = "liars/certificates.rs"]
mod certificates;
#[path = "liars/measured.rs"]
mod measured;
#[path = "liars/server.rs"]
mod server;

use std::{fs, os::unix::fs::symlink, path::Path, process::ExitCode, sync::LazyLock, time::Duration};

use http_cases::liars::{self, Before, Content, Heard, Liar, Port, Who};
use libtest_mimic::{Arguments, Failed, Trial};

use certificates::Certificates;
use measured::Ended;
use server::{Listening, expand};

/// What a case may take. The program itself has some 40 MiB, most of them its own code; a bomb in memory would not fit beside.
const LIMIT: Duration = Duration::from_secs(60);
const MEMORY: u64 = 64 << 20;

/// What stands for secrets in the cases: the program says none of it, whatever happens.
const SECRETS: [&str; 2] = ["secret", "hush"];

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(Certificates::new);

fn main() -> ExitCode {
    if let Some(code) = measured::main() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Most of them wait.
    arguments.test_threads.get_or_insert(6);
    let trials = liars::cases().map(|(topic, case)| {
        Trial::test(case.name, move || {
            // A panic is this test's failure, not the end of the run.
            std::panic::catch_unwind(|| run(case)).map_err(|_| Failed::from("see above"))
        })
        .with_kind(topic)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn run(case: &'static Liar) {
    let (server, other) = (Listening::new(case.port), Listening::new(Port::Plain));
    let (here, there) = (server.name(), other.name());
    let server = server.serve(case.answers, &there);
    let other = other.serve(case.other, &here);

    let scheme = if here.starts_with("localhost") { "https" } else { "http" };
    let url = format!("{scheme}://{here}/");
    let directory = tempfile::tempdir().unwrap();
    for before in case.before {
        prepare(directory.path(), *before, &url);
    }
    let mut arguments: Vec<String> = case
        .args
        .iter()
        .map(|argument| {
            let text = argument.replace("{url}", &url).replace("{ca}", &CERTIFICATES.root_file());
            String::from_utf8(expand(&text, &here, &there)).unwrap()
        })
        .collect();
    if !case.args.iter().any(|argument| argument.contains("{url}") || argument.contains("{host}")) {
        arguments.push(format!("{url}file"));
    }

    let ended = measured::get(&arguments, directory.path(), LIMIT);
    let heard = |who| if who == Who::Server { server.heard() } else { other.heard() };
    let seen = format!(
        "{arguments:?}\n{ended:?}\nthe server heard {:#?}\nthe other heard {:#?}\nthere is {:?}",
        server.heard(),
        other.heard(),
        names(directory.path())
    );
    assert_eq!(ended.code, Some(case.code.into()), "the exit code: {seen}");
    for text in case.says {
        assert!(ended.stderr.contains(text), "nothing of {text:?}: {seen}");
    }
    if let Some(stdout) = case.stdout {
        assert_eq!(ended.stdout, stdout, "on stdout: {seen}");
    }
    for wanted in case.heard {
        judge(*wanted, &heard, &seen);
    }
    let mut files: Vec<String> =
        case.files.iter().map(|(name, _)| String::from_utf8(expand(name, "", "")).unwrap()).collect();
    files.sort();
    assert_eq!(names(directory.path()), files, "the files: {seen}");
    for (name, content) in case.files {
        let name = String::from_utf8(expand(name, "", "")).unwrap();
        assert!(is(&directory.path().join(&name), *content), "{name} is not {content:?}: {seen}");
    }
    rules(case, &ended, &seen);
}

/// What holds whatever the server does.
fn rules(case: &Liar, ended: &Ended, seen: &str) {
    assert!(!ended.stderr.contains("panicked"), "a panic: {seen}");
    assert!(ended.peak < MEMORY, "{} bytes of memory: {seen}", ended.peak);
    let steers = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    assert!(!steers(&ended.stderr), "a control character: {seen}");
    if case.args.contains(&"--json") {
        assert!(!steers(&ended.stdout), "a control character in JSON: {seen}");
    }
    for secret in SECRETS {
        assert!(!ended.stderr.contains(secret), "it says {secret:?}: {seen}");
    }
    if case.code != 0 {
        let error = ended.stderr.lines().find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("no error is told: {seen}"));
        assert!(
            error.contains("; ") || ended.stderr.contains("\nhint: "),
            "it does not say what to do: {seen}"
        );
    }
}

fn judge(wanted: Heard, heard: &impl Fn(Who) -> Vec<String>, seen: &str) {
    match wanted {
        Heard::Has(who, index, text) => {
            let request = heard(who).get(index).cloned().unwrap_or_default();
            // The server's own name is known only here.
            let found = request.contains(text);
            assert!(found, "request {index} has no {text:?}: {seen}");
        }
        Heard::Lacks(who, index, text) => {
            let request = heard(who).get(index).cloned();
            assert!(
                request.is_some_and(|request| !request.contains(text)),
                "request {index} has {text:?}: {seen}"
            );
        }
        Heard::Never(who, text) => {
            assert!(
                heard(who).iter().all(|request| !request.contains(text)),
                "a request has {text:?}: {seen}"
            );
        }
        Heard::Times(who, times) => assert_eq!(heard(who).len(), times, "requests: {seen}"),
    }
}

fn prepare(directory: &Path, before: Before, url: &str) {
    match before {
        Before::File(name, text) => fs::write(directory.join(name), text.replace("{url}", url)).unwrap(),
        Before::Link(name, to) => symlink(to, directory.join(name)).unwrap(),
        Before::Fifo(name) => {
            nix::unistd::mkfifo(&directory.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        Before::Directory(name) => fs::create_dir(directory.join(name)).unwrap(),
    }
}

fn is(path: &Path, content: Content) -> bool {
    match content {
        Content::Text(text) => fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()),
        Content::Zeros(count) => {
            fs::read(path).is_ok_and(|bytes| bytes.len() == count && bytes.iter().all(|&byte| byte == 0))
        }
        Content::Link(to) => fs::read_link(path).is_ok_and(|found| found == Path::new(to)),
        Content::Any => fs::symlink_metadata(path).is_ok(),
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
