//! Who else manages the paths of this host: two that do it undo each other's work.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::{ManagerKind, Settings};

/// Where NetworkManager's settings are, the more important ones last (`NetworkManager.conf(5)`).
const NETWORK_MANAGER: [&str; 5] = [
    "/usr/lib/NetworkManager/conf.d",
    "/run/NetworkManager/conf.d",
    "/etc/NetworkManager/NetworkManager.conf",
    "/etc/NetworkManager/conf.d",
    "/var/lib/NetworkManager/NetworkManager-intern.conf",
];

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
        "NetworkManager" if !is_disabled(&configuration(&NETWORK_MANAGER.map(PathBuf::from))) => {
            Some(Rival::NetworkManager { pid })
        }
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

/// NetworkManager's settings in these files and directories, in the order in which they are read.
fn configuration(places: &[PathBuf]) -> Vec<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for place in places {
        let Ok(entries) = std::fs::read_dir(place) else {
            files.push(place.clone());
            continue;
        };
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        found.sort();
        // A file hides those of the same name in less important directories.
        files.retain(|file| !found.iter().any(|new| new.file_name() == file.file_name()));
        files.extend(found);
    }
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

/// Whether these settings keep NetworkManager from making endpoints: `connection.mptcp-flags` is 1 for all connections, in
/// the section `[connection]`, and not something else for some devices (`NetworkManager.conf(5)`, `nm-settings(5)`; the
/// words of nmcli are none there).
fn is_disabled(files: &[String]) -> bool {
    // Of each section that is about connections: whether it is disabled there, and whether that is for some devices only.
    let mut sections: BTreeMap<String, (Option<bool>, bool)> = BTreeMap::new();
    for file in files {
        let mut section = None;
        for line in file.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[') {
                let name = name.trim_end_matches(']');
                section = name.starts_with("connection").then(|| name.to_owned());
                // `[.config]` can make a file depend on the version and the environment: it promises nothing.
                if name == ".config" {
                    break;
                }
                continue;
            }
            let (Some(section), Some((key, value))) = (&section, line.split_once('=')) else { continue };
            let (disabled, partial) = sections.entry(section.clone()).or_default();
            match key.trim() {
                "connection.mptcp-flags" => *disabled = Some(value.trim() == "1"),
                "match-device" => *partial = true,
                _ => {}
            }
        }
    }
    sections.get("connection") == Some(&(Some(true), false))
        && sections.values().all(|(disabled, _)| *disabled != Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networkmanager_can_be_told_to_leave_paths_alone() {
        let files = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(!is_disabled(&[]));
        assert!(is_disabled(&files(&["[main]\nplugins=keyfile\n[connection]\nconnection.mptcp-flags=1\n"])));
        assert!(is_disabled(&files(&["[connection]\nconnection.mptcp-flags = 1"])));
        let (off, on) =
            ("[connection]\nconnection.mptcp-flags=1", "[connection]\nconnection.mptcp-flags=0x22");
        assert!(!is_disabled(&files(&[off, on])));
        assert!(is_disabled(&files(&[on, off])));
        // A key without a section, in another one, or with a word of nmcli's, says nothing.
        assert!(!is_disabled(&files(&["connection.mptcp-flags=1"])));
        assert!(!is_disabled(&files(&["[connection]\n[main]\nconnection.mptcp-flags=1"])));
        assert!(!is_disabled(&files(&["[connection]\nconnection.mptcp-flags=disabled"])));
        // For some devices only, or for all but some.
        assert!(!is_disabled(&files(&["[connection-lte]\nmatch-device=wwan0\nconnection.mptcp-flags=1"])));
        assert!(!is_disabled(&files(&["[connection]\nmatch-device=wwan0\nconnection.mptcp-flags=1"])));
        assert!(!is_disabled(&files(&[off, "[connection-lte]\nconnection.mptcp-flags=2"])));
        assert!(!is_disabled(&files(&[&format!("[.config]\nenable=nm-version:1.40\n{off}")])));
        assert!(!is_disabled(&files(&["#connection.mptcp-flags=1"])));
    }

    #[test]
    fn files_are_read_in_networkmanagers_order() {
        let directory = std::env::temp_dir().join(format!("mptcp-paths-rival-{}", std::process::id()));
        let place = |name: &str| directory.join(name);
        for (file, text) in [
            ("lib/20.conf", "lib 20"),
            ("lib/10.conf", "lib 10"),
            ("run/20.conf", "run 20"),
            ("run/20.txt", "no"),
            ("main.conf", "main"),
            ("etc/10.conf", "etc 10"),
        ] {
            let file = place(file);
            std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
            std::fs::write(file, text).expect("written");
        }
        let places = ["lib", "run", "main.conf", "etc", "intern.conf"].map(place);
        let read = configuration(&places);
        std::fs::remove_dir_all(&directory).expect("removed");
        assert_eq!(read, ["run 20", "main", "etc 10"]);
    }
}
