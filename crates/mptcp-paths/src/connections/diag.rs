//! The messages of sock_diag for Internet sockets (`<linux/inet_diag.h>`), to and from our own types.
//!
//! Not by the crate netlink-packet-sock-diag: its requests have no room for the attribute that names protocols above 255,
//! as MPTCP's 262 is, and it refuses a whole answer for one attribute that has grown.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mptcp_socket::{MptcpInfo, Path, PathState, decode};
use netlink_packet_core::{
    DefaultNla, Emitable, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlaBuffer, NlasIterator,
    parse_u8, parse_u16, parse_u32, parse_u64,
};

use super::{SubflowFlags, SubflowInfo};

/// `SOCK_DIAG_BY_FAMILY`, requests and answers alike.
pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;

pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;

pub(super) const IPPROTO_TCP: u32 = 6;
pub(super) const IPPROTO_MPTCP: u32 = 262;
/// In the field for a protocol, beside the attribute that counts: one that nobody has (RFC 3692), so that a kernel which
/// doesn't know the attribute says so instead of listing something else.
const NO_PROTOCOL: u8 = 253;

/// `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// `struct inet_diag_msg`.
pub(super) const ANSWER: usize = 72;

const REQ_PROTOCOL: u16 = 3;

// INET_DIAG_*
const INFO: u16 = 2;
const CONG: u16 = 4;
const ULP_INFO: u16 = 19;
/// What is asked for: bit N-1 for the attribute N.
const EXTENSIONS: u8 = 1 << (INFO - 1) | 1 << (CONG - 1);

// INET_ULP_INFO_*
const ULP_NAME: u16 = 1;
const ULP_MPTCP: u16 = 3;

// MPTCP_SUBFLOW_ATTR_*
const TOKEN_REM: u16 = 1;
const TOKEN_LOC: u16 = 2;
const MAP_SEQ: u16 = 4;
const MAP_SFSEQ: u16 = 5;
const MAP_DATALEN: u16 = 7;
const FLAGS: u16 = 8;
const ID_REM: u16 = 9;
const ID_LOC: u16 = 10;

/// All states but LISTEN (10), TIME_WAIT (6) and NEW_SYN_RECV (12): those of connections that can carry data, or did.
const STATES: u32 = 0xfff & !(1 << 10) & !(1 << 6) & !(1 << 12);

/// A question for all sockets of a family and protocol, or an answer about one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    Dump {
        family: u8,
        protocol: u32,
    },
    Socket(Box<Socket>),
    /// An answer too short to be one, or of a family that is none of ours.
    Nothing,
}

/// A socket, as far as this crate wants to know it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Socket {
    pub(super) state: PathState,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) bound_interface: u32,
    pub(super) cookie: u64,
    pub(super) receive_queue: u32,
    pub(super) send_queue: u32,
    pub(super) uid: u32,
    pub(super) inode: u32,
    /// `struct mptcp_info` or `struct tcp_info`, whichever protocol was asked for.
    pub(super) info: Option<Vec<u8>>,
    pub(super) congestion: Option<String>,
    /// The protocol above: "mptcp" of a subflow, "tls" of a connection with kTLS.
    pub(super) upper: Option<String>,
    pub(super) subflow: Option<SubflowInfo>,
}

impl Socket {
    /// The connection as a whole, of an MPTCP socket.
    pub(super) fn mptcp_info(&self) -> Option<MptcpInfo> {
        self.info.as_deref().map(decode::mptcp_info)
    }

    /// The path, of a TCP socket; its figures are missing where the kernel told none.
    pub(super) fn path(&self) -> Path {
        let mut path = decode::tcp_info(self.info.as_deref().unwrap_or_default());
        (path.local, path.remote, path.state) = (Some(self.local), Some(self.remote), self.state);
        path
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        SOCK_DIAG_BY_FAMILY
    }

    fn buffer_len(&self) -> usize {
        match self {
            Message::Dump { protocol, .. } => REQUEST + protocol_nla(*protocol).buffer_len(),
            Message::Socket(_) | Message::Nothing => 0,
        }
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let Message::Dump { family, protocol } = self else { return };
        // Zero: every address, port and interface.
        buffer.fill(0);
        let field = u8::try_from(*protocol).unwrap_or(NO_PROTOCOL);
        let head = [*family, field, EXTENSIONS, 0].into_iter().chain(STATES.to_ne_bytes());
        buffer.iter_mut().zip(head).for_each(|(place, byte)| *place = byte);
        if let Some(rest) = buffer.get_mut(REQUEST..) {
            protocol_nla(*protocol).emit(rest);
        }
    }
}

fn protocol_nla(protocol: u32) -> DefaultNla {
    DefaultNla::new(REQ_PROTOCOL, protocol.to_ne_bytes().to_vec())
}

impl NetlinkDeserializable for Message {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        let socket = (header.message_type == SOCK_DIAG_BY_FAMILY).then(|| socket(payload)).flatten();
        Ok(socket.map_or(Message::Nothing, |socket| Message::Socket(Box::new(socket))))
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

/// A `struct inet_diag_msg` and the attributes behind it.
fn socket(bytes: &[u8]) -> Option<Socket> {
    let (head, rest) = (bytes.get(..ANSWER)?, bytes.get(ANSWER..)?);
    let family = *head.first()?;
    let address = |at: usize| -> Option<IpAddr> {
        match family {
            AF_INET => Some(Ipv4Addr::from(array::<4>(head, at)?).into()),
            AF_INET6 => Some(Ipv6Addr::from(array::<16>(head, at)?).into()),
            _ => None,
        }
    };
    let port = |at: usize| array(head, at).map(u16::from_be_bytes);
    let mut socket = Socket {
        state: PathState::from_number(*head.get(1)?),
        local: SocketAddr::new(address(8)?, port(4)?),
        remote: SocketAddr::new(address(24)?, port(6)?),
        bound_interface: u32_at(head, 40)?,
        // Two words, the low one first.
        cookie: u64::from(u32_at(head, 48)?) << 32 | u64::from(u32_at(head, 44)?),
        receive_queue: u32_at(head, 56)?,
        send_queue: u32_at(head, 60)?,
        uid: u32_at(head, 64)?,
        inode: u32_at(head, 68)?,
        info: None,
        congestion: None,
        upper: None,
        subflow: None,
    };
    for nla in attributes(rest) {
        match nla.kind() {
            INFO => socket.info = Some(nla.value().to_vec()),
            CONG => socket.congestion = Some(text(nla.value())),
            ULP_INFO => {
                for nla in attributes(nla.value()) {
                    match nla.kind() {
                        ULP_NAME => socket.upper = Some(text(nla.value())),
                        ULP_MPTCP => socket.subflow = Some(subflow(nla.value())),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(socket)
}

/// Attributes up to the first that contradicts its own length: one odd attribute doesn't spoil those before it.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn subflow(bytes: &[u8]) -> SubflowInfo {
    let mut info = SubflowInfo::default();
    for nla in attributes(bytes) {
        let value = nla.value();
        match nla.kind() {
            TOKEN_REM => info.token_remote = parse_u32(value).unwrap_or(0),
            TOKEN_LOC => info.token_local = parse_u32(value).unwrap_or(0),
            MAP_SEQ => info.map_sequence = parse_u64(value).ok(),
            MAP_SFSEQ => info.map_subflow_sequence = parse_u32(value).ok(),
            MAP_DATALEN => info.map_length = parse_u16(value).ok(),
            FLAGS => info.flags = flags(parse_u32(value).unwrap_or(0)),
            ID_REM => info.id_remote = parse_u8(value).ok(),
            ID_LOC => info.id_local = parse_u8(value).ok(),
            _ => {}
        }
    }
    info
}

fn flags(bits: u32) -> SubflowFlags {
    let bit = |number: u32| bits & (1 << number) != 0;
    SubflowFlags {
        capable_remote: bit(0),
        capable_local: bit(1),
        join_remote: bit(2),
        join_local: bit(3),
        backup_remote: bit(4),
        backup_local: bit(5),
        fully_established: bit(6),
        connected: bit(7),
        map_valid: bit(8),
    }
}

#[cfg(test)]
#[path = "diag_tests.rs"]
mod tests;
