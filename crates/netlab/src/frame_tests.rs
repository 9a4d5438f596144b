//! Frames well-formed, odd and random.

use proptest::prelude::*;

use super::*;

const MP_CAPABLE: [u8; 4] = [30, 4, 0x01, 0x01];
const MSS: [u8; 4] = [2, 4, 0x05, 0xb4];

/// A frame with a TCP segment and a right checksum.
pub(crate) fn tcp_frame(v6: bool, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    assert!(options.len().is_multiple_of(4) && options.len() <= 40);
    let mut segment = vec![0x9c, 0x40, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0, 0, 0, 0];
    segment.extend([((5 + options.len() / 4) as u8) << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((segment.len() as u16).to_be_bytes());
        frame.extend([6, 64]);
        frame.extend([0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    } else {
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend((20 + segment.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 1, 0, 2]);
    }
    let tcp = frame.len();
    frame.extend(segment);
    let checksum = !checksum(&frame, v6);
    frame[tcp + 16..tcp + 18].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// The checksum over pseudo header and segment: 0xffff where it is right.
fn checksum(frame: &[u8], v6: bool) -> u16 {
    let (addresses, tcp) = if v6 { (&frame[22..54], 54) } else { (&frame[26..34], 34) };
    fold(sum(addresses) + 6 + (frame.len() - tcp) as u64 + sum(&frame[tcp..]))
}

fn options(parts: &[&[u8]]) -> Vec<u8> {
    let mut options = parts.concat();
    while !options.len().is_multiple_of(4) {
        options.push(1);
    }
    options
}

#[test]
fn finds_mptcp_among_other_options() {
    for v6 in [false, true] {
        let with = tcp_frame(v6, SYN, &options(&[&MSS, &[1], &MP_CAPABLE]), b"");
        assert!(Segment::parse(&with).expect("TCP").has_mptcp(&with));
        let without = tcp_frame(v6, SYN, &options(&[&MSS]), b"");
        assert!(!Segment::parse(&without).expect("TCP").has_mptcp(&without));
    }
}

#[test]
fn options_after_the_end_of_the_list_do_not_count() {
    let frame = tcp_frame(false, SYN, &options(&[&[0], &MP_CAPABLE]), b"");
    assert!(!Segment::parse(&frame).expect("TCP").has_mptcp(&frame));
}

#[test]
fn stripping_leaves_the_rest_and_a_right_checksum() {
    for v6 in [false, true] {
        // The NOP puts the option at an odd position, where the checksum's words straddle its ends.
        let mut frame = tcp_frame(v6, ACK, &options(&[&[1], &MP_CAPABLE, &MSS]), b"odd");
        let segment = Segment::parse(&frame).expect("TCP");
        segment.strip_mptcp(&mut frame, false);
        assert!(!segment.has_mptcp(&frame));
        assert_eq!(checksum(&frame, v6), 0xffff);
        assert_eq!(segment.options(&frame), options(&[&[1, 1, 1, 1, 1], &MSS]));
        assert!(frame.ends_with(b"odd"));
    }
}

#[test]
fn stripping_leaves_a_partial_checksum_alone() {
    let mut frame = tcp_frame(false, ACK, &MP_CAPABLE, b"");
    let before = frame[50..52].to_vec();
    Segment::parse(&frame).expect("TCP").strip_mptcp(&mut frame, true);
    assert_eq!(frame[50..52], before);
}

#[test]
fn a_reset_answers_its_syn() {
    for v6 in [false, true] {
        let syn = tcp_frame(v6, SYN, &MP_CAPABLE, b"");
        let segment = Segment::parse(&syn).expect("TCP");
        let reset = segment.reset(&syn).expect("a reset");
        let answer = Segment::parse(&reset).expect("the reset is TCP");
        assert_eq!(checksum(&reset, v6), 0xffff);
        assert_eq!(answer.flags, RST | ACK);
        assert_eq!((answer.source, answer.source_port), (segment.destination, segment.destination_port));
        assert_eq!((answer.destination, answer.destination_port), (segment.source, segment.source_port));
        assert_eq!(reset[answer.tcp + 8..answer.tcp + 12], [0x01, 0x02, 0x03, 0x05]);
        assert_eq!((&reset[0..6], &reset[6..12]), (&syn[6..12], &syn[0..6]));
        if !v6 {
            assert_eq!(fold(sum(&reset[14..34])), 0xffff, "the IPv4 header's own checksum");
        }
    }
}

#[test]
fn both_directions_are_the_same_flow() {
    let syn = tcp_frame(false, SYN, &MP_CAPABLE, b"");
    let there = Segment::parse(&syn).expect("TCP");
    let reset = there.reset(&syn).expect("a reset");
    assert_eq!(Segment::parse(&reset).expect("TCP").flow(), there.flow());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzzing::frames(&frame);
    }

    #[test]
    fn no_damage_to_a_good_frame_makes_the_parser_panic(
        v6: bool,
        options in proptest::collection::vec(any::<u8>(), 0..=10),
        place in 0..150_usize,
        value: u8,
        keep in 0..150_usize,
    ) {
        let options: Vec<u8> = options.iter().flat_map(|&byte| [30, byte, byte, 1]).collect();
        let mut frame = tcp_frame(v6, SYN, &options, b"payload");
        if let Some(byte) = frame.get_mut(place) {
            *byte = value;
        }
        frame.truncate(keep);
        crate::fuzzing::frames(&frame);
    }

    #[test]
    fn stripping_any_options_keeps_the_checksum_right(
        v6: bool,
        options in proptest::collection::vec(any::<u8>(), 0..=10),
        payload in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let options: Vec<u8> = options.iter().flat_map(|&byte| [30, 2 + byte % 3, byte, 1]).collect();
        let mut frame = tcp_frame(v6, ACK, &options, &payload);
        let segment = Segment::parse(&frame).expect("TCP");
        segment.strip_mptcp(&mut frame, false);
        prop_assert!(!segment.has_mptcp(&frame));
        prop_assert_eq!(checksum(&frame, v6), 0xffff);
    }
}
