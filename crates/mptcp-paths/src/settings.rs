//! The sysctls of MPTCP (`Documentation/networking/mptcp-sysctl.rst`), and who manages the paths.

use std::fmt;
use std::path::Path;

const DIRECTORY: &str = "/proc/sys/net/mptcp";

/// The sysctls `net.mptcp.*` of a network namespace. What the kernel doesn't have is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Settings {
    /// Whether MPTCP sockets can be made (Linux 5.6).
    pub enabled: Option<bool>,
    /// The path manager of new connections by name, `kernel` or `userspace` (Linux 6.16).
    pub path_manager: Option<String>,
    /// The path manager of new connections by number: 0 the kernel's, 1 a program's (Linux 5.19).
    pub pm_type: Option<u32>,
    /// The names that `path_manager` can have (Linux 6.16).
    pub available_path_managers: Option<Vec<String>>,
    /// Who decides which path a packet takes, by name (Linux 6.6).
    pub scheduler: Option<String>,
    /// The names that `scheduler` can have (Linux 6.10).
    pub available_schedulers: Option<Vec<String>>,
    /// Seconds until an ADD_ADDR without its echo is sent again (Linux 5.10).
    pub add_addr_timeout: Option<u32>,
    /// Whether peers may send joins to the address and port of the first path (the C flag of RFC 8684, section 3.1;
    /// Linux 5.15).
    pub allow_join_initial_addr_port: Option<bool>,
    /// Whether data is checksummed (RFC 8684, section 3.3.1; Linux 5.14).
    pub checksum_enabled: Option<bool>,
    /// After how many retransmissions in a row without an answer a path is stale and carries no new data (Linux 5.15).
    pub stale_loss_cnt: Option<u32>,
    /// Seconds for which MPTCP is off for the host after a box swallowed its SYNs; 0: never off (Linux 6.12).
    pub blackhole_timeout: Option<u32>,
    /// Seconds for which a connection without paths waits for one, and for which a closed one is kept (Linux 6.8).
    pub close_timeout: Option<u32>,
    /// How many SYNs are sent with MPTCP before it is left away (Linux 6.15).
    pub syn_retrans_before_tcp_fallback: Option<u32>,
}

/// Who manages the paths of new connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ManagerKind {
    /// The kernel, by the endpoints and limits of the namespace.
    Kernel,
    /// A program, such as mptcpd; endpoints are of no use then.
    Userspace,
    /// Another one, by its name or number (a BPF program's, say).
    Other(String),
}

impl fmt::Display for ManagerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("kernel"),
            Self::Userspace => f.write_str("userspace"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl Settings {
    /// Reads those of the calling thread's network namespace. Everyone may. Where there are none, or /proc isn't
    /// mounted, all are `None`.
    #[must_use]
    pub fn read() -> Self {
        Self::read_from(Path::new(DIRECTORY))
    }

    fn read_from(directory: &Path) -> Self {
        let text = |name: &str| {
            let value = std::fs::read_to_string(directory.join(name)).ok()?;
            Some(value.trim().to_owned())
        };
        let number = |name: &str| text(name)?.parse::<u32>().ok();
        let flag = |name: &str| Some(number(name)? != 0);
        let words = |name: &str| Some(text(name)?.split_ascii_whitespace().map(str::to_owned).collect());
        Self {
            enabled: flag("enabled"),
            path_manager: text("path_manager"),
            pm_type: number("pm_type"),
            available_path_managers: words("available_path_managers"),
            scheduler: text("scheduler"),
            available_schedulers: words("available_schedulers"),
            add_addr_timeout: number("add_addr_timeout"),
            allow_join_initial_addr_port: flag("allow_join_initial_addr_port"),
            checksum_enabled: flag("checksum_enabled"),
            stale_loss_cnt: number("stale_loss_cnt"),
            blackhole_timeout: number("blackhole_timeout"),
            close_timeout: number("close_timeout"),
            syn_retrans_before_tcp_fallback: number("syn_retrans_before_tcp_fallback"),
        }
    }

    /// Who manages the paths of new connections; `None` without MPTCP.
    #[must_use]
    pub fn manager(&self) -> Option<ManagerKind> {
        match (self.path_manager.as_deref(), self.pm_type) {
            (Some("kernel"), _) => Some(ManagerKind::Kernel),
            (Some("userspace"), _) => Some(ManagerKind::Userspace),
            (Some(name), _) => Some(ManagerKind::Other(name.to_owned())),
            (None, Some(0)) => Some(ManagerKind::Kernel),
            (None, Some(1)) => Some(ManagerKind::Userspace),
            (None, Some(number)) => Some(ManagerKind::Other(number.to_string())),
            // Before there was a choice.
            (None, None) => self.enabled.map(|_| ManagerKind::Kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_none() {
        let directory = std::env::temp_dir().join(format!("mptcp-paths-settings-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        for (name, value) in [("enabled", "1\n"), ("pm_type", "1\n"), ("stale_loss_cnt", "nonsense\n")] {
            std::fs::write(directory.join(name), value).expect("a file");
        }
        let settings = Settings::read_from(&directory);
        std::fs::remove_dir_all(&directory).expect("removed");
        let expected = Settings { enabled: Some(true), pm_type: Some(1), ..Settings::default() };
        assert_eq!(settings, expected);
        assert_eq!(settings.manager(), Some(ManagerKind::Userspace));
        assert_eq!(Settings::read_from(&directory).manager(), None);
    }

    #[test]
    fn the_name_tells_more_than_the_number() {
        let named = |name: &str, pm_type| {
            Settings { path_manager: Some(name.to_owned()), pm_type, ..Settings::default() }.manager()
        };
        assert_eq!(named("kernel", Some(0)), Some(ManagerKind::Kernel));
        assert_eq!(named("mine", Some(2)), Some(ManagerKind::Other("mine".to_owned())));
        let old = Settings { enabled: Some(true), ..Settings::default() };
        assert_eq!(old.manager(), Some(ManagerKind::Kernel));
    }
}
