//! Who else manages the paths of this host: two that do it undo each other's work.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{ManagerKind, Settings};

/// Where NetworkManager's settings are, the more important ones last (`NetworkManager.conf(5)`).
const NETWORK_MANAGER: [&str; 3] =
    ["/usr/lib/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/etc/NetworkManager/conf.d"];
const NETWORK_MANAGER_MAIN: &str = "/etc/NetworkManager/NetworkManager.conf";

/// Somebody else who manages the paths.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rival {
    /// New connections are not the kernel's path manager's.
    Userspace(ManagerKind),
    /// mptcpd runs.
    Mptcpd {
        /// Its process.
        pid: u32,
    },
    /// NetworkManager runs, and makes endpoints of the addresses of its connections, as it does unless told otherwise.
    NetworkManager {
        /// Its process.
        pid: u32,
    },
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Userspace(kind) => write!(
                f,
                "the paths of new connections are managed by a program (path manager: {kind}), for which endpoints are \
                 of no use; stop that program, then: sysctl -w net.mptcp.pm_type=0"
            ),
            Self::Mptcpd { pid } => write!(
                f,
                "mptcpd (process {pid}) manages the paths; use it, or stop it: systemctl disable --now mptcp"
            ),
            Self::NetworkManager { pid } => write!(
                f,
                "NetworkManager (process {pid}) makes endpoints itself; let it, or tell it not to: \
                 printf '[connection]\\nconnection.mptcp-flags=1\\n' > /etc/NetworkManager/conf.d/no-mptcp.conf; \
                 systemctl restart NetworkManager"
            ),
        }
    }
}

/// Looks for somebody else who manages the paths of the calling thread's network namespace.
///
/// Processes of other network namespaces don't count. Where it can't be seen in which one a process is (that takes root),
/// it counts.
#[must_use]
pub fn rival() -> Option<Rival> {
    match Settings::read().manager() {
        Some(ManagerKind::Kernel) | None => {}
        Some(kind) => return Some(Rival::Userspace(kind)),
    }
    programs().into_iter().next()
}

/// The programs among them, whatever the path manager is.
pub(crate) fn programs() -> Vec<Rival> {
    let program = |(pid, name): (u32, String)| match name.as_str() {
        "mptcpd" => Some(Rival::Mptcpd { pid }),
        "NetworkManager" if !is_disabled(&configuration()) => Some(Rival::NetworkManager { pid }),
        _ => None,
    };
    processes().into_iter().filter_map(program).collect()
}

/// The processes of this network namespace and their names, as far as can be told.
fn processes() -> Vec<(u32, String)> {
    let here = std::fs::read_link("/proc/thread-self/ns/net").ok();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let process = |entry: std::fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        let there = std::fs::read_link(entry.path().join("ns/net")).ok();
        let elsewhere = there.is_some() && there != here;
        (!elsewhere).then(|| (pid, name.trim_end().to_owned()))
    };
    entries.filter_map(|entry| process(entry.ok()?)).collect()
}

/// NetworkManager's settings, in the order in which they are read.
fn configuration() -> Vec<String> {
    let mut files: Vec<PathBuf> = vec![NETWORK_MANAGER_MAIN.into()];
    for directory in NETWORK_MANAGER {
        let Ok(entries) = std::fs::read_dir(Path::new(directory)) else { continue };
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        found.sort();
        files.extend(found);
    }
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

/// Whether these settings keep NetworkManager from making endpoints: `mptcp-flags` is 1, or the word for it
/// (`nm-settings-nmcli(5)`).
fn is_disabled(files: &[String]) -> bool {
    let mut disabled = false;
    for line in files.iter().flat_map(|file| file.lines()) {
        let Some((key, value)) = line.split_once('=') else { continue };
        if key.trim() == "connection.mptcp-flags" {
            disabled = matches!(value.trim(), "1" | "0x1" | "disabled");
        }
    }
    disabled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networkmanager_can_be_told_to_leave_paths_alone() {
        let files = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(!is_disabled(&[]));
        assert!(is_disabled(&files(&["[main]\nplugins=keyfile\n[connection]\nconnection.mptcp-flags=1\n"])));
        assert!(is_disabled(&files(&["connection.mptcp-flags = disabled"])));
        assert!(!is_disabled(&files(&["connection.mptcp-flags=1", "connection.mptcp-flags=0x22"])));
        assert!(!is_disabled(&files(&["#connection.mptcp-flags=1"])));
    }
}
