//! The wire of a forwarded link: one thread that carries frames between the two hosts' interfaces, with rate,
//! queue, delay, loss and a box in between.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use socket2::Socket;

use crate::boxes::{BoxKind, Direction, Middlebox, Verdict};
use crate::error::{Doing, Error};
use crate::lock;
use crate::shape::{Dice, Transmitter};
use crate::spec::Rate;

// struct virtio_net_hdr, <linux/virtio_net.h>, in host byte order
const VNET_HEADER: usize = 10;
const VNET_NEEDS_CHECKSUM: u8 = 1;
// The largest frame that a stack hands to an interface in one piece, with room to spare.
const LARGEST_FRAME: usize = 70 * 1024;
// Frames taken from one side before the other has its turn and due frames leave.
const BATCH: usize = 64;
// Frames due within this time leave together: fewer wake-ups, well within the millisecond that is promised.
const COALESCE: Duration = Duration::from_micros(200);
// A link without a rate still holds back no more than this much for its delay.
const MAX_IN_FLIGHT: usize = 256 * 1024 * 1024;

/// How the frames fare at present; it may change at any time.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The rate and the queue in bytes.
    pub(crate) rate: Option<(Rate, u64)>,
    pub(crate) delay: Duration,
    pub(crate) loss: f64,
    pub(crate) middlebox: Option<BoxKind>,
}

/// What the forwarder didn't deliver, per direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dropped {
    pub(crate) queue: u64,
    pub(crate) loss: u64,
    pub(crate) middlebox: u64,
}

#[derive(Debug, Default)]
struct Counters {
    queue: AtomicU64,
    loss: AtomicU64,
    middlebox: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    settings: Mutex<(Settings, u64)>,
    black_hole: AtomicBool,
    // In the order of `DIRECTIONS`.
    dropped: [Counters; 2],
}

const DIRECTIONS: [Direction; 2] = [Direction::AToB, Direction::BToA];

/// The running thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    // Closing our end wakes the thread and ends it.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts to carry frames between two packet sockets, that of host a's side first.
    pub(crate) fn start(sides: [Socket; 2], settings: Settings, seed: u64) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            settings: Mutex::new((settings.clone(), 0)),
            black_hole: AtomicBool::new(false),
            dropped: <[Counters; 2]>::default(),
        });
        let (stop, stopped) = UnixStream::pair().doing("make a socket pair")?;
        let mut wire = Wire {
            sides,
            lanes: [Lane::new(seed), Lane::new(!seed)],
            middlebox: settings.middlebox.map(Middlebox::new),
            settings,
            generation: 0,
            start: Instant::now(),
            shared: Arc::clone(&shared),
            buffer: vec![0; LARGEST_FRAME],
        };
        let thread = std::thread::Builder::new()
            .name("netlab-wire".into())
            .spawn(move || wire.run(&stopped))
            .doing("start a link's thread")?;
        Ok(Forwarder { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Changes the settings. A box that is set anew starts with nothing remembered.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = lock(&self.shared.settings);
        change(&mut settings.0);
        settings.1 += 1;
    }

    pub(crate) fn set_black_hole(&self, black_hole: bool) {
        self.shared.black_hole.store(black_hole, Ordering::Relaxed);
    }

    /// What was dropped so far, a to b first.
    pub(crate) fn dropped(&self) -> [Dropped; 2] {
        self.shared.dropped.each_ref().map(|counters| Dropped {
            queue: counters.queue.load(Ordering::Relaxed),
            loss: counters.loss.load(Ordering::Relaxed),
            middlebox: counters.middlebox.load(Ordering::Relaxed),
        })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; there is nobody here to hand it to.
            let _ = thread.join();
        }
    }
}

/// A frame on its way, with its `virtio_net_hdr`.
struct Pending {
    due: Duration,
    frame: Box<[u8]>,
}

/// One direction.
struct Lane {
    transmitter: Transmitter,
    dice: Dice,
    pending: VecDeque<Pending>,
    in_flight: usize,
}

impl Lane {
    fn new(seed: u64) -> Self {
        Lane {
            transmitter: Transmitter::default(),
            dice: Dice::new(seed),
            pending: VecDeque::new(),
            in_flight: 0,
        }
    }

    fn send_due(&mut self, now: Duration, to: &Socket, black_hole: bool) {
        while self.pending.front().is_some_and(|first| first.due <= now) {
            let Some(first) = self.pending.pop_front() else { return };
            self.in_flight -= first.frame.len();
            if !black_hole {
                send(to, &first.frame);
            }
        }
    }
}

// A frame that the interface doesn't take (it is down, or its queue is full) is lost, as on any wire.
fn send(mut to: &Socket, frame: &[u8]) {
    let _ = to.write(frame);
}

struct Wire {
    sides: [Socket; 2],
    lanes: [Lane; 2],
    middlebox: Option<Middlebox>,
    settings: Settings,
    generation: u64,
    start: Instant,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl Wire {
    fn run(&mut self, stopped: &UnixStream) {
        // Ends with the lab; every turn waits for frames or for time to pass.
        while !self.wait(stopped) {
            self.refresh();
            for from in 0..2 {
                self.receive(from);
            }
            let now = self.start.elapsed();
            let black_hole = self.shared.black_hole.load(Ordering::Relaxed);
            let [a, b] = &self.sides;
            for (lane, to) in self.lanes.iter_mut().zip([b, a]) {
                lane.send_due(now, to, black_hole);
            }
        }
    }

    /// Waits until a frame arrives or is due; true if the link is gone.
    fn wait(&self, stopped: &UnixStream) -> bool {
        let due = self.lanes.iter().filter_map(|lane| lane.pending.front()).map(|first| first.due).min();
        let timeout =
            due.map(|due| TimeSpec::from_duration(due.saturating_sub(self.start.elapsed()).max(COALESCE)));
        let [a, b] = &self.sides;
        let mut polled = [
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(a.as_fd(), PollFlags::POLLIN),
            PollFd::new(b.as_fd(), PollFlags::POLLIN),
        ];
        // Errors here are interruptions by signals: the next turn waits again.
        let woken = ppoll(&mut polled, timeout, None).unwrap_or(0);
        woken > 0 && polled[0].any().unwrap_or(false)
    }

    fn refresh(&mut self) {
        let settings = lock(&self.shared.settings);
        if settings.1 != self.generation {
            if settings.0.middlebox != self.settings.middlebox {
                self.middlebox = settings.0.middlebox.map(Middlebox::new);
            }
            (self.settings, self.generation) = settings.clone();
        }
    }

    fn receive(&mut self, from: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..BATCH {
            let Some(mut side) = self.sides.get(from) else { break };
            match side.read(&mut buffer) {
                Ok(length) => {
                    let frame = buffer.get_mut(..length).unwrap_or_default();
                    self.forward(from, frame);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Empty, or the interface is down: a link without carrier.
                Err(_) => break,
            }
        }
        self.buffer = buffer;
    }

    fn forward(&mut self, from: usize, packet: &mut [u8]) {
        if packet.len() <= VNET_HEADER || self.shared.black_hole.load(Ordering::Relaxed) {
            return;
        }
        let size = wire_size(packet);
        if let Some(middlebox) = &mut self.middlebox {
            let (header, frame) = packet.split_at_mut(VNET_HEADER);
            let partial = header.first().is_some_and(|flags| flags & VNET_NEEDS_CHECKSUM != 0);
            match middlebox.process(frame, DIRECTIONS[from], partial) {
                Verdict::Pass => {}
                Verdict::Drop => return count(&self.shared.dropped[from].middlebox),
                Verdict::Answer(frame) => {
                    count(&self.shared.dropped[from].middlebox);
                    let mut answer = vec![0; VNET_HEADER];
                    answer.extend(frame);
                    let size = wire_size(&answer);
                    return self.launch(1 - from, &answer, size);
                }
            }
        }
        if self.settings.loss > 0.0 && self.lanes[from].dice.hits(self.settings.loss) {
            return count(&self.shared.dropped[from].loss);
        }
        self.launch(from, packet, size);
    }

    fn launch(&mut self, lane: usize, packet: &[u8], size: u64) {
        let now = self.start.elapsed();
        let Wire { sides, lanes, settings, shared, .. } = self;
        let lane_index = lane;
        let lane = &mut lanes[lane_index];
        let sent = match settings.rate {
            None => Some(now),
            Some((rate, limit)) => lane.transmitter.admit(now, size, rate, limit),
        };
        let Some(sent) = sent.filter(|_| lane.in_flight <= MAX_IN_FLIGHT) else {
            return count(&shared.dropped[lane_index].queue);
        };
        let due = sent + settings.delay;
        if due <= now && lane.pending.is_empty() {
            return send(&sides[1 - lane_index], packet);
        }
        // A delay that was just shortened must not let frames overtake each other.
        let due = lane.pending.back().map_or(due, |last| due.max(last.due));
        lane.in_flight += packet.len();
        lane.pending.push_back(Pending { due, frame: packet.into() });
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The bytes of a packet on the wire: one that is yet to be cut into segments has its headers on each of
/// them.
fn wire_size(packet: &[u8]) -> u64 {
    let field = |at: usize| match packet.get(at..at + 2) {
        Some(&[low, high]) => u64::from(u16::from_ne_bytes([low, high])),
        _ => 0,
    };
    let frame = packet.len().saturating_sub(VNET_HEADER) as u64;
    let (headers, segment) = (field(2), field(4));
    let segmented = packet.get(1).is_some_and(|&kind| kind != 0) && segment > 0 && headers > 0;
    if segmented {
        frame + headers * (frame.saturating_sub(headers).div_ceil(segment).saturating_sub(1))
    } else {
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_yet_to_be_segmented_counts_its_headers_once_a_segment() {
        let mut packet = vec![0; VNET_HEADER + 54 + 3 * 1000];
        assert_eq!(wire_size(&packet), 3054);
        packet[1] = 1;
        packet[2..4].copy_from_slice(&54_u16.to_ne_bytes());
        packet[4..6].copy_from_slice(&1000_u16.to_ne_bytes());
        assert_eq!(wire_size(&packet), 3054 + 2 * 54);
    }
}
