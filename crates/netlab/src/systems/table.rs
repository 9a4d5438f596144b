//! The table of kernels and systems. "v5.15" and the like are tags of the kernel's source.

use libc::{
    AF_INET6, AF_NETLINK, EACCES, EAFNOSUPPORT, EINVAL, ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
    IP_TOS, IPPROTO_IP, IPPROTO_TCP, NETLINK_GENERIC, NETLINK_SOCK_DIAG, SO_BINDTODEVICE, SO_NETNS_COOKIE,
    SOL_SOCKET, TCP_FASTOPEN, TCP_INFO, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY,
};

use super::{Expected, Rule, Sockets, System};

const IPPROTO_MPTCP: i32 = 262;
const SOL_MPTCP: i32 = 284;
const MPTCP_INFO: i32 = 1;
const MPTCP_FULL_INFO: i32 = 4;
const TCP_IS_MPTCP: i32 = 43;
const SO_BUF_LOCK: i32 = 72;
/// `struct mptcp_full_info` up to its `struct mptcp_info`.
const FULL_INFO_HEAD: usize = 40;

const fn no_mptcp(errno: i32) -> Rule {
    Rule::Socket { domain: None, protocol: Some(IPPROTO_MPTCP), errno }
}

const fn set(sockets: Sockets, level: i32, option: i32, errno: i32) -> Rule {
    Rule::Set { sockets, level, option, errno }
}

const fn get(sockets: Sockets, level: i32, option: i32, errno: i32) -> Rule {
    Rule::Get { sockets, level, option: Some(option), errno }
}

/// Kernels before 6.10 know no `TCP_IS_MPTCP`, and their MPTCP and TCP code say so in different words.
const NO_IS_MPTCP: [Rule; 2] = [
    get(Sockets::Mptcp, IPPROTO_TCP, TCP_IS_MPTCP, EOPNOTSUPP),
    get(Sockets::Tcp, IPPROTO_TCP, TCP_IS_MPTCP, ENOPROTOOPT),
];

/// A host on which nothing is wrong.
const PLAIN: Expected =
    Expected { why_tcp: None, unknown: &[], doctor: None, lists_paths: true, lists_connections: true };

/// A host without the code.
const WITHOUT: Expected = Expected { lists_paths: false, lists_connections: false, ..PLAIN };

/// Every kernel and system that is tried, the oldest kernels first.
pub const ALL: &[System] = &[
    System {
        name: "Linux 3.10",
        rules: &[
            no_mptcp(EINVAL),
            NO_IS_MPTCP[1],
            Rule::Short { level: IPPROTO_TCP, option: TCP_INFO, length: 104 },
            get(Sockets::All, SOL_SOCKET, SO_NETNS_COOKIE, ENOPROTOOPT),
            set(Sockets::All, SOL_SOCKET, SO_BUF_LOCK, ENOPROTOOPT),
            set(Sockets::All, SOL_SOCKET, SO_BINDTODEVICE, EPERM),
            Rule::NoCall(libc::SYS_getrandom),
            Rule::NoCall(libc::SYS_renameat2),
            Rule::NoCall(libc::SYS_statx),
            Rule::NoCall(libc::SYS_preadv2),
            Rule::NoCall(libc::SYS_copy_file_range),
            Rule::NoCall(libc::SYS_openat2),
            Rule::NoCall(libc::SYS_close_range),
            Rule::NoFamily("mptcp_pm"),
            Rule::NoDiagProtocol,
            Rule::NoFile("/proc/sys/net/mptcp"),
        ],
        differs: "`socket(…, 262)`: EINVAL. `struct tcp_info` ends after `tcpi_total_retrans`, at 104 bytes. No \
                  `openat2`, `statx`, `preadv2`, `getrandom`, `renameat2`. No `mptcp_pm`, no sysctls, no sockets of 262 in \
                  sock_diag",
        sources: "inet_create() in net/ipv4/af_inet.c (IPPROTO_MAX was 256) and include/uapi/linux/tcp.h of v3.10; \
                  \"since\" in the manual pages of the calls",
        expected: Expected {
            why_tcp: Some("kernel-too-old"),
            unknown: &["path.bytes_received", "path.bytes_sent", "path.bytes_acked", "path.min_rtt"],
            doctor: Some("no-mptcp"),
            ..WITHOUT
        },
    },
    System {
        name: "Linux 5.4",
        rules: &[
            no_mptcp(EINVAL),
            NO_IS_MPTCP[1],
            Rule::Short { level: IPPROTO_TCP, option: TCP_INFO, length: 232 },
            get(Sockets::All, SOL_SOCKET, SO_NETNS_COOKIE, ENOPROTOOPT),
            set(Sockets::All, SOL_SOCKET, SO_BUF_LOCK, ENOPROTOOPT),
            set(Sockets::All, SOL_SOCKET, SO_BINDTODEVICE, EPERM),
            Rule::NoCall(libc::SYS_openat2),
            Rule::NoCall(libc::SYS_close_range),
            Rule::NoFamily("mptcp_pm"),
            Rule::NoDiagProtocol,
            Rule::NoFile("/proc/sys/net/mptcp"),
        ],
        differs: "`socket(…, 262)`: EINVAL. No `openat2` (5.6), no `SO_BINDTODEVICE` for everybody (5.7), no `SO_NETNS_COOKIE` \
                  (5.14), no `SO_BUF_LOCK` (5.15). No `mptcp_pm`, no sysctls, no sockets of 262 in sock_diag",
        sources: "inet_create() in net/ipv4/af_inet.c of v5.4; socket(7); openat2(2)",
        expected: Expected { why_tcp: Some("kernel-too-old"), doctor: Some("no-mptcp"), ..WITHOUT },
    },
    System {
        name: "Linux 5.15",
        rules: &[
            NO_IS_MPTCP[0],
            NO_IS_MPTCP[1],
            Rule::Get { sockets: Sockets::Mptcp, level: SOL_MPTCP, option: None, errno: EOPNOTSUPP },
            Rule::Short { level: IPPROTO_TCP, option: TCP_INFO, length: 232 },
            set(Sockets::Mptcp, IPPROTO_TCP, TCP_NODELAY, EOPNOTSUPP),
            set(Sockets::Mptcp, IPPROTO_TCP, TCP_KEEPIDLE, EOPNOTSUPP),
            set(Sockets::Mptcp, IPPROTO_TCP, TCP_KEEPINTVL, EOPNOTSUPP),
            set(Sockets::Mptcp, IPPROTO_TCP, TCP_KEEPCNT, EOPNOTSUPP),
            set(Sockets::Mptcp, IPPROTO_TCP, TCP_FASTOPEN, EOPNOTSUPP),
            set(Sockets::Mptcp, IPPROTO_IP, IP_TOS, EOPNOTSUPP),
        ],
        differs: "No options of `SOL_MPTCP` (EOPNOTSUPP; 5.16), no `TCP_IS_MPTCP`; `TCP_INFO` is that of the first subflow. MPTCP \
                  sockets take no `TCP_NODELAY`, no `TCP_FASTOPEN`, no `IP_TOS` and, but for the series' last releases, no times of \
                  keep-alive",
        sources: "mptcp_getsockopt() and mptcp_setsockopt_sol_tcp() in net/mptcp/sockopt.c of v5.15; commits 55c42fa7fa33 \
                  (MPTCP_INFO), b56035101e1c (TCP_IS_MPTCP)",
        expected: Expected { unknown: &["mptcp", "paths"], ..PLAIN },
    },
    System {
        name: "Linux 6.1",
        rules: &[
            NO_IS_MPTCP[0],
            NO_IS_MPTCP[1],
            get(Sockets::Mptcp, SOL_MPTCP, MPTCP_FULL_INFO, EOPNOTSUPP),
            Rule::Short { level: SOL_MPTCP, option: MPTCP_INFO, length: 48 },
            Rule::Short { level: IPPROTO_TCP, option: TCP_INFO, length: 232 },
        ],
        differs: "No `MPTCP_FULL_INFO` (6.5), no `TCP_IS_MPTCP`. `struct mptcp_info` ends after `mptcpi_csum_enabled`, and is \
                  padded to 48 bytes",
        sources: "include/uapi/linux/mptcp.h of v6.1; mptcp.dev/mptcp-info.html",
        expected: Expected {
            unknown: &["mptcp.retransmits", "mptcp.bytes_received", "mptcp.subflows", "path.id"],
            ..PLAIN
        },
    },
    System {
        name: "Linux 6.6",
        rules: &[
            NO_IS_MPTCP[0],
            NO_IS_MPTCP[1],
            Rule::Short { level: SOL_MPTCP, option: MPTCP_INFO, length: 80 },
            Rule::Short { level: SOL_MPTCP, option: MPTCP_FULL_INFO, length: FULL_INFO_HEAD + 80 },
            Rule::Short { level: IPPROTO_TCP, option: TCP_INFO, length: 240 },
        ],
        differs: "No `TCP_IS_MPTCP` (6.10). `struct mptcp_info` ends after `mptcpi_bytes_acked`, at 80 bytes",
        sources: "include/uapi/linux/mptcp.h of v6.6; mptcp.dev/mptcp-info.html",
        expected: Expected { unknown: &["mptcp.subflows"], ..PLAIN },
    },
    System {
        name: "Linux without CONFIG_MPTCP",
        rules: &[
            no_mptcp(EPROTONOSUPPORT),
            Rule::NoFamily("mptcp_pm"),
            Rule::NoDiagProtocol,
            Rule::NoFile("/proc/sys/net/mptcp"),
        ],
        differs: "`socket(…, 262)`: EPROTONOSUPPORT. No `mptcp_pm`, no sysctls, no sockets of 262 in sock_diag",
        sources: "inet_create() in net/ipv4/af_inet.c, net/mptcp/Makefile",
        expected: Expected { why_tcp: Some("not-built"), doctor: Some("no-mptcp"), ..WITHOUT },
    },
    System {
        name: "net.mptcp.enabled=0",
        rules: &[no_mptcp(ENOPROTOOPT)],
        differs: "`socket(…, 262)`: ENOPROTOOPT. So are RHEL 8 and 9 as they are installed",
        sources: "mptcp_init_sock() in net/mptcp/protocol.c",
        expected: Expected { why_tcp: Some("disabled"), doctor: Some("disabled"), ..PLAIN },
    },
    System {
        name: "SELinux",
        rules: &[no_mptcp(EACCES)],
        differs: "`socket(…, 262)`: EACCES, where the policy has no rule for it",
        sources: "avc_has_perm() in security/selinux/avc.c",
        expected: Expected { why_tcp: Some("denied"), doctor: Some("denied"), ..PLAIN },
    },
    System {
        name: "seccomp or eBPF",
        rules: &[no_mptcp(EPERM)],
        differs: "`socket(…, 262)`: EPERM, as filters of container runtimes and BPF_CGROUP_INET_SOCK_CREATE programs say",
        sources: "seccomp(2); inet_create() in net/ipv4/af_inet.c",
        expected: Expected { why_tcp: Some("denied"), doctor: Some("denied"), ..PLAIN },
    },
    System {
        name: "gVisor",
        rules: &[
            no_mptcp(EINVAL),
            Rule::Socket {
                domain: Some(AF_NETLINK),
                protocol: Some(NETLINK_GENERIC),
                errno: EPROTONOSUPPORT,
            },
            Rule::Socket {
                domain: Some(AF_NETLINK),
                protocol: Some(NETLINK_SOCK_DIAG),
                errno: EPROTONOSUPPORT,
            },
            Rule::NoFile("/proc/sys/net/mptcp"),
            NO_IS_MPTCP[1],
            Rule::NoCall(libc::SYS_openat2),
        ],
        differs: "`socket(…, 262)`: EINVAL. No generic netlink and no sock_diag (EPROTONOSUPPORT), no `openat2`",
        sources: "getTransportProtocol() in pkg/sentry/socket/netstack/provider.go; pkg/sentry/socket/netlink",
        expected: Expected { why_tcp: Some("kernel-too-old"), doctor: Some("no-mptcp"), ..WITHOUT },
    },
    System {
        name: "Linux without IPv6",
        rules: &[Rule::Socket { domain: Some(AF_INET6), protocol: None, errno: EAFNOSUPPORT }],
        differs: "`socket(AF_INET6, …)`: EAFNOSUPPORT",
        sources: "__sock_create() in net/socket.c",
        expected: PLAIN,
    },
];
