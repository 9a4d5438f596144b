//! A server that is guarded ends with whoever holds the guard's stdin.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A guard over a program that ends by itself in ten minutes only, and the number of that program's process.
fn guarded() -> (Child, u32, impl BufRead) {
    let mut guard = Command::new(env!("CARGO_BIN_EXE_bench"));
    guard.args(["guard", "--", "sh", "-c", "echo $$; exec sleep 600"]);
    let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(guard.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    (guard, line.trim().parse().unwrap(), stdout)
}

/// Whether there is such a process; a signal of the number 0 is none.
fn lives(process: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-0", &process.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn a_server_ends_with_the_pipe() {
    let (mut guard, server, mut stdout) = guarded();
    assert!(lives(server));
    drop(guard.stdin.take());
    assert!(guard.wait().unwrap().success());
    assert!(!lives(server));
    // Nobody is left who could write.
    assert_eq!(stdout.read_line(&mut String::new()).unwrap(), 0);
}

#[test]
fn a_server_that_ends_by_itself_is_an_error() {
    let (mut guard, server, _stdout) = guarded();
    // Waiting would close it.
    let _stdin = guard.stdin.take();
    assert!(Command::new("kill").args(["-9", &server.to_string()]).status().unwrap().success());
    assert!(!guard.wait().unwrap().success());
}
