//! The tools of others that the checks use: pinned, from PyPI, in an environment of their own below `target`. Compiling them takes
//! longer than all that they are used for.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::command::{command, root, target_dir};
use crate::python;

/// Where they are pinned, from the root.
const REQUIREMENTS: &str = "xtask/supply-tools.txt";

/// Where they are installed, once a run; the folder of their programs.
fn folder() -> Result<PathBuf> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let install = || {
        let python =
            python::with_requirements(&target_dir().join("supply/tools"), &root().join(REQUIREMENTS))
                .map_err(|error| format!("{error:#}"))?;
        python.parent().map(PathBuf::from).ok_or_else(|| "a program without a folder".to_string())
    };
    FOLDER
        .get_or_init(install)
        .clone()
        .map_err(|error| anyhow!("can't install the tools of {REQUIREMENTS}: {error}"))
}

/// One of them, by the name of its program.
///
/// # Errors
/// When they can't be installed.
pub fn tool(name: &str) -> Result<Command> {
    Ok(command(folder()?.join(name)))
}

/// Runs `command` with its output dropped; false if it fails or takes longer than `limit`, when it is ended.
///
/// # Errors
/// When it can't be started or ended.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> Result<bool> {
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended() {
        assert!(succeeds_within(&mut command("true"), Duration::from_secs(60)).unwrap());
        assert!(!succeeds_within(&mut command("false"), Duration::from_secs(60)).unwrap());
        let begun = Instant::now();
        assert!(!succeeds_within(command("sleep").arg("600"), Duration::from_millis(100)).unwrap());
        assert!(begun.elapsed() < Duration::from_secs(300));
    }
}
