//! Every decoder of this crate on arbitrary bytes, and on real messages with arbitrary damage: whatever comes, it ends and
//! doesn't panic. The seeds are what this host's kernel says of itself.

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_generic::{GenlHeader, GenlMessage};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use proptest::prelude::*;
use std::sync::LazyLock;

use crate::controller::Family;
use crate::fuzzing::netlink;
use crate::listen::EventMessage;
use crate::message::{Attribute, Message};
use crate::netlink::messages;
use crate::{Endpoint, EndpointFlags};

/// The type of the seeds that no kernel has sent: a number as a generic family may have it.
const MADE_UP: u16 = 0x30;
/// In `<linux/rtnetlink.h>`.
const RTM_NEWRULE: u16 = 32;
/// `GENL_ID_CTRL` in `<linux/genetlink.h>`.
const CONTROLLER: u16 = 0x10;
/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// A datagram with one message of this type.
fn datagram(message_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(message_type.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(payload);
    bytes
}

/// What the kernel answers to every question that `rtnl` asks.
static OF_ROUTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut seeds = Vec::new();
    let mut route = RouteMessage::default();
    route.header.address_family = AddressFamily::Inet6;
    for question in [
        RouteNetlinkMessage::GetLink(LinkMessage::default()),
        RouteNetlinkMessage::GetAddress(AddressMessage::default()),
        RouteNetlinkMessage::GetRoute(RouteMessage::default()),
        RouteNetlinkMessage::GetRoute(route),
        RouteNetlinkMessage::GetRule(RuleMessage::default()),
    ] {
        seeds.extend(ask(question));
    }
    seeds
});

/// What the controller of generic netlink says of itself: every kernel has this family, with MPTCP or without.
static OF_CONTROLLER: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| answers(NETLINK_GENERIC, NLM_F_ACK, GenlMessage::from_payload(Family::named("nlctrl"))));

/// All of these, and the messages of `mptcp_pm` as they look.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut seeds = [OF_ROUTES.as_slice(), OF_CONTROLLER.as_slice()].concat();
    let flags = EndpointFlags { backup: true, ..EndpointFlags::SUBFLOW };
    let endpoint = Endpoint {
        id: Some(3),
        port: Some(80),
        interface: Some(2),
        ..Endpoint::new("2001:db8::1".parse().unwrap(), flags)
    };
    let attributes =
        vec![Attribute::Endpoint(endpoint), Attribute::Subflows(2), Attribute::AddAddrAccepted(3)];
    let message = Message { command: 3, attributes };
    let mut payload = vec![3, 1, 0, 0];
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    payload.extend(body);
    seeds.push(datagram(MADE_UP, &payload));
    // An event with all that one can have: kind 11, a path that closed.
    let attribute = |kind: u16, value: &[u8]| {
        let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let mut payload = vec![11, 1, 0, 0];
    for (kind, value) in [
        (1_u16, &[1, 2, 3, 4][..]),
        (2, &[2, 0]),
        (3, &[1]),
        (4, &[2]),
        (5, &[192, 0, 2, 1]),
        (7, &[192, 0, 2, 2]),
        (9, &[0x1f, 0x90]),
        (10, &[0, 80]),
        (11, &[1]),
        (12, &[110]),
        (13, &[3, 0]),
        (15, &[2, 0, 0, 0]),
        (16, &[6, 0, 0, 0]),
        (17, &[1, 0, 0, 0]),
        (18, &[1]),
    ] {
        payload.extend(attribute(kind, value));
    }
    seeds.push(datagram(MADE_UP, &payload));
    seeds
});

fn ask(question: RouteNetlinkMessage) -> Vec<Vec<u8>> {
    answers(NETLINK_ROUTE, NLM_F_DUMP, question)
}

/// What the kernel answers to a question, up to its end or its acknowledgement.
fn answers<M: NetlinkSerializable + NetlinkDeserializable + std::fmt::Debug>(
    protocol: isize,
    flags: u16,
    question: M,
) -> Vec<Vec<u8>> {
    let mut socket = Socket::new(protocol).unwrap();
    socket.bind_auto().unwrap();
    socket.connect(&SocketAddr::new(0, 0)).unwrap();
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    socket.send(&bytes, 0).unwrap();
    let mut answers = Vec::new();
    for _ in 0..100 {
        let (datagram, _) = socket.recv_from_full().unwrap();
        let done = messages::<M>(&datagram).any(|message| {
            use NetlinkPayload::{Done, Error};
            matches!(message, Ok(NetlinkMessage { payload: Done(_) | Error(_), .. }))
        });
        answers.push(datagram);
        if done {
            break;
        }
    }
    answers
}

#[test]
fn what_the_kernel_says_is_understood() {
    for seed in OF_ROUTES.iter() {
        for message in messages::<RouteNetlinkMessage>(seed) {
            message.unwrap();
        }
    }
    let rules = OF_ROUTES.iter().filter(|seed| seed[4..6] == RTM_NEWRULE.to_ne_bytes()).count();
    assert!(rules > 0, "no rules are among the seeds");
    let of_controller = OF_CONTROLLER.iter().flat_map(|seed| messages::<GenlMessage<Family>>(seed));
    let told = of_controller.into_iter().find_map(|message| {
        let NetlinkPayload::InnerMessage(family) = message.unwrap().payload else { return None };
        family.payload.id
    });
    assert_eq!(told, Some(CONTROLLER));
    let event = messages::<GenlMessage<EventMessage>>(SEEDS.last().unwrap()).next().unwrap().unwrap();
    let NetlinkPayload::InnerMessage(event) = event.payload else { panic!("{event:?}") };
    let crate::PathEvent::SubflowClosed(path) = event.payload.0 else { panic!("{event:?}") };
    assert_eq!(
        (path.local.to_string(), path.remote.to_string()),
        ("192.0.2.1:8080".into(), "192.0.2.2:80".into())
    );
    assert_eq!((path.error, path.interface, path.backup), (Some(110), Some(2), true));
    let why = path.why().unwrap();
    assert!(why.contains("timed out") && why.contains("middlebox interference, may be tried again"), "{why}");
    assert_eq!(GenlHeader { cmd: 11, version: 1 }, event.header);
}

/// Types of messages that are decoded: rtnetlink's of links, addresses, routes and rules; a generic family's; the
/// controller's; errors, ends and overruns.
fn types() -> impl Strategy<Value = u16> {
    prop_oneof![
        prop::sample::select(vec![1_u16, 2, 3, 4, 16, 17, 20, 21, 24, 25, 32, 33, 0x10, 0x20, MADE_UP]),
        any::<u16>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        netlink(&bytes);
    }

    #[test]
    fn arbitrary_payloads_do_no_harm(
        messages in prop::collection::vec((types(), prop::collection::vec(any::<u8>(), 0..200)), 1..4),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(kind, payload)| datagram(*kind, payload)).collect();
        netlink(&bytes);
    }

    #[test]
    fn damaged_messages_do_no_harm(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = SEEDS[seed.index(SEEDS.len())].clone();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        netlink(&bytes);
    }
}
