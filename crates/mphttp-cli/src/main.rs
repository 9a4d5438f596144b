//! The program `mphttp`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mphttp_cli::run(std::env::args_os()).into()
}
