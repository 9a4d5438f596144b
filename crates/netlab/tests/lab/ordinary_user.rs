//! The same for someone who isn't root: user namespaces have to do.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{Result, SCENARIO, THIS_PROGRAM, Tests, ensure};

pub const TESTS: Tests = &[
    ("an_ordinary_user_can_run_all_of_this", an_ordinary_user_can_run_all_of_this),
    ("entering_with_several_threads_is_too_late", entering_with_several_threads_is_too_late),
];

fn as_nobody() -> Command {
    const NOBODY: u32 = 65_534;
    let mut command = Command::new(THIS_PROGRAM);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    command
}

fn an_ordinary_user_can_run_all_of_this() -> Result {
    let output = as_nobody().output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure(output.status.success(), || format!("{told}{}", String::from_utf8_lossy(&output.stderr)))?;
    ensure(told.contains("test result: ok."), || told.to_string())
}

fn entering_with_several_threads_is_too_late() -> Result {
    let output = as_nobody().env(SCENARIO, "enter-too-late").output()?;
    let told = String::from_utf8(output.stdout)?;
    ensure(told.contains("TooLate { threads: 2 }"), || told)
}
