//! Boxes on a link: firewalls, proxies and "optimisers" that don't know MPTCP, as they are met in the field.

use std::collections::HashMap;

use crate::frame::{Flow, Segment};

// A box of the lab remembers so many connections; beyond, it forgets all of them, as small boxes do.
const MAX_FLOWS: usize = 65_536;

/// One of the two directions of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the first host given to [`Lab::link`](crate::Lab::link) to the second.
    AToB,
    /// From the second host to the first.
    BToA,
}

/// Which segments a box touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Segments {
    /// Those with SYN: the handshake's first two.
    Syns,
    /// Those after the handshake's first two: MPTCP seems to be there, and isn't.
    NotSyns,
    /// All of them.
    All,
}

/// When a box wakes up, counted per TCP connection (subflow) and over both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum After {
    /// After so many bytes of payload.
    Bytes(u64),
    /// After so many segments with payload.
    Segments(u64),
}

/// What a box does. Every kind leaves segments without MPTCP options (TCP option 30), and everything else,
/// untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BoxKind {
    /// Overwrites MPTCP options with NOPs: the connection becomes plain TCP.
    StripMptcp {
        /// In which segments.
        segments: Segments,
        /// In which direction; `None`: in both.
        direction: Option<Direction>,
    },
    /// SYNs and SYN+ACKs that carry MP_CAPABLE or MP_JOIN vanish.
    DropMptcpSyn,
    /// SYNs that carry MP_CAPABLE or MP_JOIN are answered with RST+ACK and don't arrive.
    ResetMptcpSyn,
    /// Starts to overwrite MPTCP options in the middle of a connection.
    StripAfter(After),
}

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Drop,
    /// The frame doesn't arrive; its sender gets this one instead.
    Answer(Vec<u8>),
}

/// A box at work.
#[derive(Debug)]
pub(crate) struct Middlebox {
    kind: BoxKind,
    seen: HashMap<Flow, u64>,
}

impl Middlebox {
    pub(crate) fn new(kind: BoxKind) -> Self {
        Middlebox { kind, seen: HashMap::new() }
    }

    /// Inspects, and maybe changes, a frame on its way.
    pub(crate) fn process(
        &mut self,
        frame: &mut [u8],
        direction: Direction,
        checksum_is_partial: bool,
    ) -> Verdict {
        let Some(segment) = Segment::parse(frame) else { return Verdict::Pass };
        match self.kind {
            BoxKind::StripMptcp { segments, direction: only } => {
                let concerned = match segments {
                    Segments::Syns => segment.is_syn(),
                    Segments::NotSyns => !segment.is_syn(),
                    Segments::All => true,
                };
                if concerned && only.is_none_or(|only| only == direction) && segment.has_mptcp(frame) {
                    segment.strip_mptcp(frame, checksum_is_partial);
                }
                Verdict::Pass
            }
            BoxKind::DropMptcpSyn if segment.is_syn() && segment.has_mptcp(frame) => Verdict::Drop,
            BoxKind::ResetMptcpSyn if segment.opens() && segment.has_mptcp(frame) => {
                segment.reset(frame).map_or(Verdict::Drop, Verdict::Answer)
            }
            BoxKind::DropMptcpSyn | BoxKind::ResetMptcpSyn => Verdict::Pass,
            BoxKind::StripAfter(after) => {
                if self.awake(&segment, after) && segment.has_mptcp(frame) {
                    segment.strip_mptcp(frame, checksum_is_partial);
                }
                Verdict::Pass
            }
        }
    }

    /// Counts the segment; says whether the connection had its share before it.
    fn awake(&mut self, segment: &Segment, after: After) -> bool {
        if self.seen.len() >= MAX_FLOWS {
            self.seen.clear();
        }
        let seen = self.seen.entry(segment.flow()).or_default();
        if segment.opens() {
            *seen = 0;
        }
        let length = segment.payload_length() as u64;
        let (threshold, amount) = match after {
            After::Bytes(threshold) => (threshold, length),
            After::Segments(threshold) => (threshold, u64::from(length > 0)),
        };
        let awake = *seen >= threshold;
        *seen = seen.saturating_add(amount);
        awake
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tcp_frame;

    const SYN: u8 = 0x02;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;
    const MPTCP: [u8; 4] = [30, 4, 0, 1];

    fn passes(middlebox: &mut Middlebox, direction: Direction, flags: u8, options: &[u8]) -> (Verdict, bool) {
        let mut frame = tcp_frame(false, flags, options, b"");
        let verdict = middlebox.process(&mut frame, direction, false);
        (verdict, Segment::parse(&frame).expect("still TCP").has_mptcp(&frame))
    }

    #[test]
    fn stripping_can_spare_the_handshake() {
        let mut strip = Middlebox::new(BoxKind::StripMptcp { segments: Segments::NotSyns, direction: None });
        assert_eq!(passes(&mut strip, Direction::AToB, SYN, &MPTCP), (Verdict::Pass, true));
        assert_eq!(passes(&mut strip, Direction::AToB, ACK, &MPTCP), (Verdict::Pass, false));
    }

    #[test]
    fn stripping_is_selective() {
        let kind = BoxKind::StripMptcp { segments: Segments::Syns, direction: Some(Direction::BToA) };
        let mut strip = Middlebox::new(kind);
        assert_eq!(passes(&mut strip, Direction::BToA, SYN_ACK, &MPTCP), (Verdict::Pass, false));
        assert_eq!(passes(&mut strip, Direction::AToB, SYN, &MPTCP), (Verdict::Pass, true));
        assert_eq!(passes(&mut strip, Direction::BToA, ACK, &MPTCP), (Verdict::Pass, true));
    }

    #[test]
    fn dropping_and_resetting_touch_mptcp_syns_alone() {
        for kind in [BoxKind::DropMptcpSyn, BoxKind::ResetMptcpSyn] {
            let mut middlebox = Middlebox::new(kind);
            assert_ne!(passes(&mut middlebox, Direction::AToB, SYN, &MPTCP).0, Verdict::Pass);
            assert_eq!(passes(&mut middlebox, Direction::AToB, SYN, &[]).0, Verdict::Pass);
            assert_eq!(passes(&mut middlebox, Direction::AToB, ACK, &MPTCP).0, Verdict::Pass);
        }
    }

    #[test]
    fn a_late_box_wakes_up_after_its_bytes_and_per_connection() {
        let mut late = Middlebox::new(BoxKind::StripAfter(After::Bytes(10)));
        let mut stripped = |flags, payload: &[u8]| {
            let mut frame = tcp_frame(true, flags, &MPTCP, payload);
            late.process(&mut frame, Direction::AToB, false);
            !Segment::parse(&frame).expect("still TCP").has_mptcp(&frame)
        };
        assert!(!stripped(ACK, b"123456"));
        assert!(!stripped(ACK, b"123456"));
        assert!(stripped(ACK, b""));
        assert!(!stripped(SYN, b""), "a new connection starts from zero");
    }

    #[test]
    fn frames_that_are_not_tcp_pass() {
        let mut arp = vec![0xff; 42];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        let mut middlebox = Middlebox::new(BoxKind::DropMptcpSyn);
        assert_eq!(middlebox.process(&mut arp, Direction::AToB, false), Verdict::Pass);
    }
}
