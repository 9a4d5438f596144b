//! The program linked statically as people get it: one archive with the program, its manual pages and completions, the licences,
//! and the list of what it is made of. Made of the same files it is the same, byte for byte: no times, owners or order of the
//! machine that packs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command::{command, output, root, run};
use crate::package::{documents, place, write};
use crate::supply;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Packs a program that was built for `target`; the path of the archive.
///
/// # Errors
/// When something is missing or fails.
pub fn pack(program: &Path, target: &str, into: &Path) -> Result<PathBuf> {
    let stem = format!("mphttp-{VERSION}-{target}");
    let stage = into.join(&stem);
    let _ = fs::remove_dir_all(&stage);
    place(program, &stage.join("mphttp"), 0o755)?;
    for file in ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        place(&root().join(file), &stage.join(file), 0o644)?;
    }
    documents(
        program,
        &stage.join("man"),
        &[
            ("bash", stage.join("completions/mphttp.bash")),
            ("zsh", stage.join("completions/_mphttp")),
            ("fish", stage.join("completions/mphttp.fish")),
        ],
    )?;
    write(&stage.join("mphttp.cdx.json"), &supply::bill(Some(target))?)?;
    let archive = into.join(format!("{stem}.tar.gz"));
    let mut tar = command("tar");
    tar.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
    // gzip by itself writes neither name nor time where it reads from a pipe.
    tar.arg("--use-compress-program=gzip --no-name").arg("--directory").arg(into).arg("--create");
    run(tar.arg("--file").arg(&archive).arg(&stem))?;
    Ok(archive)
}

/// The archive has what it should, and the program in it runs.
///
/// # Errors
/// When it lacks something, or what was unpacked doesn't run.
pub fn check(archive: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("can't make {}", into.display()))?;
    run(command("tar").arg("--extract").arg("--directory").arg(into).arg("--file").arg(archive))?;
    let name = archive.file_name().context("an archive without a name")?.to_string_lossy().into_owned();
    let root = into.join(name.trim_end_matches(".tar.gz"));
    for file in ["man/mphttp-get.1", "completions/_mphttp", "LICENSE-MIT", "SECURITY.md", "mphttp.cdx.json"] {
        let size = fs::metadata(root.join(file)).with_context(|| format!("{file} is not in {name}"))?.len();
        ensure!(size > 0, "{file} in {name} is empty");
    }
    let said = output(command(root.join("mphttp")).arg("--version"))?;
    ensure!(said == format!("mphttp {VERSION}"), "the unpacked program says {said}");
    Ok(())
}
