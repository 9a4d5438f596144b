//! The messages of the generic netlink family `mptcp_pm` (`<linux/mptcp_pm.h>`), to and from our own types.

use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NlasIterator, ParseableParametrized, parse_ip, parse_u8,
    parse_u16, parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use crate::{Endpoint, EndpointFlags};

pub(crate) const FAMILY: &str = "mptcp_pm";
pub(crate) const EVENT_GROUP: &str = "mptcp_pm_events";
const VERSION: u8 = 1;

// enum mptcp_pm_cmd
pub(crate) const ADD_ADDR: u8 = 1;
pub(crate) const DEL_ADDR: u8 = 2;
pub(crate) const GET_ADDR: u8 = 3;
pub(crate) const FLUSH_ADDRS: u8 = 4;
pub(crate) const SET_LIMITS: u8 = 5;
pub(crate) const GET_LIMITS: u8 = 6;
pub(crate) const SET_FLAGS: u8 = 7;
pub(crate) const ANNOUNCE: u8 = 8;
pub(crate) const REMOVE: u8 = 9;
pub(crate) const SUBFLOW_CREATE: u8 = 10;
pub(crate) const SUBFLOW_DESTROY: u8 = 11;

// MPTCP_PM_ATTR_*
const ATTR_ADDR: u16 = 1;
const ATTR_RCV_ADD_ADDRS: u16 = 2;
const ATTR_SUBFLOWS: u16 = 3;
const ATTR_TOKEN: u16 = 4;
const ATTR_LOC_ID: u16 = 5;
const ATTR_ADDR_REMOTE: u16 = 6;

// MPTCP_PM_ADDR_ATTR_*
const ADDR_FAMILY: u16 = 1;
const ADDR_ID: u16 = 2;
const ADDR_ADDR4: u16 = 3;
const ADDR_ADDR6: u16 = 4;
const ADDR_PORT: u16 = 5;
const ADDR_FLAGS: u16 = 6;
const ADDR_IF_IDX: u16 = 7;

type Flag = fn(&mut EndpointFlags) -> &mut bool;

// MPTCP_PM_ADDR_FLAG_*
const FLAGS: [(u32, Flag); 6] = [
    (1 << 0, |flags| &mut flags.signal),
    (1 << 1, |flags| &mut flags.subflow),
    (1 << 2, |flags| &mut flags.backup),
    (1 << 3, |flags| &mut flags.fullmesh),
    (1 << 4, |flags| &mut flags.implicit),
    (1 << 5, |flags| &mut flags.laminar),
];

// AF_INET and AF_INET6 of Linux, the only systems this module is built for.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// One attribute of a message, as far as this crate knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attribute {
    Endpoint(Endpoint),
    /// An endpoint named by its identifier alone, as DEL_ADDR takes it.
    EndpointId(u8),
    /// The first subflows of connections from this address, as DEL_ADDR takes them: they have the identifier 0.
    FirstSubflow(IpAddr),
    AddAddrAccepted(u32),
    Subflows(u32),
    /// The connection that a message is about.
    Token(u32),
    LocalId(u8),
    /// The two ends of a subflow.
    Local(SocketAddr),
    Remote(SocketAddr),
}

/// A message of the family: a command and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) command: u8,
    pub(crate) attributes: Vec<Attribute>,
}

impl Message {
    fn nlas(&self) -> Vec<DefaultNla> {
        self.attributes.iter().map(Attribute::to_nla).collect()
    }
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        FAMILY
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        VERSION
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.nlas().as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.nlas().as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(buffer: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let mut attributes = Vec::new();
        for nla in NlasIterator::new(buffer) {
            let nla = nla?;
            match nla.kind() {
                ATTR_ADDR => attributes.push(Attribute::Endpoint(parse_endpoint(nla.value())?)),
                ATTR_RCV_ADD_ADDRS => attributes.push(Attribute::AddAddrAccepted(parse_u32(nla.value())?)),
                ATTR_SUBFLOWS => attributes.push(Attribute::Subflows(parse_u32(nla.value())?)),
                // Newer kernels say more than this crate asks for.
                _ => {}
            }
        }
        Ok(Message { command: header.cmd, attributes })
    }
}

impl Attribute {
    fn to_nla(&self) -> DefaultNla {
        match self {
            Attribute::Endpoint(endpoint) => nest(ATTR_ADDR, &endpoint_nlas(endpoint)),
            Attribute::EndpointId(id) => nest(ATTR_ADDR, &[u8_nla(ADDR_ID, *id)]),
            Attribute::FirstSubflow(address) => {
                let mut nlas = address_nlas(*address);
                nlas.push(u8_nla(ADDR_ID, 0));
                nest(ATTR_ADDR, &nlas)
            }
            Attribute::AddAddrAccepted(count) => u32_nla(ATTR_RCV_ADD_ADDRS, *count),
            Attribute::Subflows(count) => u32_nla(ATTR_SUBFLOWS, *count),
            Attribute::Token(token) => u32_nla(ATTR_TOKEN, *token),
            Attribute::LocalId(id) => u8_nla(ATTR_LOC_ID, *id),
            Attribute::Local(address) => nest(ATTR_ADDR, &socket_nlas(*address)),
            Attribute::Remote(address) => nest(ATTR_ADDR_REMOTE, &socket_nlas(*address)),
        }
    }
}

/// The endpoints among the attributes of an answer.
pub(crate) fn endpoints(answers: Vec<Attribute>) -> Vec<Endpoint> {
    answers
        .into_iter()
        .filter_map(|attribute| match attribute {
            Attribute::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        })
        .collect()
}

fn address_nlas(address: IpAddr) -> Vec<DefaultNla> {
    match address {
        IpAddr::V4(address) => {
            vec![u16_nla(ADDR_FAMILY, AF_INET), DefaultNla::new(ADDR_ADDR4, address.octets().to_vec())]
        }
        IpAddr::V6(address) => {
            vec![u16_nla(ADDR_FAMILY, AF_INET6), DefaultNla::new(ADDR_ADDR6, address.octets().to_vec())]
        }
    }
}

fn socket_nlas(address: SocketAddr) -> Vec<DefaultNla> {
    let mut nlas = address_nlas(address.ip());
    nlas.push(u16_nla(ADDR_PORT, address.port()));
    nlas
}

fn endpoint_nlas(endpoint: &Endpoint) -> Vec<DefaultNla> {
    let mut nlas = address_nlas(endpoint.address);
    nlas.push(u32_nla(ADDR_FLAGS, flags_to_bits(endpoint.flags)));
    nlas.extend(endpoint.id.map(|id| u8_nla(ADDR_ID, id)));
    // In host byte order, unlike ports elsewhere.
    nlas.extend(endpoint.port.map(|port| u16_nla(ADDR_PORT, port)));
    nlas.extend(endpoint.interface.map(|index| u32_nla(ADDR_IF_IDX, index)));
    nlas
}

fn parse_endpoint(buffer: &[u8]) -> Result<Endpoint, DecodeError> {
    let mut address = None;
    let (mut port, mut id, mut interface, mut flags) = (None, None, None, 0);
    for nla in NlasIterator::new(buffer) {
        let nla = nla?;
        let value = nla.value();
        match nla.kind() {
            ADDR_ADDR4 | ADDR_ADDR6 => address = Some(parse_ip(value)?),
            ADDR_ID => id = Some(parse_u8(value)?),
            ADDR_PORT => port = Some(parse_u16(value)?).filter(|&port| port != 0),
            ADDR_FLAGS => flags = parse_u32(value)?,
            ADDR_IF_IDX => interface = Some(parse_u32(value)?).filter(|&index| index != 0),
            _ => {}
        }
    }
    let address = address.ok_or_else(|| DecodeError::from("an endpoint without an address"))?;
    Ok(Endpoint { address, port, id, interface, flags: flags_from_bits(flags) })
}

fn flags_to_bits(mut flags: EndpointFlags) -> u32 {
    FLAGS.iter().filter(|(_, flag)| *flag(&mut flags)).map(|(bit, _)| bit).sum()
}

// Bits of newer kernels than this crate knows are left out: nothing here could say what they mean.
fn flags_from_bits(bits: u32) -> EndpointFlags {
    let mut flags = EndpointFlags::default();
    for (bit, flag) in FLAGS {
        *flag(&mut flags) = bits & bit != 0;
    }
    flags
}

fn nest(kind: u16, nlas: &[DefaultNla]) -> DefaultNla {
    let mut value = vec![0; nlas.buffer_len()];
    nlas.emit(&mut value);
    DefaultNla::new(kind | NLA_F_NESTED, value)
}

fn u8_nla(kind: u16, value: u8) -> DefaultNla {
    DefaultNla::new(kind, vec![value])
}

fn u16_nla(kind: u16, value: u16) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn u32_nla(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
