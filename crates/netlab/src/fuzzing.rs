//! What fuzzing feeds here: it takes any bytes, has them read, and panics where a promise is broken. The fuzz target calls
//! this, and the tests beside what is read.

use crate::frame::Segment;

/// An Ethernet frame: what a box on the way makes of it.
pub fn frames(bytes: &[u8]) {
    let Some(segment) = Segment::parse(bytes) else { return };
    let _ = segment.flow();
    assert!(segment.payload_length() <= bytes.len());
    if let Some(reset) = segment.reset(bytes) {
        // A reset is a frame itself, which goes the other way.
        let answer = Segment::parse(&reset);
        assert!(answer.is_some_and(|answer| answer.flow() == segment.flow() && !answer.is_syn()));
    }
    for checksum_is_partial in [false, true] {
        let mut frame = bytes.to_vec();
        segment.strip_mptcp(&mut frame, checksum_is_partial);
        assert!(!segment.has_mptcp(&frame) && frame.len() == bytes.len());
    }
}
