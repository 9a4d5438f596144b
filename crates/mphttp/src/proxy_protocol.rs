//! The PROXY protocol, versions 1 and 2: the first bytes of a connection, by which a proxy says for whom it connects.
//!
//! As [haproxy's specification](https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt) has it. Own code: the header must be
//! taken off the connection to the byte, before TLS, and within limits, and that is most of it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The beginning of version 2 (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The beginning of version 1 (section 2.1).
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1, its CRLF included.
const LONGEST_LINE: usize = 107;
/// How much may follow the fixed part of version 2. Senders are told to stay below 536 bytes in all; some add certificates.
const LONGEST_REST: usize = 4096;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy connects for itself, such as to check that this host is well: the connection's own addresses hold.
    Local,
    /// The proxy connects for somebody of whom it can't or won't say more than that: the connection's own addresses hold.
    Unknown,
    /// The proxy connects for this client.
    Proxied {
        /// The client's address.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
}

/// Bytes that are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY protocol header: {0}; let the proxy send one, or don't expect it of that address")]
pub struct Malformed(&'static str);

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// How far the beginning of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A header so far: so many bytes more are needed at least. No byte beyond the header is ever asked for.
    Needs(usize),
    /// A whole header, of so many bytes.
    Whole(Header, usize),
}

/// Reads a header from the beginning of these bytes.
///
/// # Errors
/// [`Malformed`], as soon as the bytes can't become a header.
pub fn parse(bytes: &[u8]) -> Result<Progress, Malformed> {
    // No header is shorter than the signature: so much can be asked for at once.
    let seen = bytes.len().min(SIGNATURE.len());
    if bytes.get(..seen) == SIGNATURE.get(..seen) {
        return if seen < SIGNATURE.len() {
            Ok(Progress::Needs(SIGNATURE.len() - seen))
        } else {
            version2(bytes)
        };
    }
    let seen = bytes.len().min(WORD.len());
    if bytes.get(..seen) != WORD.get(..seen) {
        return Err(Malformed("the connection begins with something else"));
    }
    version1(bytes)
}

fn version1(bytes: &[u8]) -> Result<Progress, Malformed> {
    /// The shortest line.
    const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();
    let head = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return match head.len() {
            LONGEST_LINE.. => Err(Malformed("the line of version 1 is longer than 107 bytes")),
            // The next byte may be the last: never more than is sure to belong to the header.
            length => Ok(Progress::Needs(SHORTEST.saturating_sub(length).max(1))),
        };
    };
    let line = head.get(WORD.len()..end).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Malformed("the line of version 1 is not ASCII"))?;
    let mut fields = line.split(' ');
    let header = match fields.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => Header::Unknown,
        Some("TCP4") => addresses(&mut fields, |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4))?,
        Some("TCP6") => addresses(&mut fields, |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6))?,
        _ => return Err(Malformed("version 1 knows TCP4, TCP6 and UNKNOWN only")),
    };
    Ok(Progress::Whole(header, end + 2))
}

fn addresses<'a>(
    fields: &mut impl Iterator<Item = &'a str>,
    parse: impl Fn(&str) -> Option<IpAddr>,
) -> Result<Header, Malformed> {
    let bad = Malformed("the addresses of version 1 can't be read");
    let all = [fields.next(), fields.next(), fields.next(), fields.next()];
    let ([Some(source), Some(destination), Some(source_port), Some(destination_port)], None) =
        (all, fields.next())
    else {
        return Err(bad);
    };
    // Ports are decimal, without sign or leading zeros (section 2.1).
    let port = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| plain).ok_or(bad)
    };
    Ok(Header::Proxied {
        source: SocketAddr::new(parse(source).ok_or(bad)?, port(source_port)?),
        destination: SocketAddr::new(parse(destination).ok_or(bad)?, port(destination_port)?),
    })
}

fn version2(bytes: &[u8]) -> Result<Progress, Malformed> {
    const FIXED: usize = 16;
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Ok(Progress::Needs(FIXED.saturating_sub(bytes.len())));
    };
    if command >> 4 != 2 {
        return Err(Malformed("its version is neither 1 nor 2"));
    }
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > LONGEST_REST {
        return Err(Malformed("the header is longer than 4112 bytes"));
    }
    let length = FIXED + rest;
    // What can't be right is said before more is waited for.
    let needed = match (command & 0xf, family) {
        (0, _) | (1, 0x00) => 0,
        (1, 0x11 | 0x12) => 12,
        (1, 0x21 | 0x22) => 36,
        (1, 0x31 | 0x32) => 216,
        (1, _) => return Err(Malformed("version 2 knows no such address family")),
        _ => return Err(Malformed("version 2 knows the commands LOCAL and PROXY only")),
    };
    if rest < needed {
        return Err(Malformed("the header is too short for its addresses"));
    }
    let Some(rest) = bytes.get(FIXED..length) else {
        return Ok(Progress::Needs(length.saturating_sub(bytes.len())));
    };
    let header = match (command & 0xf, family) {
        (0, _) => Header::Local,
        (_, 0x11) => two::<4>(rest)?,
        (_, 0x21) => two::<16>(rest)?,
        // Not of this connection's kind: datagrams, Unix sockets, unspecified.
        _ => Header::Unknown,
    };
    // What follows the addresses (TLVs, section 2.2.1) tells of things that nobody here asks for.
    Ok(Progress::Whole(header, length))
}

/// The addresses and ports of two ends, as version 2 has them.
fn two<const N: usize>(rest: &[u8]) -> Result<Header, Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let bad = Malformed("the header is too short for its addresses");
    let (source, rest) = rest.split_first_chunk::<N>().ok_or(bad)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(bad)?;
    let (source_port, rest) = rest.split_first_chunk::<2>().ok_or(bad)?;
    let (destination_port, _) = rest.split_first_chunk::<2>().ok_or(bad)?;
    let end = |address: [u8; N], port| SocketAddr::new(IpAddr::from(address), u16::from_be_bytes(port));
    Ok(Header::Proxied {
        source: end(*source, *source_port),
        destination: end(*destination, *destination_port),
    })
}

impl Header {
    /// The header as version 2 writes it. Where the ends are of two families, both are written as IPv6 (mapped).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        let Self::Proxied { source, destination } = self else {
            let command = if *self == Self::Local { 0x20 } else { 0x21 };
            bytes.extend([command, 0x00, 0, 0]);
            return bytes;
        };
        match (source.ip().to_canonical(), destination.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                bytes.extend([0x21, 0x11, 0, 12]);
                bytes.extend(from.octets());
                bytes.extend(to.octets());
            }
            (from, to) => {
                bytes.extend([0x21, 0x21, 0, 36]);
                for end in [from, to] {
                    let end = match end {
                        IpAddr::V4(end) => end.to_ipv6_mapped(),
                        IpAddr::V6(end) => end,
                    };
                    bytes.extend(end.octets());
                }
            }
        }
        bytes.extend(source.port().to_be_bytes());
        bytes.extend(destination.port().to_be_bytes());
        bytes
    }
}

/// Takes a header off the beginning of a connection, and not a byte more.
///
/// # Errors
/// `InvalidData` with [`Malformed`] for something else, `UnexpectedEof` for a connection that ends in it, and what the
/// stream says.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Header> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes)? {
            Progress::Whole(header, _) => return Ok(header),
            Progress::Needs(more) => {
                let had = bytes.len();
                bytes.resize(had + more, 0);
                stream.read_exact(bytes.get_mut(had..).unwrap_or_default()).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proxied(source: &str, destination: &str) -> Header {
        Header::Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn whole(bytes: &[u8], header: Header) {
        assert_eq!(parse(bytes), Ok(Progress::Whole(header, bytes.len())), "{bytes:?}");
        // What follows is not the header's.
        let longer = [bytes, b"\r\nGET / HTTP/1.1\r\n"].concat();
        assert_eq!(parse(&longer), Ok(Progress::Whole(header, bytes.len())), "{bytes:?}");
        for end in 0..bytes.len() {
            let Ok(Progress::Needs(more)) = parse(&bytes[..end]) else { panic!("{end} of {bytes:?}") };
            assert!(more > 0 && end + more <= bytes.len(), "{end} + {more} of {bytes:?}");
        }
    }

    /// The examples and the worst cases of section 2.1.
    #[test]
    fn lines_of_version_1() {
        whole(
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            proxied("192.168.0.1:56324", "192.168.0.11:443"),
        );
        whole(
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            proxied("255.255.255.255:65535", "255.255.255.255:65535"),
        );
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let end = format!("[{all}]:65535");
        whole(format!("PROXY TCP6 {all} {all} 65535 65535\r\n").as_bytes(), proxied(&end, &end));
        whole(b"PROXY UNKNOWN\r\n", Header::Unknown);
        let longest = format!("PROXY UNKNOWN {all} {all} 65535 65535\r\n");
        assert_eq!(longest.len(), LONGEST_LINE);
        whole(longest.as_bytes(), Header::Unknown);
    }

    #[test]
    fn what_is_no_line_of_version_1() {
        for bad in [
            "GET / HTTP/1.1\r\n",
            "PROXY\r\n",
            "PROXY \r\n",
            "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
            "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
            "PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP4 ::1 ::1 1 1\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP6 ::\u{fc} ::1 1 1\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert!(parse(&endless).is_err());
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[test]
    fn headers_of_version_2() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb];
        let both = proxied("192.0.2.1:4660", "198.51.100.2:443");
        whole(&binary(0x21, 0x11, &v4), both);
        // With a TLV (PP2_TYPE_NOOP), which is skipped.
        whole(&binary(0x21, 0x11, &[&v4[..], &[0x04, 0, 2, 9, 9]].concat()), both);
        whole(&binary(0x20, 0x00, &[]), Header::Local);
        whole(&binary(0x20, 0x11, &v4), Header::Local);
        whole(&binary(0x21, 0x00, &[1, 2, 3]), Header::Unknown);
        whole(&binary(0x21, 0x12, &v4), Header::Unknown);
        whole(&binary(0x21, 0x31, &[0; 216]), Header::Unknown);
        for bad in [
            binary(0x11, 0x11, &v4),
            binary(0x22, 0x11, &v4),
            binary(0x21, 0x41, &v4),
            binary(0x21, 0x13, &v4),
            binary(0x21, 0x11, &v4[..11]),
            binary(0x21, 0x21, &v4),
            binary(0x21, 0x31, &[0; 215]),
            binary(0x21, 0x11, &[0; LONGEST_REST + 1]),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn not_a_byte_too_many_is_read() {
        for header in ["PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n".as_bytes(), &Header::Local.to_bytes()] {
            let bytes = [header, b"GET"].concat();
            let mut stream = &bytes[..];
            read(&mut stream).await.unwrap();
            assert_eq!(stream, b"GET");
            let mut cut = &header[..header.len() - 1];
            assert_eq!(read(&mut cut).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_ask_for_too_much(
            begin in prop_oneof![Just(SIGNATURE.to_vec()), Just(WORD.to_vec()), Just(Vec::new())],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            crate::fuzzing::proxy_headers(&[begin, rest].concat());
        }

        #[test]
        fn what_is_written_is_read(source: (IpAddr, u16), destination: (IpAddr, u16)) {
            let header = Header::Proxied { source: source.into(), destination: destination.into() };
            let Ok(Progress::Whole(Header::Proxied { source: from, destination: to }, _)) = parse(&header.to_bytes())
            else { panic!("{header:?}") };
            prop_assert_eq!((from.ip().to_canonical(), from.port()), (source.0.to_canonical(), source.1));
            prop_assert_eq!((to.ip().to_canonical(), to.port()), (destination.0.to_canonical(), destination.1));
        }
    }
}
