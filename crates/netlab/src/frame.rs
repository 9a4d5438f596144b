//! Ethernet frames as a box on the way sees them: finds the TCP segment, reads it, rewrites its options,
//! answers it. Frames come from outside, so that nothing here may trust a length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

const ETHERNET: usize = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const IPPROTO_TCP: u8 = 6;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const TCP_CHECKSUM: usize = 16;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
// RFC 8684, section 3
const OPTION_MPTCP: u8 = 30;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The two ends of a TCP connection, in the same order for both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    ends: [(IpAddr, u16); 2],
}

/// Where the parts of a TCP segment are in its frame. All of its positions lie within the frame it was parsed
/// from.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    source: IpAddr,
    destination: IpAddr,
    tcp: usize,
    payload: usize,
    end: usize,
    flags: u8,
    source_port: u16,
    destination_port: u16,
}

impl Segment {
    /// The TCP segment in an Ethernet frame; `None` for all other frames, for fragments but the first, behind
    /// IPv6 extension headers, and where the headers contradict the frame's length.
    pub(crate) fn parse(frame: &[u8]) -> Option<Segment> {
        let (source, destination, tcp, end): (IpAddr, IpAddr, usize, usize);
        let packet = frame.get(ETHERNET..)?;
        match u16_at(frame, 12)? {
            ETHERTYPE_IPV4 => {
                let first = *packet.first()?;
                let header = usize::from(first & 0x0f) * 4;
                let fragment_offset = u16_at(packet, 6)? & 0x1fff;
                if first >> 4 != 4 || header < 20 || *packet.get(9)? != IPPROTO_TCP || fragment_offset != 0 {
                    return None;
                }
                source = Ipv4Addr::from(array::<4>(packet, 12)?).into();
                destination = Ipv4Addr::from(array::<4>(packet, 16)?).into();
                tcp = ETHERNET + header;
                end = ETHERNET + usize::from(u16_at(packet, 2)?);
            }
            ETHERTYPE_IPV6 => {
                if packet.first()? >> 4 != 6 || *packet.get(6)? != IPPROTO_TCP {
                    return None;
                }
                source = Ipv6Addr::from(array::<16>(packet, 8)?).into();
                destination = Ipv6Addr::from(array::<16>(packet, 24)?).into();
                tcp = ETHERNET + IPV6_HEADER;
                end = tcp + usize::from(u16_at(packet, 4)?);
            }
            _ => return None,
        }
        let header = usize::from(frame.get(tcp + 12)? >> 4) * 4;
        let payload = tcp + header;
        if header < TCP_HEADER || payload > end || end > frame.len() {
            return None;
        }
        Some(Segment {
            source,
            destination,
            tcp,
            payload,
            end,
            flags: *frame.get(tcp + 13)?,
            source_port: u16_at(frame, tcp)?,
            destination_port: u16_at(frame, tcp + 2)?,
        })
    }

    pub(crate) fn flow(&self) -> Flow {
        let mut ends = [(self.source, self.source_port), (self.destination, self.destination_port)];
        ends.sort_unstable();
        Flow { ends }
    }

    /// A SYN of either side: the SYN itself or SYN+ACK.
    pub(crate) fn is_syn(&self) -> bool {
        self.flags & SYN != 0
    }

    /// The SYN that opens a connection.
    pub(crate) fn opens(&self) -> bool {
        self.flags & (SYN | ACK) == SYN
    }

    /// Bytes of application data.
    pub(crate) fn payload_length(&self) -> usize {
        self.end - self.payload
    }

    fn options<'frame>(&self, frame: &'frame [u8]) -> &'frame [u8] {
        frame.get(self.tcp + TCP_HEADER..self.payload).unwrap_or_default()
    }

    /// Whether any MPTCP option is on the segment.
    pub(crate) fn has_mptcp(&self, frame: &[u8]) -> bool {
        mptcp_options(self.options(frame)).next().is_some()
    }

    /// Overwrites every MPTCP option with NOPs. With `checksum_is_partial` the sender's interface has yet to
    /// sum over the segment; otherwise the checksum is brought up to date (RFC 1624).
    pub(crate) fn strip_mptcp(&self, frame: &mut [u8], checksum_is_partial: bool) {
        let ranges: Vec<_> = mptcp_options(self.options(frame)).collect();
        let before = sum(self.options(frame));
        let Some(options) = frame.get_mut(self.tcp + TCP_HEADER..self.payload) else { return };
        for range in ranges {
            options.get_mut(range).unwrap_or_default().fill(OPTION_NOP);
        }
        let after = sum(options);
        if checksum_is_partial {
            return;
        }
        if let Some(old) = u16_at(frame, self.tcp + TCP_CHECKSUM) {
            let new = !fold(u64::from(!old) + u64::from(!fold(before)) + after);
            put(frame, self.tcp + TCP_CHECKSUM, &new.to_be_bytes());
        }
    }

    /// The frame with which a host that doesn't want this segment answers it: RST+ACK (RFC 9293, section
    /// 3.10.7.1).
    pub(crate) fn reset(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let consumed =
            self.payload_length() + usize::from(self.is_syn()) + usize::from(self.flags & FIN != 0);
        let sequence = u32::from_be_bytes(array::<4>(frame, self.tcp + 4)?);
        let acknowledged = sequence.wrapping_add(u32::try_from(consumed).ok()?);

        let mut segment = Vec::with_capacity(TCP_HEADER);
        segment.extend(self.destination_port.to_be_bytes());
        segment.extend(self.source_port.to_be_bytes());
        segment.extend(0_u32.to_be_bytes());
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([(TCP_HEADER as u8 / 4) << 4, RST | ACK, 0, 0, 0, 0, 0, 0]);

        let mut answer = Vec::with_capacity(ETHERNET + IPV6_HEADER + TCP_HEADER);
        answer.extend(frame.get(6..12)?);
        answer.extend(frame.get(0..6)?);
        let pseudo_header = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header =
                    vec![0x45, 0, 0, (20 + TCP_HEADER) as u8, 0, 0, 0x40, 0, 64, IPPROTO_TCP, 0, 0];
                header.extend(destination.octets());
                header.extend(source.octets());
                let checksum = !fold(sum(&header));
                put(&mut header, 10, &checksum.to_be_bytes());
                answer.extend(ETHERTYPE_IPV4.to_be_bytes());
                answer.extend(header);
                sum(&source.octets()) + sum(&destination.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                answer.extend(ETHERTYPE_IPV6.to_be_bytes());
                answer.extend([0x60, 0, 0, 0, 0, TCP_HEADER as u8, IPPROTO_TCP, 64]);
                answer.extend(destination.octets());
                answer.extend(source.octets());
                sum(&source.octets()) + sum(&destination.octets())
            }
            _ => return None,
        };
        let total = pseudo_header + u64::from(IPPROTO_TCP) + TCP_HEADER as u64 + sum(&segment);
        put(&mut segment, TCP_CHECKSUM, &(!fold(total)).to_be_bytes());
        answer.extend(segment);
        Some(answer)
    }
}

/// Where MPTCP options are among TCP options; ends at the first one whose length makes no sense.
fn mptcp_options(options: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let kind = *options.get(at)?;
            if kind == OPTION_END {
                return None;
            }
            let length = if kind == OPTION_NOP { 1 } else { usize::from(*options.get(at + 1)?) };
            if length == 0 || (kind != OPTION_NOP && length < 2) || at + length > options.len() {
                return None;
            }
            let range = at..at + length;
            at += length;
            if kind == OPTION_MPTCP {
                return Some(range);
            }
        }
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array::<2>(bytes, at).map(u16::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// The sum of the Internet checksum (RFC 1071), not yet folded.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
#[cfg(test)]
pub(crate) use tests::tcp_frame;
