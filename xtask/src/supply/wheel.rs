//! The Python package as PyPI would get it: the wheel that the step `python` builds and tests, the source distribution, and the
//! wheel for release.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::sbom::JUDGE;
use super::tools::tool;
use super::{Options, Outcome};
use crate::command::{cargo, command, output, root, run, target_dir};
use crate::python;

/// What `pip install .` builds, and the source distribution: contents and metadata.
pub fn check(_: &Options) -> Result<Outcome> {
    let wheel = python::built_wheel()?;
    let folder = fresh("dist")?;
    run(tool("maturin")?.args(["sdist", "--out"]).arg(&folder))?;
    let sources = only(&folder, "gz")?;
    run(tool("python3")?.arg(root().join(JUDGE)).arg("python").arg(&wheel).arg(&sources))?;
    // It stands on its own: nothing of the repository is missing, and nothing else than what was locked is wanted.
    run(command("tar").arg("--extract").arg("--directory").arg(&folder).arg("--file").arg(&sources))?;
    let manifest = folder.join(name(&sources).trim_end_matches(".tar.gz")).join("Cargo.toml");
    output(
        cargo().args(["metadata", "--offline", "--format-version", "1", "--manifest-path"]).arg(&manifest),
    )?;
    Ok(Outcome::Holds(format!("{} and {}", name(&wheel), name(&sources))))
}

/// The wheel for release: as above, and for every Linux whose C library is not older than the tag says.
pub fn release(_: &Options) -> Result<Outcome> {
    let folder = fresh("wheels")?;
    // maturin looks which symbols of the C library the module needs, and names the wheel after it.
    run(tool("maturin")?
        .args(["build", "--release", "--locked", "--compatibility", "pypi", "--out"])
        .arg(&folder))?;
    let wheel = only(&folder, "whl")?;
    ensure!(
        name(&wheel).contains("manylinux") || !cfg!(target_os = "linux"),
        "{} is for this Linux alone",
        name(&wheel)
    );
    run(tool("python3")?.arg(root().join(JUDGE)).arg("python").arg(&wheel))?;
    Ok(Outcome::Holds(wheel.display().to_string()))
}

fn fresh(name: &str) -> Result<PathBuf> {
    let folder = target_dir().join("supply").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    Ok(folder)
}

/// The one file of that extension in a folder.
fn only(folder: &Path, extension: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|found| found == extension));
    let (Some(file), None) = (files.next(), files.next()) else {
        anyhow::bail!("not one .{extension} in {}", folder.display())
    };
    Ok(file)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
