//! The Pythons, each in a virtual environment with the package in it, and the package's own tests under each.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use netlab::{Host, Lab};
use serde_json::Value;

use crate::Test;

/// A Python.
#[derive(Clone, Debug)]
pub struct Python {
    pub version: String,
    pub program: PathBuf,
    /// Whether CPython's own test suites came with it.
    pub suites: bool,
}

/// What the step `python` of `cargo xtask test` has made.
pub struct Environments {
    /// Every CPython that was found.
    pub pythons: Vec<Python>,
    /// One of them with all the libraries.
    pub libraries: PathBuf,
    /// One with niquests, which takes urllib3's place.
    pub niquests: PathBuf,
}

impl Environments {
    pub fn load() -> Result<Self, String> {
        let variable = "MPHTTP_PYTHON_ENVIRONMENTS";
        let file = std::env::var_os(variable).ok_or(format!("{variable} is not set."))?;
        let text =
            fs::read_to_string(&file).map_err(|error| format!("{}: {error}", Path::new(&file).display()))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let path = |value: &Value| PathBuf::from(value.as_str().unwrap_or_default());
        let pythons = value["pythons"].as_array().map(Vec::as_slice).unwrap_or_default();
        let pythons = pythons.iter().map(|python| Python {
            version: python["version"].as_str().unwrap_or_default().to_owned(),
            program: path(&python["program"]),
            suites: python["suites"] == true,
        });
        Ok(Self {
            pythons: pythons.collect(),
            libraries: path(&value["libraries"]),
            niquests: path(&value["niquests"]),
        })
    }
}

/// The folder with the tests that are written in Python.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/tests").canonicalize().unwrap()
}

/// A Python, free of what this process's environment would make of it.
pub fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("MPHTTP_PROTOCOL").env_remove("PYTHONPATH").env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a program on a host to its end and gives its output; what it said on stderr goes into the panic.
pub fn output(host: &Host, command: Command) -> String {
    let shown = format!("{command:?}");
    let output = host.spawn(command).unwrap().wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The package's own tests, under every Python, and those with the libraries.
pub fn trials(environments: &Environments) -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::new();
    for python in &environments.pythons {
        let name = format!("the package's own tests, CPython {}", python.version);
        let program = python.program.clone();
        tests.push((name, Box::new(move || pytest(&program, "core"))));
    }
    let libraries = environments.libraries.clone();
    tests.push((
        "other people's clients and servers".to_owned(),
        Box::new(move || pytest(&libraries, "libraries")),
    ));
    let niquests = environments.niquests.clone();
    tests.push(("niquests".to_owned(), Box::new(move || pytest(&niquests, "niquests"))));
    tests
}

fn pytest(python: &Path, tests: &str) {
    let lab = Lab::new().unwrap();
    let host = lab.host("python").unwrap();
    let mut command = command(python);
    command.args(["-m", "pytest", "-q", "--strict-config"]).arg(folder().join(tests)).env("MPHTTP_LAB", "1");
    let out = output(&host, command);
    let last = out.lines().last().unwrap_or_default();
    println!("{last}");
    assert!(last.contains(" passed"), "{out}");
    // A test may skip for a Python that lacks what it is about, and says so; none for a want of MPTCP.
    let skipped = out.lines().filter(|line| line.starts_with("SKIPPED"));
    for line in skipped {
        println!("{line}");
        assert!(!line.to_lowercase().contains("mptcp"), "{line}");
    }
}
