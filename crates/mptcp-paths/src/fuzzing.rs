//! What fuzzing feeds here: each function takes any bytes, has them read, and panics where a promise is broken. The fuzz
//! targets call these, and the tests beside what is read.

use netlink_packet_core::{Emitable, NetlinkMessage, NetlinkPayload, ParseableParametrized};
use netlink_packet_generic::{GenlHeader, GenlMessage};
use netlink_packet_route::RouteNetlinkMessage;

pub use crate::connections::fuzzing::sock_diag;
use crate::controller::Family;
use crate::doctor::{Counters, listener};
use crate::listen::{EventMessage, host_event};
use crate::message::Message;
use crate::netlink::messages;
use crate::rtnl;

/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// A datagram, whoever it comes from: rtnetlink's, the controller's, the path manager's and its events'.
pub fn netlink(datagram: &[u8]) {
    // Every step consumes at least a header's length, or the rest.
    let most = datagram.len() / HEADER + 1;
    let mut count = 0;
    for message in messages::<RouteNetlinkMessage>(datagram) {
        count += 1;
        let Ok(NetlinkMessage { payload: NetlinkPayload::InnerMessage(message), .. }) = message else {
            continue;
        };
        let _ = host_event(&message);
        match &message {
            RouteNetlinkMessage::NewLink(link) => drop(rtnl::interface(link)),
            RouteNetlinkMessage::NewAddress(address) => {
                let _ = rtnl::address(address).map(|own| own.is_usable());
            }
            RouteNetlinkMessage::NewRoute(route) => {
                for ipv6 in [false, true] {
                    let route = rtnl::route(route, ipv6);
                    let _ = route.map(|route| route.destination.contains(route.destination.address));
                }
            }
            RouteNetlinkMessage::NewRule(rule) => drop(rtnl::rule(rule, false)),
            _ => {}
        }
    }
    assert!(count <= most, "{count} messages in {} bytes", datagram.len());
    let mut count = 0;
    for message in messages::<GenlMessage<Message>>(datagram) {
        count += 1;
        if let Ok(NetlinkMessage { payload: NetlinkPayload::InnerMessage(message), .. }) = message {
            written_again(&message.payload);
        }
    }
    assert!(count <= most, "{count} messages in {} bytes", datagram.len());
    assert!(messages::<GenlMessage<EventMessage>>(datagram).count() <= most);
    assert!(messages::<GenlMessage<Family>>(datagram).count() <= most);
}

/// What is understood of a message of the path manager is written such that it reads the same.
fn written_again(message: &Message) {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    let header = GenlHeader { cmd: message.command, version: 1 };
    let again = Message::parse_with_param(&bytes, header).ok();
    assert_eq!(again.as_ref(), Some(message));
}

/// The tables of `/proc/net` that the doctor reads: counters, and who listens.
pub fn proc_tables(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let counters = Counters::parse(&text);
    let _ = (counters.mptcp("MPCapableSYNRX"), counters.tcp("ListenOverflows"));
    for line in text.lines() {
        let _ = listener(line);
    }
    let _ = mptcp_socket::decode::counter(&text, "MPTcpExt", "Blackhole");
}
