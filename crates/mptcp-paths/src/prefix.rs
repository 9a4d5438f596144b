//! A range of addresses, as routes and rules name it.

use std::fmt;
use std::net::IpAddr;

/// An address and how many of its leading bits count: `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The address; bits beyond `length` are as the kernel gave them.
    pub address: IpAddr,
    /// The number of bits that count, 0 to 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// A prefix.
    #[must_use]
    pub const fn new(address: IpAddr, length: u8) -> Self {
        Self { address, length }
    }

    /// The prefix that holds this address and no other.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// Whether the address is in this range. Addresses of the other family never are.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(u32::from(ours)), u128::from(u32::from(theirs)), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (u128::from(ours), u128::from(theirs), 128),
            _ => return false,
        };
        let ignored = width - u32::from(self.length).min(width);
        // A shift by all 128 bits leaves nothing to compare.
        ours.checked_shr(ignored).unwrap_or(0) == theirs.checked_shr(ignored).unwrap_or(0)
    }

    /// Whether it holds all addresses of its family.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_what_shares_its_bits() {
        let prefix = |text: &str, length| Prefix::new(text.parse().expect("an address"), length);
        let holds = |prefix: Prefix, text: &str| prefix.contains(text.parse().expect("an address"));
        assert!(holds(prefix("192.0.2.0", 24), "192.0.2.255"));
        assert!(!holds(prefix("192.0.2.0", 24), "192.0.3.0"));
        assert!(holds(prefix("0.0.0.0", 0), "203.0.113.1"));
        assert!(!holds(prefix("0.0.0.0", 0), "2001:db8::1"));
        assert!(holds(prefix("::", 0), "2001:db8::1"));
        assert!(holds(Prefix::host(IpAddr::from([192, 0, 2, 1])), "192.0.2.1"));
        assert!(!holds(Prefix::host(IpAddr::from([192, 0, 2, 1])), "192.0.2.2"));
        assert!(holds(prefix("192.0.2.1", 200), "192.0.2.1"));
        assert_eq!(prefix("2001:db8::", 32).to_string(), "2001:db8::/32");
    }
}
