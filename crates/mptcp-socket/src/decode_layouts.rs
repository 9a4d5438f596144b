//! The structures as the kernel's headers have them (`<linux/tcp.h>`, `<linux/mptcp.h>`, `<linux/socket.h>`), laid out by the
//! compiler for the target at hand: where a field is not where `decode` reads it, nothing builds. Words of 64 bits that want
//! four bytes' alignment (x86 with 32 bits) or eight must not make a difference, but for the one that is known.

#![allow(dead_code, reason = "laid out, never made")]

use std::mem::{align_of, offset_of};

use super::{MPTCP_INFO_SIZE, SUBFLOW_ADDRS_SIZE, SUBFLOW_INFO_SIZE, TCP_INFO_SIZE};

/// `struct tcp_info` up to the last field that is read.
#[repr(C)]
struct TcpInfo {
    state: u8,
    ca_state: u8,
    retransmits: u8,
    probes: u8,
    backoff: u8,
    options: u8,
    bits: [u8; 2],
    rto: u32,
    ato: u32,
    snd_mss: u32,
    rcv_mss: u32,
    unacked: u32,
    sacked: u32,
    lost: u32,
    retrans: u32,
    fackets: u32,
    last_data_sent: u32,
    last_ack_sent: u32,
    last_data_recv: u32,
    last_ack_recv: u32,
    pmtu: u32,
    rcv_ssthresh: u32,
    rtt: u32,
    rttvar: u32,
    snd_ssthresh: u32,
    snd_cwnd: u32,
    advmss: u32,
    reordering: u32,
    rcv_rtt: u32,
    rcv_space: u32,
    total_retrans: u32,
    pacing_rate: u64,
    max_pacing_rate: u64,
    bytes_acked: u64,
    bytes_received: u64,
    segs_out: u32,
    segs_in: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    busy_time: u64,
    rwnd_limited: u64,
    sndbuf_limited: u64,
    delivered: u32,
    delivered_ce: u32,
    bytes_sent: u64,
}

/// `struct mptcp_info`.
#[repr(C)]
struct Mptcp {
    subflows: u8,
    add_addr_signal: u8,
    add_addr_accepted: u8,
    subflows_max: u8,
    add_addr_signal_max: u8,
    add_addr_accepted_max: u8,
    flags: u32,
    token: u32,
    write_seq: u64,
    snd_una: u64,
    rcv_nxt: u64,
    local_addr_used: u8,
    local_addr_max: u8,
    csum_enabled: u8,
    retransmits: u32,
    bytes_retrans: u64,
    bytes_sent: u64,
    bytes_received: u64,
    bytes_acked: u64,
    subflows_total: u8,
    reserved: [u8; 3],
    last_data_sent: u32,
    last_data_recv: u32,
    last_ack_recv: u32,
}

/// `struct __kernel_sockaddr_storage`, whose alignment is a pointer's.
#[repr(C)]
union Storage {
    bytes: [u8; 128],
    align: *const u8,
}

/// `struct mptcp_subflow_info`, with its `struct mptcp_subflow_addrs`.
#[repr(C)]
struct SubflowInfo {
    id: u32,
    local: Storage,
    remote: Storage,
}

const _: () = {
    assert!(offset_of!(TcpInfo, last_data_recv) == 52);
    assert!(offset_of!(TcpInfo, rtt) == 68);
    assert!(offset_of!(TcpInfo, snd_cwnd) == 80);
    assert!(offset_of!(TcpInfo, total_retrans) == 100);
    assert!(offset_of!(TcpInfo, bytes_acked) == 120);
    assert!(offset_of!(TcpInfo, bytes_received) == 128);
    assert!(offset_of!(TcpInfo, min_rtt) == 148);
    assert!(offset_of!(TcpInfo, delivery_rate) == 160);
    assert!(offset_of!(TcpInfo, bytes_sent) == 200);
    assert!(size_of::<TcpInfo>() <= TCP_INFO_SIZE);

    assert!(offset_of!(Mptcp, add_addr_accepted_max) == 5);
    assert!(offset_of!(Mptcp, flags) == 8);
    assert!(offset_of!(Mptcp, token) == 12);
    assert!(offset_of!(Mptcp, retransmits) == 44);
    assert!(offset_of!(Mptcp, bytes_retrans) == 48);
    assert!(offset_of!(Mptcp, bytes_acked) == 72);
    assert!(offset_of!(Mptcp, subflows_total) == 80);
    assert!(size_of::<Mptcp>() == MPTCP_INFO_SIZE);

    // What differs: 8 with pointers of 64 bits, 4 with those of 32.
    assert!(offset_of!(SubflowInfo, local) == align_of::<*const u8>());
    assert!(offset_of!(SubflowInfo, remote) - offset_of!(SubflowInfo, local) == SUBFLOW_ADDRS_SIZE / 2);
    assert!(size_of::<SubflowInfo>() == SUBFLOW_ADDRS_SIZE + align_of::<*const u8>());
    assert!(size_of::<SubflowInfo>() <= SUBFLOW_INFO_SIZE);
};

/// Bytes as a kernel of either byte order leaves them, so that a decoder which assumes one of them fails on the other.
#[cfg(test)]
mod tests {
    use super::super::{full_info, mptcp_info, subflow_data, tcp_info};
    use std::time::Duration;

    /// A byte order, and whether it is this target's.
    const ORDERS: [(bool, bool); 2] =
        [(true, cfg!(target_endian = "big")), (false, cfg!(target_endian = "little"))];

    struct Bytes {
        big: bool,
        bytes: Vec<u8>,
    }

    impl Bytes {
        fn put<const N: usize>(&mut self, at: usize, big: [u8; N]) {
            let place = &mut self.bytes[at..at + N];
            place.copy_from_slice(&big);
            if !self.big {
                place.reverse();
            }
        }

        fn u16(mut self, at: usize, value: u16) -> Self {
            self.put(at, value.to_be_bytes());
            self
        }

        fn u32(mut self, at: usize, value: u32) -> Self {
            self.put(at, value.to_be_bytes());
            self
        }

        fn u64(mut self, at: usize, value: u64) -> Self {
            self.put(at, value.to_be_bytes());
            self
        }

        /// As on the wire, whatever the kernel's own order.
        fn raw(mut self, at: usize, bytes: &[u8]) -> Self {
            self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
            self
        }
    }

    fn zeros(big: bool, length: usize) -> Bytes {
        Bytes { big, bytes: vec![0; length] }
    }

    #[test]
    fn numbers_are_read_in_the_order_of_this_target_alone() {
        for (big, native) in ORDERS {
            let bytes = zeros(big, 256).u32(68, 25_000).u64(128, 1 << 40 | 7).u32(100, 3).raw(0, &[1]);
            let path = tcp_info(&bytes.bytes);
            let read = path.rtt == Some(Duration::from_millis(25))
                && path.bytes_received == Some(1 << 40 | 7)
                && path.retransmits == Some(3);
            assert_eq!(read, native, "{path:?}");

            let bytes = zeros(big, 96).u32(8, 1).u32(12, 0x0102_0304).u64(64, 1 << 33).u32(44, 9);
            let info = mptcp_info(&bytes.bytes);
            let read = info.fallback
                && info.token == 0x0102_0304
                && info.bytes_received == Some(1 << 33)
                && info.retransmits == Some(9);
            assert_eq!(read, native, "{info:?}");

            // The header says one record of 4 bytes.
            let bytes = zeros(big, 20).u32(0, 16).u32(4, 1).u32(8, 4).u32(12, 4).raw(16, b"this");
            let records = subflow_data(&bytes.bytes, 20);
            assert_eq!(records == [b"this"], native, "{records:?}");
        }
    }

    /// Addresses behind an id, with a kernel's padding for 64 bits and without it for 32.
    #[test]
    fn addresses_are_found_in_the_layout_of_a_kernel_of_either_width() {
        let (big, _) = ORDERS[usize::from(cfg!(target_endian = "little"))];
        for offset in [4, 8] {
            let bytes = zeros(big, 264)
                .u32(0, 5)
                .u16(offset, 2)
                .raw(offset + 2, &[0x1f, 0x90, 10, 0, 0, 1])
                .u16(offset + 128, 2)
                .raw(offset + 130, &[0, 80, 10, 0, 0, 2]);
            let paths = full_info(&bytes.bytes, 264, &[0; 256], 256, 1);
            assert_eq!(paths[0].id, Some(5));
            assert_eq!(paths[0].local, Some("10.0.0.1:8080".parse().unwrap()));
            assert_eq!(paths[0].remote, Some("10.0.0.2:80".parse().unwrap()));
        }
    }
}
