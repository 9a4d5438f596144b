//! The controller of generic netlink (`nlctrl`, `<linux/genetlink.h>`), as far as a family is looked up with it.
//!
//! netlink-packet-generic has a decoder for its answers, which panics on damaged policies; nothing here needs those.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NlasIterator, ParseableParametrized, parse_string, parse_u16,
    parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader};

/// `GENL_ID_CTRL`
const ID: u16 = 16;
/// `CTRL_CMD_GETFAMILY`
const GET_FAMILY: u8 = 3;
const VERSION: u8 = 2;

// CTRL_ATTR_*
const ATTR_FAMILY_ID: u16 = 1;
const ATTR_FAMILY_NAME: u16 = 2;
const ATTR_MCAST_GROUPS: u16 = 7;

// CTRL_ATTR_MCAST_GRP_*
const GROUP_NAME: u16 = 1;
const GROUP_ID: u16 = 2;

/// The question for a family, or the answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    name: Option<&'static str>,
    pub(crate) id: Option<u16>,
    /// Multicast groups with their numbers.
    pub(crate) groups: Vec<(String, u32)>,
}

impl Family {
    /// Asks for the family of this name.
    pub(crate) fn named(name: &'static str) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    fn nlas(&self) -> Vec<DefaultNla> {
        let named = self.name.map(|name| {
            let mut value = name.as_bytes().to_vec();
            value.push(0);
            DefaultNla::new(ATTR_FAMILY_NAME, value)
        });
        named.into_iter().collect()
    }
}

impl GenlFamily for Family {
    fn family_name() -> &'static str {
        "nlctrl"
    }

    fn family_id(&self) -> u16 {
        ID
    }

    fn command(&self) -> u8 {
        GET_FAMILY
    }

    fn version(&self) -> u8 {
        VERSION
    }
}

impl Emitable for Family {
    fn buffer_len(&self) -> usize {
        self.nlas().as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.nlas().as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Family {
    fn parse_with_param(buffer: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        let mut family = Self::default();
        for nla in NlasIterator::new(buffer) {
            let nla = nla?;
            match nla.kind() {
                ATTR_FAMILY_ID => family.id = Some(parse_u16(nla.value())?),
                ATTR_MCAST_GROUPS => {
                    for group in NlasIterator::new(nla.value()) {
                        family.groups.extend(group_of(group?.value())?);
                    }
                }
                _ => {}
            }
        }
        Ok(family)
    }
}

fn group_of(buffer: &[u8]) -> Result<Option<(String, u32)>, DecodeError> {
    let (mut name, mut number) = (None, None);
    for nla in NlasIterator::new(buffer) {
        let nla = nla?;
        match nla.kind() {
            GROUP_NAME => name = Some(parse_string(nla.value())?),
            GROUP_ID => number = Some(parse_u32(nla.value())?),
            _ => {}
        }
    }
    Ok(name.zip(number))
}
