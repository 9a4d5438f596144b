//! Any bytes as what servers say of a body, and as what an earlier download left behind.

use bytes::Bytes;

use super::{
    Checksum, Paths,
    answer::{Sameness, Version, content_range},
    checksum::Tally,
    part::State,
    plan::{Order, Plan, Speed},
};
use crate::fuzzing::fields;

/// The state of an unfinished download: what is taken of it lies within the body, and a plan goes on with it to its end.
pub fn download_states(bytes: &[u8]) {
    let Some(state) = State::parse(bytes) else { return };
    let received = state.received();
    assert!(received.len() <= state.total);
    if let Some(shorter) = state.clone().without_the_last() {
        assert!(shorter.received().len() < state.total);
    }
    let speed = |lane| Speed {
        rate: Some(1e6),
        latency: 0.02,
        stalled: None,
        suspect: false,
        link: lane,
        sharing: 1,
        idle: 1,
    };
    for order in [Order::Any, Order::Sequential { window: u64::MAX }] {
        let mut plan = Plan::new(state.total, order, received.clone());
        // Each takes one gap at least; more gaps than these say nothing new.
        for lane in 0..100 {
            let Some(id) = plan.take(lane, u64::MAX, &speed) else { break };
            let Some(left) = plan.lease(id).map(|lease| lease.left()) else { break };
            let arrived = plan.arrived(id, usize::try_from(left).unwrap_or(usize::MAX));
            assert!(arrived.over && arrived.offset < state.total);
            plan.stored(id);
            plan.release(id);
            plan.set_read(plan.first_missing());
        }
        assert!(plan.received().len() <= state.total);
    }
}

/// The head of an answer: its part, and which version of the body it is of.
pub fn answers(bytes: &[u8]) {
    let headers = fields(bytes);
    if let Some((part, total)) = content_range(&headers) {
        assert!(part.start < part.end && total.is_none_or(|total| part.end <= total));
    }
    if let Some(version) = Version::of(&headers) {
        assert_eq!(version.compare(&headers), Sameness::Same);
        let mut demand = http::HeaderMap::new();
        version.demand(&mut demand);
        assert!(demand.contains_key(http::header::IF_RANGE));
    }
    let _ = crate::client::retry_after(&headers);
}

/// Digests in fields and on the command line, names of paths, and bytes that come in pieces, some of them twice.
pub fn digests(bytes: &[u8]) {
    let headers = fields(bytes);
    for name in ["repr-digest", "content-digest"] {
        if let Some(checksum) = Checksum::of_field(&headers, name) {
            assert_eq!(checksum.to_string().parse::<Checksum>().ok(), Some(checksum));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let Ok(checksum) = text.parse::<Checksum>() else {
        if let Ok(Paths::Interfaces(names)) = text.parse() {
            assert!(names.iter().all(|name| (1..=15).contains(&name.len())));
        }
        return;
    };
    assert_eq!(checksum.to_string().parse::<Checksum>().ok(), Some(checksum.clone()));
    let whole = Bytes::copy_from_slice(bytes);
    let tallied = |pieces: &[(u64, Bytes)]| {
        let mut tally = Tally::new(std::slice::from_ref(&checksum));
        pieces.iter().for_each(|(offset, piece)| tally.update(*offset, piece));
        tally.check().map_err(|error| error.to_string())
    };
    let (half, end) = (whole.len() / 2, whole.len());
    let twice =
        [(0, whole.slice(..half)), (0, whole.clone()), ((end - half) as u64, whole.slice(end - half..))];
    assert_eq!(tallied(&twice), tallied(&[(0, whole)]));
}
