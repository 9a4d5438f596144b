//! What people install: a Debian package of the program, its manual pages, completions and units, and the list of what it is
//! made of; and an archive with the program linked statically, which runs on any Linux of its architecture.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::command::{cargo, command, output, root, run as run_command, target_dir};
use crate::pool;
use crate::prerequisites::{self, C_COMPILER, DPKG_DEB, GZIP, MUSL_GCC, Program, STRIP};
use crate::steps::Options;
use crate::{supply, tarball};

/// What the step `package` needs.
pub const NEEDS: &[&Program] = &[&DPKG_DEB, &GZIP, &STRIP];

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the program for release and packs it.
///
/// # Errors
/// When something is missing or fails.
pub fn deb() -> Result<ExitCode> {
    prerequisites::check(&[&C_COMPILER, &DPKG_DEB, &GZIP])?;
    run_command(cargo().args(["build", "--release", "--locked", "--package", "mphttp-cli"]))?;
    let package = pack(&target_dir().join("release/mphttp"), &target_dir().join("debian"))?;
    println!("{}\nInstall it: apt-get install {}", package.display(), package.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the program with musl, and shows that it needs nothing of the host.
///
/// # Errors
/// When something is missing or fails.
pub fn linked_statically() -> Result<ExitCode> {
    prerequisites::check(&[&MUSL_GCC])?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let installed = output(command("rustup").args(["target", "list", "--installed"])).unwrap_or_default();
    ensure!(
        installed.lines().any(|line| line == target),
        "Rust's standard library for {target} is not installed: rustup target add {target}"
    );
    run_command(cargo().args([
        "build",
        "--release",
        "--locked",
        "--package",
        "mphttp-cli",
        "--target",
        &target,
    ]))?;
    let program = target_dir().join(&target).join("release/mphttp");
    // A program that needs a loader names it (INTERP in elf(5)).
    let bytes = fs::read(&program).with_context(|| format!("can't read {}", program.display()))?;
    let names_loader = bytes.windows(10).any(|window| window == b"/ld-linux-" || window == b"/lib/ld-mu");
    ensure!(!names_loader, "{} is linked dynamically", program.display());
    let archive = tarball::pack(&program, &target, &target_dir().join(&target))?;
    println!("{}: {}\n{}", program.display(), output(command(&program).arg("--version"))?, archive.display());
    Ok(ExitCode::SUCCESS)
}

/// The step: packs the program that the tests have built, unpacks that elsewhere, and runs it.
///
/// # Errors
/// When the package can't be made, lacks something, or what it installs doesn't run.
pub fn check(_: Options) -> Result<Option<String>> {
    let base = target_dir().join("package");
    let _ = fs::remove_dir_all(&base);
    // The tests' programs, and so the program itself.
    pool::build()?;
    // As a release has it, without what only a debugger reads, most of which would be packed for nothing.
    fs::create_dir_all(&base).with_context(|| format!("can't make {}", base.display()))?;
    let program = base.join("mphttp");
    run_command(
        command("strip").arg("--strip-debug").arg("-o").arg(&program).arg(target_dir().join("debug/mphttp")),
    )?;
    let package = pack(&program, &base)?;
    let installed = base.join("installed");
    run_command(command("dpkg-deb").arg("--extract").arg(&package).arg(&installed))?;
    for file in [
        "usr/share/man/man1/mphttp-get.1.gz",
        "usr/share/bash-completion/completions/mphttp",
        "usr/share/zsh/vendor-completions/_mphttp",
        "usr/share/fish/vendor_completions.d/mphttp.fish",
        "usr/lib/systemd/system/mphttp-paths.service",
        "usr/share/doc/mphttp/copyright",
        "usr/share/doc/mphttp/SECURITY.md",
        "usr/share/doc/mphttp/mphttp.cdx.json.gz",
        "usr/share/doc/mphttp/docs/reasons.md",
    ] {
        let size = fs::metadata(installed.join(file)).with_context(|| format!("{file} is missing"))?.len();
        ensure!(size > 0, "{file} is empty");
    }
    let said = output(command(installed.join("usr/bin/mphttp")).arg("--version"))?;
    ensure!(said == format!("mphttp {VERSION}"), "the installed program says {said}");
    let field = |name: &str| output(command("dpkg-deb").arg("--field").arg(&package).arg(name));
    let depends = field("Depends")?;
    ensure!(depends.contains("libc6 (>= 2."), "it depends on {depends}");
    ensure!(field("Version")? == VERSION, "the version is another");

    // The archive of the program that is linked statically, made of this one.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    tarball::check(&tarball::pack(&program, &target, &base)?, &base.join("unpacked"))?;
    Ok(None)
}

/// Packs a program with all that goes with it; the path of the package.
fn pack(program: &Path, into: &Path) -> Result<PathBuf> {
    let stage = into.join("root");
    let _ = fs::remove_dir_all(&stage);
    let copy = |from: &Path, to: &str, mode: u32| place(from, &stage.join(to), mode);
    copy(program, "usr/bin/mphttp", 0o755)?;
    let pages = stage.join("usr/share/man/man1");
    documents(
        program,
        &pages,
        &[
            ("bash", stage.join("usr/share/bash-completion/completions/mphttp")),
            ("zsh", stage.join("usr/share/zsh/vendor-completions/_mphttp")),
            ("fish", stage.join("usr/share/fish/vendor_completions.d/mphttp.fish")),
        ],
    )?;
    for page in fs::read_dir(&pages)? {
        zip(&page?.path())?;
    }
    for unit in fs::read_dir(root().join("contrib/systemd"))? {
        let unit = unit?;
        copy(&unit.path(), &format!("usr/lib/systemd/system/{}", unit.file_name().to_string_lossy()), 0o644)?;
    }
    for file in ["README.md", "SECURITY.md"] {
        copy(&root().join(file), &format!("usr/share/doc/mphttp/{file}"), 0o644)?;
    }
    let bill = stage.join("usr/share/doc/mphttp/mphttp.cdx.json");
    write(&bill, &supply::bill(None)?)?;
    zip(&bill)?;
    for file in fs::read_dir(root().join("docs"))? {
        let file = file?;
        if file.file_type()?.is_file() {
            copy(
                &file.path(),
                &format!("usr/share/doc/mphttp/docs/{}", file.file_name().to_string_lossy()),
                0o644,
            )?;
        }
    }
    copy(&root().join("CHANGELOG.md"), "usr/share/doc/mphttp/changelog", 0o644)?;
    zip(&stage.join("usr/share/doc/mphttp/changelog"))?;
    write(&stage.join("usr/share/doc/mphttp/copyright"), &copyright()?)?;
    let architecture = output(command("dpkg").arg("--print-architecture"))?;
    let size = kilobytes(&stage)?;
    let control = format!(
        "Package: mphttp\nVersion: {VERSION}\nArchitecture: {architecture}\nMaintainer: The mphttp authors <mphttp@localhost>\n\
         Installed-Size: {size}\nDepends: {}\nSuggests: iproute2\nSection: web\nPriority: optional\n\
         Description: HTTP in which the socket protocol is a choice\n A client, server and proxy for HTTP over plain TCP, over \
         Multipath TCP with\n fallback, or over Multipath TCP or nothing; with tools that watch, diagnose and\n keep the paths of a \
         host.\n",
        depends(program)?
    );
    write(&stage.join("DEBIAN/control"), &control)?;
    let package = into.join(format!("mphttp_{VERSION}_{architecture}.deb"));
    run_command(command("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&stage).arg(&package))?;
    Ok(package)
}

/// Manual pages and completions, as the program writes them.
///
/// # Errors
/// When the program doesn't run, or they can't be written.
pub fn documents(program: &Path, pages: &Path, completions: &[(&str, PathBuf)]) -> Result<()> {
    for (shell, file) in completions {
        write(file, &output(command(program).args(["completions", shell]))?)?;
    }
    run_command(command(program).args(["man", "--out"]).arg(pages))
}

/// Copies a file, makes the folders that lead to it, and sets its permissions.
///
/// # Errors
/// When it can't.
pub fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let copied = || -> Result<()> {
        fs::create_dir_all(to.parent().context("no folder")?)?;
        fs::copy(from, to)?;
        mode_of(to, mode)
    };
    copied().with_context(|| format!("can't copy {} to {}", from.display(), to.display()))
}

/// Writes a text, which ends with a line's end, for all to read.
///
/// # Errors
/// When it can't.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let written = || -> Result<()> {
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(path, format!("{}\n", text.trim_end()))?;
        mode_of(path, 0o644)
    };
    written().with_context(|| format!("can't write {}", path.display()))
}

/// Sets the permissions of a file, where there are such.
///
/// # Errors
/// When the file is not there, or not ours.
#[cfg(unix)]
pub fn mode_of(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[cfg(not(unix))]
pub fn mode_of(_: &Path, _: u32) -> Result<()> {
    Ok(())
}

/// As Debian has it: without name and time, so that the same package is made of the same sources.
fn zip(path: &Path) -> Result<()> {
    run_command(command("gzip").args(["-9", "--no-name", "--force"]).arg(path))
}

fn kilobytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { kilobytes(&entry.path())? } else { meta.len().div_ceil(1024) };
    }
    Ok(sum)
}

/// What the program is linked with: the newest version of the C library that a symbol of it names, and the unwinder.
fn depends(program: &Path) -> Result<String> {
    let bytes = fs::read(program)?;
    let newest = newest_glibc(&bytes).context("the program names no version of the C library")?;
    Ok(format!("libc6 (>= 2.{newest}), libgcc-s1"))
}

/// The greatest N of the `GLIBC_2.N` in a program's table of symbol versions.
fn newest_glibc(bytes: &[u8]) -> Option<u32> {
    const MARK: &[u8] = b"GLIBC_2.";
    let after = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    after
        .filter_map(|(at, _)| {
            let digits: String = bytes
                .get(at + MARK.len()..)?
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .map(|&byte| char::from(byte))
                .collect();
            digits.parse().ok()
        })
        .max()
}

fn copyright() -> Result<String> {
    let license = |name: &str| {
        let text = fs::read_to_string(root().join(name)).with_context(|| format!("can't read {name}"))?;
        // DEP-5: continued lines begin with a space, empty ones are a dot.
        let lines =
            text.lines().map(|line| if line.trim().is_empty() { " .".into() } else { format!(" {line}") });
        Ok::<_, anyhow::Error>(lines.collect::<Vec<_>>().join("\n"))
    };
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: mphttp\n\nFiles: *\n\
         Copyright: The mphttp authors\nLicense: Expat or Apache-2.0\n\nLicense: Expat\n{}\n\nLicense: Apache-2.0\n{}\n",
        license("LICENSE-MIT")?,
        license("LICENSE-APACHE")?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_the_c_library_counts() {
        assert_eq!(newest_glibc(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.17\0GLIBC_PRIVATE"), Some(34));
        assert_eq!(newest_glibc(b"static"), None);
    }
}
