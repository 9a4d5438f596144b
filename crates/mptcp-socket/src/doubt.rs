//! A connection that fell back at the first byte of data: whether its peer has noticed.
//!
//! If a box lets only handshakes pass, both ends notice, and all is well. If the client's first bytes passed with MPTCP's options
//! and the server's answer came without, the client alone has fallen back. The server, whose data MPTCP never acknowledges, stops
//! at the first window (64 KiB at most) and then sends everything again from the very beginning, which the client's kernel takes
//! for what comes next (seen on Linux 6.18). Nothing in what the kernel tells distinguishes the two, but the bytes do:
//! an answer of HTTP/1.1 begins anew where nobody has asked for one.

/// No peer gets further than this before it sends again: the largest window without scaling (RFC 9293 section 3.1), and some.
const FIRST_WINDOW: usize = 70_000;
/// So many bytes of an answer's beginning tell it from other bytes.
const BEGINNING: usize = 40;

/// What has come since.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    seen: Vec<u8>,
    /// Where an answer may begin: what is written asks for one.
    asked: usize,
}

/// What is known of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It may be unaware.
    Doubtful,
    /// It sends as TCP does, or something that can't be told.
    Aware,
    /// It has begun to send everything again.
    Unaware,
}

impl Doubt {
    /// Something was sent.
    pub(crate) fn sent(&mut self) {
        self.asked = self.seen.len();
    }

    /// Bytes have come.
    pub(crate) fn came(&mut self, bytes: &[u8]) -> Peer {
        let room = FIRST_WINDOW.saturating_sub(self.seen.len());
        let before = self.seen.len();
        self.seen.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if !b"HTTP/1.".starts_with(self.seen.get(..7).unwrap_or(&self.seen)) {
            return Peer::Aware;
        }
        let Some(beginning) = self.seen.get(..BEGINNING) else { return Peer::Doubtful };
        let from = before.saturating_sub(BEGINNING - 1).max(1);
        let rest = self.seen.get(from..).unwrap_or_default();
        let again = rest
            .windows(BEGINNING)
            .enumerate()
            .any(|(at, part)| part == beginning && from + at != self.asked);
        match () {
            () if again => Peer::Unaware,
            () if self.seen.len() >= FIRST_WINDOW => Peer::Aware,
            () => Peer::Doubtful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\naccept-ranges: bytes\r\ncontent-length: 100000\r\n\r\n";

    #[test]
    fn an_answer_that_begins_again_unasked_is_seen_wherever_reads_end() {
        for piece in [7, 1000, 30_000] {
            let stream = [HEAD, &[b'x'; 64_000], HEAD, &[b'x'; 100]].concat();
            let mut doubt = Doubt::default();
            doubt.sent();
            let verdicts: Vec<_> = stream.chunks(piece).map(|part| doubt.came(part)).collect();
            assert!(verdicts.contains(&Peer::Unaware), "{piece}");
            let early = 64_000 / piece - 1;
            assert!(verdicts[..early].iter().all(|verdict| *verdict == Peer::Doubtful), "{piece}");
        }
    }

    #[test]
    fn answers_that_were_asked_for_are_fine() {
        let mut doubt = Doubt::default();
        let mut verdict = Peer::Doubtful;
        for _ in 0..20 {
            doubt.sent();
            assert_ne!(doubt.came(HEAD), Peer::Unaware);
            verdict = doubt.came(&[b'x'; 4000]);
            assert_ne!(verdict, Peer::Unaware);
        }
        assert_eq!(verdict, Peer::Aware, "beyond the first window nobody is unaware");
    }

    #[test]
    fn other_protocols_are_left_alone() {
        assert_eq!(Doubt::default().came(&[0; 100]), Peer::Aware);
        assert_eq!(Doubt::default().came(b"HTT"), Peer::Doubtful);
    }
}
