//! Any bytes as an answer of sock_diag.

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader};

use super::diag::{AF_INET, AF_INET6, ANSWER, Message, SOCK_DIAG_BY_FAMILY};

/// An answer without its netlink header. Whole ones of a known family must be understood.
pub fn sock_diag(bytes: &[u8]) {
    let mut header = NetlinkHeader::default();
    header.message_type = SOCK_DIAG_BY_FAMILY;
    let Ok(message) = Message::deserialize(&header, bytes);
    match message {
        Message::Socket(socket) => {
            let (path, _) = (socket.path(), socket.mptcp_info());
            assert_eq!((path.local, path.remote), (Some(socket.local), Some(socket.remote)));
        }
        Message::Nothing => {
            let ours = bytes.first().is_some_and(|family| [AF_INET, AF_INET6].contains(family));
            assert!(bytes.len() < ANSWER || !ours, "a whole answer is not understood");
        }
        Message::Dump { .. } => unreachable!("an answer is taken for a question"),
    }
}
