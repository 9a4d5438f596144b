//! Runs test programs several at a time. `cargo test` runs them one after the other, but the lab's mostly wait for their
//! links, each in network namespaces of its own: two of them take little more than the longer one.

use std::collections::VecDeque;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, root};

/// How many run at a time. More would take processor time from each other's transfers, which some of them measure.
const AT_ONCE: usize = 2;

/// How often the running ones are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A test program, or part of one.
pub struct Program {
    /// What it is called in the output.
    pub title: String,
    pub path: PathBuf,
    /// The folder of its package, where `cargo test` would run it.
    pub folder: PathBuf,
    pub environment: Vec<(String, String)>,
}

/// Builds every test program of the workspace, and says where each is.
///
/// # Errors
/// When something doesn't build.
pub fn build() -> Result<Vec<Program>> {
    let mut command = cargo();
    // All of them at once, also those that another step runs: a choice of packages is a choice of features, and would
    // have the dependencies built again.
    command.args(["test", "--workspace", "--all-features", "--locked", "--tests", "--no-run"]);
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = command.output().context("can't start cargo")?;
    if !output.status.success() {
        bail!("the tests don't build: {}", output.status);
    }
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        programs.extend(program(line)?);
    }
    Ok(programs)
}

/// What a line of cargo's messages says of a test program, if it is about one.
fn program(line: &str) -> Result<Option<Program>> {
    let message: serde_json::Value =
        serde_json::from_str(line).with_context(|| format!("cargo said something odd: {line}"))?;
    let text = |pointer: &str| message.pointer(pointer).and_then(serde_json::Value::as_str);
    let tests = message.pointer("/profile/test").and_then(serde_json::Value::as_bool) == Some(true);
    let (true, Some(path), Some(manifest), Some(source)) =
        (tests, text("/executable"), text("/manifest_path"), text("/target/src_path"))
    else {
        return Ok(None);
    };
    let source = Path::new(source);
    let title = source.strip_prefix(root()).unwrap_or(source).display().to_string();
    let folder = Path::new(manifest).parent().context("a package without a folder")?.to_path_buf();
    Ok(Some(Program { title, path: path.into(), folder, environment: Vec::new() }))
}

struct Running {
    program: Program,
    child: Child,
    said: std::fs::File,
    since: Instant,
}

/// Runs all of them, a few at a time; what each says is shown when it has ended, all of it together.
///
/// # Errors
/// When one fails: after the others have ended, and without starting further ones unless told to `keep_going`.
pub fn run(programs: Vec<Program>, keep_going: bool) -> Result<()> {
    let mut waiting = VecDeque::from(programs);
    let mut running: Vec<Running> = Vec::new();
    let mut failed: Vec<String> = Vec::new();
    loop {
        while running.len() < AT_ONCE && (keep_going || failed.is_empty()) {
            let Some(program) = waiting.pop_front() else { break };
            // A run that hangs is to say where.
            eprintln!("     Running {}", program.title);
            running.push(start(program)?);
        }
        if running.is_empty() {
            break;
        }
        std::thread::sleep(LOOK);
        let mut index = 0;
        while let Some(one) = running.get_mut(index) {
            match one.child.try_wait().context("can't wait for a test program")? {
                None => index += 1,
                Some(status) => {
                    let one = running.swap_remove(index);
                    show(&one)?;
                    if !status.success() {
                        failed.push(format!("{} ({status})", one.program.title));
                    }
                }
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

fn start(program: Program) -> Result<Running> {
    // A file and not a pipe: nothing waits for a reader, and both streams stay in their order.
    let said = tempfile::tempfile().context("can't keep the output of a test program")?;
    let mut command = Command::new(&program.path);
    command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said.try_clone()?);
    let child = command.spawn().with_context(|| format!("can't start {}", program.path.display()))?;
    Ok(Running { program, child, said, since: Instant::now() })
}

fn show(one: &Running) -> Result<()> {
    let mut said = &one.said;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n---- {}, after {:.1} s", one.program.title, one.since.elapsed().as_secs_f64())?;
    said.rewind()?;
    std::io::copy(&mut said, &mut out).context("can't show what a test program said")?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(title: &str, script: &str, folder: &Path) -> Program {
        let path = folder.join(title);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let environment = vec![("WORD".to_string(), "here".to_string())];
        Program { title: title.into(), path, folder: folder.into(), environment }
    }

    #[test]
    fn two_run_at_a_time_and_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        // Each waits for the other's sign.
        let wait = |mine: &str, other: &str| {
            format!(
                "touch {mine}; i=0; while ! test -e {other} && test $i -lt 200; do sleep 0.05; i=$((i+1)); done; test -e {other} && test $WORD = here"
            )
        };
        let programs = vec![
            shell("first", &wait("a", "b"), folder.path()),
            shell("second", &wait("b", "a"), folder.path()),
        ];
        run(programs, false).unwrap();
    }

    #[test]
    fn a_failure_is_named_and_stops_the_rest_unless_told_otherwise() {
        for keep_going in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut programs =
                vec![shell("bad", "exit 3", folder.path()), shell("good", "sleep 0.5", folder.path())];
            programs.extend((0..2).map(|n| shell(&format!("later{n}"), "touch ran", folder.path())));
            let error = run(programs, keep_going).unwrap_err().to_string();
            assert_eq!(error, "failed: bad (exit status: 3)");
            assert_eq!(folder.path().join("ran").exists(), keep_going);
        }
    }

    #[test]
    fn test_programs_are_told_from_all_else_that_cargo_says() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/a/Cargo.toml","target":{"name":"lab","src_path":"/w/crates/a/tests/lab.rs"},"profile":{"test":true},"executable":"/w/target/debug/deps/lab-1"}"#;
        let found = program(line).unwrap().unwrap();
        assert_eq!(found.path, Path::new("/w/target/debug/deps/lab-1"));
        assert_eq!(found.folder, Path::new("/w/crates/a"));
        assert!(program(&line.replace("true", "false")).unwrap().is_none());
        assert!(program(r#"{"reason":"build-finished","success":true}"#).unwrap().is_none());
        assert!(program("warning: no JSON").is_err());
    }
}
