//! The keeper on a host whose interfaces filter reverse paths strictly: the routing it sets up, what that is good for, and
//! that nothing of it is left.

#[cfg(target_os = "linux")]
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    {
        let options = mptcp_paths::auto::Options::default();
        let opened = mptcp_paths::auto::Keeper::open(options);
        assert!(matches!(opened, Err(mptcp_paths::Error::Unsupported)));
        std::process::ExitCode::SUCCESS
    }
}

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod linux;
