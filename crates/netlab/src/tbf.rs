//! The kernel's token bucket filter (`sch_tbf`), which paces a plain link: the attributes of `tc-tbf(8)` by
//! hand, from `<linux/pkt_sched.h>`, because the netlink crate doesn't know them.

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};

use crate::error::Error;
use crate::rtnl::Rtnl;
use crate::spec::Rate;

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
// With the link layer named, the kernel computes times itself and wants no table of them (TCA_TBF_RTAB).
const TC_LINKLAYER_ETHERNET: u8 = 1;
const HANDLE: TcHandle = TcHandle { major: 1, minor: 0 };

/// What may leave at once after a pause, in bytes: 2 ms, long against the jitter of the kernel's timers and
/// short against any round trip, but never less than a few frames.
fn burst(rate: Rate) -> u32 {
    let bytes = (rate.bytes_per_second() / 500).max(4 * 1514);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn options(rate: Rate, queue: u64) -> Vec<DefaultNla> {
    let bytes_per_second = rate.bytes_per_second();
    let mut spec = Vec::with_capacity(12);
    // struct tc_ratespec: cell_log, linklayer, overhead (u16), cell_align (i16), mpu (u16), rate (u32)
    spec.extend([0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0]);
    spec.extend(u32::try_from(bytes_per_second).unwrap_or(u32::MAX).to_ne_bytes());
    // struct tc_tbf_qopt: rate, peakrate, limit, buffer and mtu (u32); TCA_TBF_BURST stands in for buffer.
    let mut parameters = spec;
    parameters.extend([0; 12]);
    parameters.extend(u32::try_from(queue).unwrap_or(u32::MAX).to_ne_bytes());
    parameters.extend([0; 8]);
    vec![
        DefaultNla::new(TCA_TBF_PARMS, parameters),
        DefaultNla::new(TCA_TBF_RATE64, bytes_per_second.to_ne_bytes().to_vec()),
        DefaultNla::new(TCA_TBF_BURST, burst(rate).to_ne_bytes().to_vec()),
    ]
}

/// Lets the interface send at `rate`, with a queue of so many bytes that drops at its tail. Replaces an
/// earlier rate without losing what is queued.
pub(crate) fn set(rtnl: &mut Rtnl, interface: u32, rate: Rate, queue: u64) -> Result<(), Error> {
    let mut message = qdisc(interface);
    message.attributes = vec![
        TcAttribute::Kind("tbf".into()),
        TcAttribute::Options(options(rate, queue).into_iter().map(TcOption::Other).collect()),
    ];
    let message = RouteNetlinkMessage::NewQueueDiscipline(message);
    rtnl.request("set the rate of a link", message, NLM_F_CREATE | NLM_F_REPLACE).map(drop)
}

/// Lets the interface send as fast as the machine can, if `set` had limited it.
pub(crate) fn clear(rtnl: &mut Rtnl, interface: u32) -> Result<(), Error> {
    let message = RouteNetlinkMessage::DelQueueDiscipline(qdisc(interface));
    rtnl.request("lift the rate of a link", message, 0).map(drop)
}

fn qdisc(interface: u32) -> TcMessage {
    // Interface indices are positive ints in the kernel.
    let mut message = TcMessage::with_index(i32::try_from(interface).unwrap_or(i32::MAX));
    message.header.parent = TcHandle::ROOT;
    message.header.handle = HANDLE;
    message
}
