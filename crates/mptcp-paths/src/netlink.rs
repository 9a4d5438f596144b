//! A blocking netlink conversation with the kernel: one request, all of its answers, the kernel's errors in
//! its own words. Generic netlink and rtnetlink alike; what a request means is the caller's business.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_sys::{Socket, SocketAddr};

// The kernel fills at most 32 KiB per datagram of a dump (NLMSG_GOODSIZE and the reader's buffer are its
// bounds).
const BUFFER: usize = 64 * 1024;
// `struct nlmsghdr`, which a (capped) NLMSG_ERROR repeats before its attributes.
const NLMSGHDR: usize = 16;
// Types below are netlink's own: errors, ends.
const NLMSG_MIN_TYPE: u16 = 0x10;
const NLMSGERR_ATTR_MSG: u16 = 1;
// A dump is answered in at most this many datagrams: far above any table a host has, it bounds the loop.
const MAX_DATAGRAMS: usize = 100_000;
// A dump that a change tore apart (NLM_F_DUMP_INTR) is asked for again, this often in all.
const MAX_ATTEMPTS: usize = 10;

// How much the kernel keeps for a listener that is busy, in bytes.
const LISTEN_BUFFER: u32 = 1024 * 1024;
// Of Linux on all architectures but mips, alpha, parisc and sparc, which lose a listener's "lost" to an error, and have
// another text for what is not there.
const ENOBUFS: i32 = 105;
const EPROTONOSUPPORT: i32 = 93;

/// Why a request got no proper answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket itself failed.
    #[error("the netlink socket failed: {0}")]
    Socket(#[source] io::Error),
    /// The kernel answered with an error.
    #[error("{source}{}", message.as_ref().map_or_else(String::new, |message| format!(" ({message})")))]
    Refused {
        /// The error number as the kernel gave it.
        source: io::Error,
        /// The kernel's own words (extended ack), if it gave any.
        message: Option<String>,
    },
    /// The answer could not be understood.
    #[error("the kernel's netlink answer can't be understood: {0}")]
    Malformed(String),
}

impl Error {
    /// Whether the kernel has no such netlink protocol (`EPROTONOSUPPORT` of `netlink(7)`): one built without it, or a system
    /// that plays Linux without all of it (gVisor).
    #[must_use]
    pub fn is_no_protocol(&self) -> bool {
        matches!(self, Error::Socket(error) if error.raw_os_error() == Some(EPROTONOSUPPORT))
    }

    /// The error number, where the kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// A netlink socket, bound to the network namespace of the thread that opened it for as long as it lives.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket for a netlink protocol, `NETLINK_ROUTE` or `NETLINK_GENERIC`.
    ///
    /// # Errors
    /// [`Error::Socket`] if the system refuses the socket.
    pub fn open(protocol: isize) -> Result<Self, Error> {
        let mut socket = Socket::new(protocol).map_err(Error::Socket)?;
        socket.bind_auto().map_err(Error::Socket)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(Error::Socket)?;
        // Both came with Linux 4.12; without them errors merely lose the kernel's words.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Asks for a whole table. What of it can't be understood is left out and counted: a decoder that is older than the
    /// kernel shall not hide all the rest.
    ///
    /// # Errors
    /// Those of [`Netlink::request`].
    pub fn dump<M>(&mut self, message: M) -> Result<Dump<M>, Error>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug,
    {
        self.ask(message, NLM_F_DUMP, true)
    }

    /// Sends one request with `flags` in addition to `NLM_F_REQUEST` and returns all that the kernel answers.
    /// Requests without `NLM_F_DUMP` are acknowledged by the kernel, so that their errors arrive here too.
    ///
    /// # Errors
    /// [`Error::Refused`] if the kernel says no, else [`Error::Socket`] or [`Error::Malformed`].
    pub fn request<M>(&mut self, message: M, flags: u16) -> Result<Vec<M>, Error>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug,
    {
        Ok(self.ask(message, flags, false)?.messages)
    }

    fn ask<M>(&mut self, message: M, flags: u16, lenient: bool) -> Result<Dump<M>, Error>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug,
    {
        let mut header = NetlinkHeader::default();
        let dump = flags & NLM_F_DUMP == NLM_F_DUMP;
        header.flags = NLM_F_REQUEST | flags | if dump { 0 } else { NLM_F_ACK };
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        let mut attempts = 0;
        loop {
            self.sequence = self.sequence.wrapping_add(1);
            packet.header.sequence_number = self.sequence;
            packet.finalize();
            let mut bytes = vec![0; packet.buffer_len()];
            packet.serialize(&mut bytes);
            self.socket.send(&bytes, 0).map_err(Error::Socket)?;
            let (answers, torn) = self.answers(lenient)?;
            attempts += 1;
            // A table that never stands still is told as well as it can be.
            if !torn || attempts == MAX_ATTEMPTS {
                return Ok(answers);
            }
        }
    }

    /// The answers, and whether the table changed while the kernel listed it.
    fn answers<M>(&mut self, lenient: bool) -> Result<(Dump<M>, bool), Error>
    where
        M: NetlinkDeserializable + Debug,
    {
        let (mut answers, mut torn) = (Dump { messages: Vec::new(), unreadable: 0 }, false);
        let mut buffer = Vec::with_capacity(BUFFER);
        for _ in 0..MAX_DATAGRAMS {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Socket(error)),
            }
            for packet in messages::<M>(&buffer) {
                let packet = match packet {
                    Ok(packet) => packet,
                    // The kernel's errors and ends have to be understood: without them there is no end.
                    Err(unreadable) if unreadable.sequence == Some(self.sequence) => {
                        if !lenient || unreadable.message_type.is_none_or(|number| number < NLMSG_MIN_TYPE) {
                            return Err(Error::Malformed(unreadable.why));
                        }
                        answers.unreadable += 1;
                        continue;
                    }
                    Err(Unreadable { sequence: Some(_), .. }) => continue,
                    Err(unreadable) => return Err(Error::Malformed(unreadable.why)),
                };
                // What is left of an earlier request that failed half-way.
                if packet.header.sequence_number != self.sequence {
                    continue;
                }
                let flags = packet.header.flags;
                torn |= flags & NLM_F_DUMP_INTR != 0;
                match packet.payload {
                    NetlinkPayload::InnerMessage(message) => answers.messages.push(message),
                    NetlinkPayload::Error(error) => {
                        let Some(code) = error.code else { return Ok((answers, torn)) };
                        let told = flags & NLM_F_ACK_TLVS != 0;
                        let attributes = if told { error.header.get(NLMSGHDR..) } else { None };
                        return Err(refused(code.get(), attributes.unwrap_or_default()));
                    }
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(refused(done.code, &done.extended_ack));
                    }
                    NetlinkPayload::Done(_) => return Ok((answers, torn)),
                    NetlinkPayload::Overrun(_) => {
                        return Err(Error::Malformed("the kernel lost data".into()));
                    }
                    _ => {}
                }
            }
        }
        Err(Error::Malformed("the answer doesn't end".into()))
    }
}

/// What the kernel tells of a table.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dump<M> {
    /// What could be understood.
    pub messages: Vec<M>,
    /// How many messages could not.
    pub unreadable: usize,
}

/// A message that could not be understood, as far as its header can be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    message_type: Option<u16>,
    sequence: Option<u32>,
    why: String,
}

/// The messages in a datagram, each understood or not. It ends, whatever the bytes are: every step consumes at least a
/// header's length.
pub(crate) fn messages<M>(datagram: &[u8]) -> impl Iterator<Item = Result<NetlinkMessage<M>, Unreadable>>
where
    M: NetlinkDeserializable,
{
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // `nlmsg_len` of `struct nlmsghdr`, which the kernel rounds up to the next message.
        let told = rest.first_chunk().map_or(0, |length| u32::from_ne_bytes(*length) as usize);
        let message = NetlinkMessage::<M>::deserialize(rest).map_err(|error| Unreadable {
            message_type: rest.get(4..).and_then(|rest| rest.first_chunk()).map(|at| u16::from_ne_bytes(*at)),
            sequence: rest.get(8..).and_then(|rest| rest.first_chunk()).map(|at| u32::from_ne_bytes(*at)),
            why: error.to_string(),
        });
        let length = told.saturating_add(3) & !3;
        rest = rest.get(length.max(NLMSGHDR)..).unwrap_or_default();
        Some(message)
    })
}

/// What a [`Listener`] hears.
#[derive(Debug)]
#[non_exhaustive]
pub enum Heard<M> {
    /// A message and its type.
    Message(u16, M),
    /// A message that could not be understood.
    Unknown,
    /// The kernel dropped messages, because they came faster than they were read (`ENOBUFS`).
    Lost,
}

/// A netlink socket that listens to what the kernel tells everybody in some groups, without ever blocking. Wait for its
/// descriptor to become readable.
#[derive(Debug)]
pub struct Listener<M> {
    socket: Socket,
    heard: VecDeque<Heard<M>>,
}

impl<M> Listener<M>
where
    M: NetlinkDeserializable + Debug,
{
    /// Joins the groups of a netlink protocol, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Refused`] where a group needs a privilege, [`Error::Socket`] if the system refuses the socket.
    pub fn open(protocol: isize, groups: &[u32]) -> Result<Self, Error> {
        let mut socket = Socket::new(protocol).map_err(Error::Socket)?;
        socket.bind_auto().map_err(Error::Socket)?;
        socket.set_non_blocking(true).map_err(Error::Socket)?;
        // Against losses in bursts; the system may allow less.
        let _ = socket.set_rx_buf_sz(LISTEN_BUFFER);
        for group in groups {
            socket.add_membership(*group).map_err(|source| Error::Refused { source, message: None })?;
        }
        Ok(Self { socket, heard: VecDeque::new() })
    }

    /// The next thing heard; `None` when there is nothing more for now.
    ///
    /// # Errors
    /// [`Error::Socket`] if the socket fails.
    pub fn hear(&mut self) -> Result<Option<Heard<M>>, Error> {
        let mut buffer = Vec::new();
        while self.heard.is_empty() {
            buffer.clear();
            buffer.reserve(BUFFER);
            match self.socket.recv_from(&mut buffer, 0) {
                // Only the kernel has the number 0; what anybody else sends is nothing to go by.
                Ok((_, sender)) if sender.port_number() != 0 => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => return Ok(Some(Heard::Lost)),
                Err(error) => return Err(Error::Socket(error)),
            }
            self.heard.extend(messages::<M>(&buffer).filter_map(|message| match message {
                Ok(NetlinkMessage { header, payload: NetlinkPayload::InnerMessage(message), .. }) => {
                    Some(Heard::Message(header.message_type, message))
                }
                Ok(NetlinkMessage { payload: NetlinkPayload::Overrun(_), .. }) => Some(Heard::Lost),
                Ok(_) => None,
                Err(_) => Some(Heard::Unknown),
            }));
        }
        Ok(self.heard.pop_front())
    }
}

impl<M> AsFd for Listener<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<M> AsRawFd for Listener<M> {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn refused(code: i32, attributes: &[u8]) -> Error {
    let message = NlasIterator::new(attributes)
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)
        .map(|attribute| String::from_utf8_lossy(attribute.value()).trim_end_matches('\0').to_owned());
    Error::Refused { source: io::Error::from_raw_os_error(code.saturating_neg()), message }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::address::{AddressAttribute, AddressMessage};
    use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
    use netlink_sys::protocols::NETLINK_ROUTE;

    use super::*;

    /// A decoder that is too old for the loopback device's IPv4 address.
    #[derive(Debug)]
    struct Old(RouteNetlinkMessage);

    impl NetlinkSerializable for Old {
        fn message_type(&self) -> u16 {
            self.0.message_type()
        }

        fn buffer_len(&self) -> usize {
            NetlinkSerializable::buffer_len(&self.0)
        }

        fn serialize(&self, buffer: &mut [u8]) {
            self.0.serialize(buffer);
        }
    }

    impl NetlinkDeserializable for Old {
        type Error = netlink_packet_core::DecodeError;

        fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
            let message = RouteNetlinkMessage::deserialize(header, payload)?;
            if let RouteNetlinkMessage::NewAddress(address) = &message
                && address.attributes.contains(&AddressAttribute::Local([127, 0, 0, 1].into()))
            {
                return Err("something new".into());
            }
            Ok(Self(message))
        }
    }

    #[test]
    fn what_a_decoder_refuses_hides_nothing_else() {
        let mut netlink = Netlink::open(NETLINK_ROUTE).unwrap();
        let question = || {
            let mut message = AddressMessage::default();
            message.header.family = AddressFamily::Inet;
            RouteNetlinkMessage::GetAddress(message)
        };
        let all = netlink.dump(question()).unwrap();
        assert_eq!(all.unreadable, 0);
        assert!(!all.messages.is_empty(), "this host has no loopback address");
        let understood = netlink.dump(Old(question())).unwrap();
        assert_eq!((understood.messages.len(), understood.unreadable), (all.messages.len() - 1, 1));
        // Where each answer counts it is an error, after which the socket is as good as before.
        assert!(matches!(netlink.request(Old(question()), NLM_F_DUMP), Err(Error::Malformed(_))));
        assert_eq!(netlink.dump(question()).unwrap().messages.len(), all.messages.len());
    }
}
