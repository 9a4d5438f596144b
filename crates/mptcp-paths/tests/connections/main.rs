//! The connections of a host against the kernel: real transfers between two hosts of a lab, seen from both.

#[cfg(target_os = "linux")]
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    {
        use mptcp_paths::{Error, connections::Reader};
        assert!(matches!(Reader::open(), Err(Error::Unsupported)));
        std::process::ExitCode::SUCCESS
    }
}

#[cfg(target_os = "linux")]
mod linux;
