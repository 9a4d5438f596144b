//! The program `mphttp`; all of it is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // mimalloc asks for huge pages, and each of a server's threads would hold a few of 2 MB for the little that it needs: a hundred
    // first requests for a file at once took 180 MB, against 22 MB.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
    mphttp_cli::run(std::env::args_os()).into()
}
