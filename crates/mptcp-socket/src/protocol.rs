//! The choice itself: which protocol a socket is to speak, as a word, a number and an environment variable.

use std::{env, fmt, str::FromStr};

use crate::Error;

/// The socket protocol an application asks for.
///
/// | word | meaning |
/// |---|---|
/// | `tcp` | plain TCP, as ever; no MPTCP socket is created, not even to probe |
/// | `mptcp` | MPTCP where host, path and peer can; else TCP, with the [reason](crate::Reason) on record |
/// | `mptcp-only` | an error, with the reason, unless the established connection speaks MPTCP on the wire |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain TCP.
    Tcp,
    /// Multipath TCP (RFC 8684), falling back to TCP. The default: using this library is the opt-in.
    #[default]
    Mptcp,
    /// Multipath TCP or an error.
    MptcpOnly,
}

/// `IPPROTO_TCP`, from `<netinet/in.h>`.
pub const IPPROTO_TCP: i32 = 6;
/// `IPPROTO_MPTCP`, from `<linux/in.h>`.
pub const IPPROTO_MPTCP: i32 = 262;

impl Protocol {
    /// The environment variable that changes the default of a whole process.
    pub const ENV: &'static str = "MPHTTP_PROTOCOL";
    /// All words, in the order of the table above.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Mptcp, Self::MptcpOnly];

    /// The default of this process: what [`MPHTTP_PROTOCOL`](Self::ENV) says, else [`Protocol::Mptcp`].
    ///
    /// # Errors
    /// [`Error::UnknownProtocol`] if the variable is set to anything but one of the three words: a typing error
    /// must not silently switch the protocol.
    pub fn from_env() -> Result<Self, Error> {
        match env::var_os(Self::ENV) {
            None => Ok(Self::default()),
            Some(word) if word.is_empty() => Ok(Self::default()),
            Some(word) => word.to_string_lossy().parse().map_err(|error| match error {
                Error::UnknownProtocol { word, .. } => {
                    Error::UnknownProtocol { word, place: " in the environment variable MPHTTP_PROTOCOL" }
                }
                other => other,
            }),
        }
    }

    /// The number that `socket(2)` takes as its third argument: 6 for TCP, 262 for both forms of MPTCP.
    #[must_use]
    pub const fn ipproto(self) -> i32 {
        match self {
            Self::Tcp => IPPROTO_TCP,
            Self::Mptcp | Self::MptcpOnly => IPPROTO_MPTCP,
        }
    }

    /// The choice that a protocol number stands for; 262 means MPTCP with fallback, as it does for the kernel.
    #[must_use]
    pub const fn from_ipproto(number: i32) -> Option<Self> {
        match number {
            IPPROTO_TCP => Some(Self::Tcp),
            IPPROTO_MPTCP => Some(Self::Mptcp),
            _ => None,
        }
    }

    /// The word for this choice: `tcp`, `mptcp` or `mptcp-only`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Mptcp => "mptcp",
            Self::MptcpOnly => "mptcp-only",
        }
    }

    /// Whether an MPTCP socket is wanted at all.
    #[must_use]
    pub const fn wants_mptcp(self) -> bool {
        !matches!(self, Self::Tcp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = Error;

    /// Takes the three words, in any case, and `mptcp_only` for languages whose names can't hold a hyphen.
    fn from_str(word: &str) -> Result<Self, Error> {
        match word.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "mptcp" => Ok(Self::Mptcp),
            "mptcp-only" | "mptcp_only" => Ok(Self::MptcpOnly),
            _ => Err(Error::UnknownProtocol { word: word.to_owned(), place: "" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_both_ways() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.as_str().parse::<Protocol>().unwrap(), protocol);
            assert_eq!(protocol.to_string().to_uppercase().parse::<Protocol>().unwrap(), protocol);
        }
        assert_eq!("mptcp_only".parse::<Protocol>().unwrap(), Protocol::MptcpOnly);
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let error = "mtcp".parse::<Protocol>().unwrap_err().to_string();
        assert!(error.contains("\"mtcp\"") && error.contains("mptcp-only"), "{error}");
    }

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(Protocol::Tcp.ipproto(), 6);
        assert_eq!(Protocol::MptcpOnly.ipproto(), 262);
        assert_eq!(Protocol::from_ipproto(262), Some(Protocol::Mptcp));
        assert_eq!(Protocol::from_ipproto(6), Some(Protocol::Tcp));
        assert_eq!(Protocol::from_ipproto(17), None);
    }
}
