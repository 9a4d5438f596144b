//! Which processes hold which sockets: the descriptors in `/proc/PID/fd` (`proc_pid_fd(5)`).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::Process;

/// Who holds each of these sockets, by inode, and how many processes did not let themselves be looked at.
pub(super) fn holders(wanted: &[u32]) -> (HashMap<u32, Vec<Process>>, usize) {
    let wanted: HashSet<u32> = wanted.iter().copied().collect();
    let mut found: HashMap<u32, Vec<Process>> = HashMap::new();
    let mut hidden = 0;
    if wanted.is_empty() {
        return (found, hidden);
    }
    // Without /proc nobody can be seen, and nobody is hidden either: the connections are there all the same.
    let Ok(entries) = fs::read_dir("/proc") else { return (found, hidden) };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let folder = entry.path();
        let descriptors = match fs::read_dir(folder.join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                hidden += 1;
                continue;
            }
            // It has ended since.
            Err(_) => continue,
        };
        let mut mine: Vec<u32> = descriptors
            .flatten()
            .filter_map(|descriptor| socket_inode(&fs::read_link(descriptor.path()).ok()?))
            .filter(|inode| wanted.contains(inode))
            .collect();
        mine.sort_unstable();
        mine.dedup();
        if mine.is_empty() {
            continue;
        }
        let name = plain_name(&fs::read(folder.join("comm")).unwrap_or_default());
        for inode in mine {
            found.entry(inode).or_default().push(Process { pid, name: name.clone() });
        }
    }
    (found, hidden)
}

/// What a program calls itself (`proc_pid_comm(5)`), for a terminal: it may be any bytes, those of commands to a terminal
/// among them.
fn plain_name(comm: &[u8]) -> String {
    let comm = comm.strip_suffix(b"\n").unwrap_or(comm);
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(comm).chars().map(plain).collect()
}

/// The inode in `socket:[123]`.
fn socket_inode(link: &Path) -> Option<u32> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn descriptors_name_their_sockets() {
        assert_eq!(socket_inode(Path::new("socket:[4711]")), Some(4711));
        for other in ["pipe:[4711]", "socket:[]", "socket:[-1]", "/dev/null", "socket:[4711"] {
            assert_eq!(socket_inode(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn names_of_programs_can_do_nothing_to_a_terminal() {
        assert_eq!(plain_name(b"curl\n"), "curl");
        assert_eq!(plain_name("caf\u{e9}\n".as_bytes()), "caf\u{e9}");
        let name = plain_name(b"a\x1b[2J\nb\x7f\xff\xc2\x9b\n");
        assert_eq!(name, "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}\u{fffd}");
        assert!(!name.chars().any(char::is_control));
    }

    #[test]
    fn a_process_finds_itself() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = socket_inode(&link).unwrap();
        let (found, _) = holders(&[inode]);
        assert!(found[&inode].iter().any(|process| process.pid == std::process::id()), "{found:?}");
        assert!(holders(&[]).0.is_empty());
    }
}
