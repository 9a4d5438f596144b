//! The step `python`: finds every CPython, builds the package as `pip install .` does, gives each Python a virtual
//! environment with it, checks sources, types and stubs, and runs the tests, which live in `crates/mphttp-python/tests`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::command::{command, output, root, run as run_command, target_dir};
use crate::pool::{self, Program};
use crate::steps::Options;

/// Where requirements are pinned.
const REQUIREMENTS: &str = "python/tests/requirements";

/// The tests' source, as the pool of test programs names it.
pub const TESTS: &str = "crates/mphttp-python/tests/python/main.rs";

/// The guide's test, which runs blocks of Python if it is told of an interpreter.
const GUIDE: &str = "crates/mphttp-cli/tests/lab_guide.rs";

/// In how many parts they run: more than run at a time, so that a long test at an end holds up less.
const PARTS: usize = 4;

/// What is said where there is no Python.
const NONE: &str = "no CPython 3.10 or newer with venv: apt-get install python3 python3-venv";

/// Says version, implementation, whether virtual environments can be made, and whether CPython's own tests are there.
const PROBE: &str = "\
import importlib.util as u, sys
venv = all(u.find_spec(name) for name in ('venv', 'ensurepip'))
tests = u.find_spec('test') is not None and u.find_spec('test.test_httplib') is not None
print(sys.implementation.name, '.'.join(map(str, sys.version_info[:3])), sys.version_info[3], int(venv), int(tests))";

/// A CPython of this machine.
#[derive(Clone, Debug)]
struct Python {
    program: PathBuf,
    version: [u32; 3],
    suites: bool,
}

impl Python {
    fn name(&self) -> String {
        self.version.map(|part| part.to_string()).join(".")
    }
}

pub fn run(options: Options) -> Result<Option<String>> {
    let pythons = find()?;
    let newest = pythons.last().context(NONE)?;
    ensure!(
        pythons.iter().any(|python| python.suites),
        "no CPython here has its own test suites: apt-get install libpython{}.{}-testsuite",
        newest.version[0],
        newest.version[1]
    );
    let base = target_dir().join("python");
    let wheel = wheel(newest, &base)?;
    let mut environments = Vec::new();
    for python in &pythons {
        let environment = base.join(python.name());
        let program = environment_with(python, &environment, "core.txt", &wheel)?;
        environments.push((python, program));
    }
    let libraries = environment_with(newest, &base.join("libraries"), "libraries.txt", &wheel)?;
    let niquests = environment_with(newest, &base.join("niquests"), "niquests.txt", &wheel)?;
    check(&libraries)?;

    let file = base.join("environments.json");
    fs::write(&file, described(&environments, &libraries, &niquests)?).context("can't write to target/")?;
    let built = pool::build()?;
    let tests =
        built.iter().find(|program| program.title == TESTS).context("the package's tests are gone")?;
    let guide = built.iter().find(|program| program.title == GUIDE).context("the guide's test is gone")?;
    let guide = Program {
        title: format!("{GUIDE}, Python"),
        path: guide.path.clone(),
        folder: guide.folder.clone(),
        environment: vec![("MPHTTP_GUIDE_PYTHON".into(), libraries.display().to_string())],
    };
    let part = |number: usize| Program {
        title: format!("{TESTS}, part {number} of {PARTS}"),
        path: tests.path.clone(),
        folder: tests.folder.clone(),
        environment: vec![
            ("MPHTTP_PYTHON_ENVIRONMENTS".into(), file.display().to_string()),
            ("MPHTTP_PYTHON_PART".into(), format!("{number}/{PARTS}")),
        ],
    };
    pool::run((1..=PARTS).map(part).chain([guide]).collect(), options.keep_going)?;

    let versions: Vec<String> = pythons.iter().map(Python::name).collect();
    let without: Vec<String> = pythons.iter().filter(|python| !python.suites).map(Python::name).collect();
    let mut note = format!("CPython {}", versions.join(", "));
    if !without.is_empty() {
        note.push_str(&format!("; without its own suites: {}", without.join(", ")));
    }
    Ok(Some(note))
}

/// A Python with the package as it is now and with the libraries: for measurements.
///
/// # Errors
/// When there is no Python that will do, or something can't be built or installed.
pub fn with_libraries() -> Result<PathBuf> {
    let pythons = find()?;
    let newest = pythons.last().context(NONE)?;
    let base = target_dir().join("python");
    let wheel = wheel(newest, &base)?;
    environment_with(newest, &base.join("libraries"), "libraries.txt", &wheel)
}

/// The program of an environment in `folder` with what `requirements` pins, for tools.
///
/// # Errors
/// When there is no Python that will do, or something can't be installed.
pub fn with_requirements(folder: &Path, requirements: &Path) -> Result<PathBuf> {
    let pythons = find()?;
    let program = environment(pythons.last().context(NONE)?, folder)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run_command(command(&program).args(pip).arg(requirements))?;
    Ok(program)
}

/// The wheel that the step has built, or a new one.
///
/// # Errors
/// When there is no Python that will do, or it can't be built.
pub fn built_wheel() -> Result<PathBuf> {
    let base = target_dir().join("python");
    let built =
        fs::read_dir(base.join("wheels")).into_iter().flatten().flatten().map(|entry| entry.path()).next();
    match built {
        Some(wheel) => Ok(wheel),
        None => wheel(find()?.last().context(NONE)?, &base),
    }
}

/// Every CPython >= 3.10 in `PATH` and of pyenv, one a minor version, oldest first: of several the one with its suites.
fn find() -> Result<Vec<Python>> {
    let mut found: BTreeMap<u32, Python> = BTreeMap::new();
    for program in candidates() {
        let Some(python) = probe(&program) else { continue };
        let better = found
            .get(&python.version[1])
            .is_none_or(|known| (python.suites, python.version) > (known.suites, known.version));
        if better {
            found.insert(python.version[1], python);
        }
    }
    Ok(found.into_values().collect())
}

fn candidates() -> Vec<PathBuf> {
    let mut programs = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path) {
        programs.push(folder.join("python3"));
        programs.extend((10..30).map(|minor| folder.join(format!("python3.{minor}"))));
    }
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    if let Some(versions) = pyenv.and_then(|pyenv| fs::read_dir(pyenv.join("versions")).ok()) {
        programs.extend(versions.flatten().map(|version| version.path().join("bin/python3")));
    }
    programs.retain(|program| program.is_file());
    programs
}

/// What a program says of itself; `None` for what is no CPython that will do (a pyenv shim without a version fails).
fn probe(program: &Path) -> Option<Python> {
    let said = output(command(program).args(["-I", "-c", PROBE])).ok()?;
    let mut words = said.split_whitespace();
    let (name, version, level) = (words.next()?, words.next()?, words.next()?);
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    let (venv, suites) = (words.next()? == "1", words.next()? == "1");
    let fits = name == "cpython" && level == "final" && version >= [3, 10, 0] && version[0] == 3 && venv;
    fits.then(|| Python { program: program.to_path_buf(), version, suites })
}

/// The package, built as `pip install .` builds it.
fn wheel(python: &Python, base: &Path) -> Result<PathBuf> {
    let builder = base.join("builder");
    let program = environment(python, &builder)?;
    let wheels = base.join("wheels");
    // An older one beside the new one would be as good a guess.
    let _ = fs::remove_dir_all(&wheels);
    let pip = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir"];
    // Not in pyproject.toml: a source distribution has fewer crates than the lock file, which cargo then has to cut.
    run_command(command(&program).env("MATURIN_PEP517_ARGS", "--locked").args(pip).arg(&wheels).arg("."))?;
    let mut made = fs::read_dir(&wheels)?.flatten().map(|entry| entry.path());
    let (Some(wheel), None) = (made.next(), made.next()) else {
        bail!("not one wheel in {}", wheels.display())
    };
    Ok(wheel)
}

/// An environment of its own for this Python; the path of its program.
fn environment(python: &Python, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("bin").join("python3");
    // A Python that was updated, or another one of the same name, leaves an environment that doesn't work.
    let works =
        output(command(&program).args(["-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"]))
            .is_ok_and(|version| version == python.name());
    if !works {
        let _ = fs::remove_dir_all(folder);
        run_command(command(&python.program).args(["-m", "venv"]).arg(folder))?;
    }
    Ok(program)
}

/// An environment with the pinned requirements and the package.
fn environment_with(python: &Python, folder: &Path, requirements: &str, wheel: &Path) -> Result<PathBuf> {
    let program = environment(python, folder)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run_command(
        command(&program).args(pip).arg("--requirement").arg(root().join(REQUIREMENTS).join(requirements)),
    )?;
    // The version stays the same while the sources change.
    run_command(command(&program).args(pip).args(["--force-reinstall", "--no-deps"]).arg(wheel))?;
    Ok(program)
}

/// Formatting, lint, types, and stubs against the compiled module.
fn check(python: &Path) -> Result<()> {
    let sources = ["python", "examples/python"];
    run_command(command(python).args(["-m", "ruff", "format", "--check", "--quiet"]).args(sources))?;
    run_command(command(python).args(["-m", "ruff", "check", "--quiet"]).args(sources))?;
    // The installed package, as its users' type checkers see it.
    let cache = target_dir().join("python/mypy");
    let mypy = ["--config-file", "pyproject.toml", "--package", "mphttp", "--cache-dir"];
    run_command(command(python).args(["-m", "mypy"]).args(mypy).arg(cache))?;
    run_command(command(python).args(["-m", "mypy.stubtest", "mphttp._mphttp"]))
}

fn described(pythons: &[(&Python, PathBuf)], libraries: &Path, niquests: &Path) -> Result<String> {
    let text =
        |path: &Path| path.to_str().map(|path| format!("{path:?}")).context("a path that is not UTF-8");
    let mut entries = Vec::new();
    for (python, program) in pythons {
        let (version, program) = (python.name(), text(program)?);
        entries.push(format!(r#"{{"version":"{version}","program":{program},"suites":{}}}"#, python.suites));
    }
    let (libraries, niquests) = (text(libraries)?, text(niquests)?);
    Ok(format!(r#"{{"pythons":[{}],"libraries":{libraries},"niquests":{niquests}}}"#, entries.join(",")))
}
