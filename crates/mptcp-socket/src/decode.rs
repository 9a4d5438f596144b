//! Reads the kernel's structures from bytes: `tcp_info`, `mptcp_info`, `mptcp_subflow_addrs` and their kin.
//!
//! They grow with the kernel, so nothing is cast: each field is read at its offset, and one beyond the length that
//! the kernel returned is `None`. No bytes, however odd, make these functions panic.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    time::Duration,
};

use crate::{MptcpInfo, Path, PathState};

#[path = "decode_layouts.rs"]
mod layouts;

/// Size of `struct mptcp_subflow_addrs` (`<linux/mptcp.h>`): two unions as large as `sockaddr_storage`.
pub const SUBFLOW_ADDRS_SIZE: usize = 256;
/// Size of `struct mptcp_subflow_info`: an id, padding to the alignment of the addresses, the addresses. Without the padding
/// on kernels of 32 bits, where nothing in it wants more than four bytes' alignment.
pub const SUBFLOW_INFO_SIZE: usize = 264;
/// Size of `struct mptcp_info` as of Linux 6.18.
pub const MPTCP_INFO_SIZE: usize = 96;
/// Room for `struct tcp_info`, as of Linux 6.18 and some more.
pub const TCP_INFO_SIZE: usize = 256;

/// `AF_INET` and `AF_INET6` as Linux numbers them: these bytes come from a Linux kernel only.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `MPTCP_INFO_FLAG_FALLBACK`.
const FLAG_FALLBACK: u32 = 1;

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array(bytes, offset).map(u64::from_ne_bytes)
}

/// `struct mptcp_info`, as far as the bytes reach.
#[must_use]
pub fn mptcp_info(bytes: &[u8]) -> MptcpInfo {
    MptcpInfo {
        extra_subflows: u8_at(bytes, 0).unwrap_or(0),
        add_addr_signal: u8_at(bytes, 1).unwrap_or(0),
        add_addr_accepted: u8_at(bytes, 2).unwrap_or(0),
        extra_subflows_max: u8_at(bytes, 3).unwrap_or(0),
        add_addr_accepted_max: u8_at(bytes, 5).unwrap_or(0),
        fallback: u32_at(bytes, 8).unwrap_or(0) & FLAG_FALLBACK != 0,
        token: u32_at(bytes, 12).unwrap_or(0),
        // Before Linux 6.5 these four bytes were padding, on kernels of 64 bits: only what is behind them tells.
        retransmits: u64_at(bytes, 48).and(u32_at(bytes, 44)),
        bytes_retransmitted: u64_at(bytes, 48),
        bytes_sent: u64_at(bytes, 56),
        bytes_received: u64_at(bytes, 64),
        bytes_acked: u64_at(bytes, 72),
        // Zero stands for "the kernel has the room but not the count": an MPTCP connection has at least one while
        // it lives, and a closing one reports the extra ones in the first field.
        subflows: u8_at(bytes, 80).filter(|&count| count > 0),
    }
}

/// A path from `struct tcp_info`, as far as the bytes reach; the addresses come from elsewhere.
#[must_use]
pub fn tcp_info(bytes: &[u8]) -> Path {
    let micros = |offset| u32_at(bytes, offset).map(|us| Duration::from_micros(u64::from(us)));
    Path {
        id: None,
        local: None,
        remote: None,
        interface: None,
        state: PathState::from_number(u8_at(bytes, 0).unwrap_or(0)),
        rtt: micros(68).filter(|rtt| !rtt.is_zero()),
        // The kernel starts the minimum at ~0U and lowers it with the first sample.
        min_rtt: u32_at(bytes, 148)
            .filter(|&us| us != 0 && us != u32::MAX)
            .map(|us| Duration::from_micros(u64::from(us))),
        bytes_received: u64_at(bytes, 128),
        bytes_sent: u64_at(bytes, 200),
        bytes_acked: u64_at(bytes, 120),
        retransmits: u32_at(bytes, 100),
        congestion_window: u32_at(bytes, 80),
        delivery_rate: u64_at(bytes, 160).filter(|&rate| rate > 0),
        idle_receive: u32_at(bytes, 52).map(|ms| Duration::from_millis(u64::from(ms))),
    }
}

/// A `sockaddr` of either family.
#[must_use]
pub fn sockaddr(bytes: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(array(bytes, 2)?);
    match u16::from_ne_bytes(array(bytes, 0)?) {
        AF_INET => Some(SocketAddrV4::new(Ipv4Addr::from(array::<4>(bytes, 4)?), port).into()),
        AF_INET6 => {
            let flow = u32::from_be_bytes(array(bytes, 4)?);
            let address = Ipv6Addr::from(array::<16>(bytes, 8)?);
            let scope = u32_at(bytes, 24)?;
            Some(SocketAddrV6::new(address, port, flow, scope).into())
        }
        _ => None,
    }
}

/// The addresses of a `struct mptcp_subflow_addrs`: local, remote.
#[must_use]
pub fn subflow_addrs(bytes: &[u8]) -> (Option<SocketAddr>, Option<SocketAddr>) {
    (sockaddr(bytes), bytes.get(SUBFLOW_ADDRS_SIZE / 2..).and_then(sockaddr))
}

/// The addresses in a `struct mptcp_subflow_info`. It is the kernel's layout that counts: a program of 32 bits may run on a
/// kernel of 64.
fn subflow_info_addrs(info: &[u8]) -> Option<&[u8]> {
    // Padding is zero, and no family is.
    let padded = array(info, 4).map(u16::from_ne_bytes) == Some(0);
    info.get(if padded { 8 } else { 4 }..)
}

/// The paths of an `MPTCP_FULL_INFO`: `count` entries in two arrays, each with the stride that was asked for.
#[must_use]
pub fn full_info(
    infos: &[u8],
    info_stride: usize,
    tcps: &[u8],
    tcp_stride: usize,
    count: usize,
) -> Vec<Path> {
    if info_stride == 0 || tcp_stride == 0 {
        return Vec::new();
    }
    let addresses = infos.chunks_exact(info_stride);
    addresses
        .zip(tcps.chunks_exact(tcp_stride))
        .take(count)
        .map(|(info, tcp)| {
            let mut path = tcp_info(tcp);
            path.id = u32_at(info, 0);
            (path.local, path.remote) = subflow_info_addrs(info).map_or((None, None), subflow_addrs);
            path
        })
        .collect()
}

/// The entries of an `MPTCP_TCPINFO` or `MPTCP_SUBFLOW_ADDRS` answer: a `struct mptcp_subflow_data` header, then
/// one record of `size_user` bytes for each subflow. `length` is what the kernel said it filled.
#[must_use]
pub fn subflow_data(bytes: &[u8], length: usize) -> Vec<&[u8]> {
    let bytes = bytes.get(..length.min(bytes.len())).unwrap_or_default();
    let (Some(header), Some(count), Some(kernel), Some(user)) =
        (u32_at(bytes, 0), u32_at(bytes, 4), u32_at(bytes, 8), u32_at(bytes, 12))
    else {
        return Vec::new();
    };
    let stride = user as usize;
    // The kernel writes no more than its own structure holds: the rest of a record is ours, and zero.
    let filled = stride.min(kernel as usize);
    let records = bytes.get(header as usize..).unwrap_or_default();
    if stride == 0 {
        return Vec::new();
    }
    records
        .chunks_exact(stride)
        .take(count as usize)
        .map(|record| record.get(..filled).unwrap_or(record))
        .collect()
}

/// One counter of `/proc/net/netstat`: a line of names and a line of numbers for each group.
///
/// The counters are those of a whole network namespace: evidence, never proof for one connection.
#[must_use]
pub fn counter(table: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(':'));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let position = names.split_whitespace().position(|other| other == name)?;
    numbers.split_whitespace().nth(position)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_structure_leaves_its_tail_out() {
        // Linux 5.16's mptcp_info ended after rcv_nxt, csum and local addresses: 44 bytes, 48 with 64 bits.
        for length in [44, 48] {
            let info = mptcp_info(&[1].repeat(length));
            assert_eq!(info.extra_subflows, 1);
            assert_eq!((info.retransmits, info.bytes_received, info.subflows), (None, None, None));
        }
        let info = mptcp_info(&[1; 80]);
        assert_eq!((info.retransmits, info.bytes_acked.is_some()), (Some(0x0101_0101), true));
        assert_eq!(info.subflows, None);
        let path = tcp_info(&[1; 104]);
        assert_eq!(path.state, PathState::Established);
        assert!(path.rtt.is_some() && path.retransmits.is_some());
        assert_eq!((path.bytes_received, path.delivery_rate), (None, None));
    }

    #[test]
    fn both_families_are_read() {
        let mut bytes = [0; SUBFLOW_ADDRS_SIZE];
        bytes[..2].copy_from_slice(&2u16.to_ne_bytes());
        bytes[2..8].copy_from_slice(&[0x1f, 0x90, 10, 0, 0, 1]);
        bytes[128..130].copy_from_slice(&10u16.to_ne_bytes());
        bytes[130..132].copy_from_slice(&[0, 80]);
        bytes[151] = 1;
        let (local, remote) = subflow_addrs(&bytes);
        assert_eq!(local, Some("10.0.0.1:8080".parse().unwrap()));
        assert_eq!(remote, Some("[::1]:80".parse().unwrap()));
    }

    #[test]
    fn records_are_cut_to_what_the_kernel_filled() {
        let mut bytes = [0u8; 16 + 2 * 32];
        for (offset, value) in [(0, 16u32), (4, 2), (8, 20), (12, 32)] {
            bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let records = subflow_data(&bytes, bytes.len());
        assert_eq!(records.iter().map(|r| r.len()).collect::<Vec<_>>(), [20, 20]);
    }

    #[test]
    fn counters_are_found_by_name() {
        let table = "TcpExt: A B\nTcpExt: 1 2\nMPTcpExt: B Blackhole\nMPTcpExt: 3 4\n";
        assert_eq!(counter(table, "MPTcpExt", "Blackhole"), Some(4));
        assert_eq!(counter(table, "TcpExt", "Blackhole"), None);
        assert_eq!(counter("MPTcpExt: B\n", "MPTcpExt", "B"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            crate::fuzzing::kernel_structures(&bytes);
            let _ = counter(&String::from_utf8_lossy(&bytes), "T", "a");
        }
    }
}
