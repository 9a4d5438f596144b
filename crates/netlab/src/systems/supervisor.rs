//! Answers the system calls of those who are shown another system.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};

use libc::{c_int, c_long};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{Rule, Sockets, System};
use crate::sys::notify::{self, Answer, Call};

/// The calls that rules are about, besides those that a system lacks.
const CALLS: [c_long; 5] =
    [libc::SYS_socket, libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_sendto, libc::SYS_openat];

/// The calls that wait for an answer on this system.
pub(super) fn calls(system: &System) -> Vec<c_long> {
    CALLS.into_iter().chain(system.rules.iter().filter_map(absent)).collect()
}

fn absent(rule: &Rule) -> Option<c_long> {
    match rule {
        Rule::NoCall(number) => Some(*number),
        _ => None,
    }
}

const IPPROTO_MPTCP: u32 = 262;
const SOL_MPTCP: c_int = 284;
const MPTCP_FULL_INFO: c_int = 4;
/// `<linux/tcp.h>`
const TCP_IS_MPTCP: c_int = 43;
/// `struct mptcp_full_info` up to its `struct mptcp_info`.
const FULL_INFO_HEAD: usize = 40;
/// No option that is cut short is longer; a program that says it has room for more is not believed.
const MOST: usize = 1 << 20;
/// `struct nlmsghdr`.
const NLMSGHDR: usize = 16;
/// `<linux/inet_diag.h>`: the attribute for protocols above 255, and one that no kernel has.
const REQ_PROTOCOL: u16 = 3;
const REQ_NONE: u16 = 0x3fff;

/// Answers until the last of those who wait for answers is gone.
pub(super) fn supervise(system: &System, listener: &OwnedFd) {
    loop {
        let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let events = polled.first().and_then(PollFd::revents).unwrap_or(PollFlags::POLLERR);
        if !events.contains(PollFlags::POLLIN) {
            return;
        }
        let Ok(call) = notify::receive(listener.as_fd()) else { return };
        let Some(call) = call else { continue };
        // What can't be read of a program that is dying needs no answer of its own.
        let answer = judge(system, &call).unwrap_or(Answer::Kernel);
        if notify::answer(listener.as_fd(), &call, &answer).is_err() {
            return;
        }
    }
}

fn judge(system: &System, call: &Call) -> io::Result<Answer> {
    if system.rules.iter().filter_map(absent).any(|number| number == call.number) {
        return Ok(Answer::Error(libc::ENOSYS));
    }
    // Arguments that are ints come in the low half of a register.
    let int = |index: usize| call.arguments.get(index).map_or(0, |&argument| argument as c_int);
    match call.number {
        libc::SYS_socket => Ok(socket(system, int(0), int(2))),
        libc::SYS_getsockopt => get(system, call, int(1), int(2)),
        libc::SYS_setsockopt => set(system, call, int(1), int(2)),
        libc::SYS_sendto => send(system, call),
        libc::SYS_openat => open(system, call),
        _ => Ok(Answer::Kernel),
    }
}

fn socket(system: &System, its_domain: c_int, its_protocol: c_int) -> Answer {
    for rule in system.rules {
        if let Rule::Socket { domain, protocol, errno } = *rule
            && domain.is_none_or(|domain| domain == its_domain)
            && protocol.is_none_or(|protocol| protocol == its_protocol)
        {
            return Answer::Error(errno);
        }
    }
    Answer::Kernel
}

fn get(system: &System, call: &Call, its_level: c_int, its_option: c_int) -> io::Result<Answer> {
    for rule in system.rules {
        match *rule {
            Rule::Get { sockets, level, option, errno }
                if level == its_level
                    && option.is_none_or(|option| option == its_option)
                    && is_of(&descriptor(call)?, sockets) =>
            {
                return Ok(Answer::Error(errno));
            }
            Rule::Short { level, option, length } if (level, option) == (its_level, its_option) => {
                return short(call, length, (level, option));
            }
            _ => {}
        }
    }
    Ok(Answer::Kernel)
}

fn set(system: &System, call: &Call, its_level: c_int, its_option: c_int) -> io::Result<Answer> {
    for rule in system.rules {
        if let Rule::Set { sockets, level, option, errno } = *rule
            && (level, option) == (its_level, its_option)
            && is_of(&descriptor(call)?, sockets)
        {
            return Ok(Answer::Error(errno));
        }
    }
    Ok(Answer::Kernel)
}

fn is_of(socket: &OwnedFd, sockets: Sockets) -> bool {
    let flag = |level, name| {
        let mut value = [0; 4];
        notify::option(socket, level, name, &mut value).ok().map(|_| u32::from_ne_bytes(value))
    };
    let mptcp = || {
        flag(libc::SOL_SOCKET, libc::SO_PROTOCOL) == Some(IPPROTO_MPTCP)
            // An unconnected one says 1, as it is still to speak MPTCP.
            && flag(libc::IPPROTO_TCP, TCP_IS_MPTCP) == Some(1)
    };
    match sockets {
        Sockets::All => true,
        Sockets::Mptcp => mptcp(),
        Sockets::Tcp => !mptcp(),
    }
}

/// Does the call in the program's place, and gives it no more than `length` bytes.
fn short(call: &Call, length: usize, (level, name): (c_int, c_int)) -> io::Result<Answer> {
    let [_, _, _, value_at, length_at, _] = call.arguments;
    let socket = descriptor(call)?;
    let mut room = [0; 4];
    read(call, length_at, &mut room)?;
    let mut value = vec![0; (u32::from_ne_bytes(room) as usize).min(MOST)];
    read(call, value_at, &mut value)?;
    let done = if (level, name) == (SOL_MPTCP, MPTCP_FULL_INFO) {
        full_info(call, &socket, &mut value)
    } else {
        notify::option(&socket, level, name, &mut value)
    };
    let filled = match done {
        Ok(filled) => filled.min(length).min(value.len()),
        Err(error) => return Ok(Answer::Error(error.raw_os_error().unwrap_or(libc::EINVAL))),
    };
    write(call, value_at, value.get(..filled).unwrap_or_default())?;
    write(call, length_at, &(filled as u32).to_ne_bytes())?;
    Ok(Answer::Done)
}

/// The arrays that the program's structure points to are filled by way of our own.
fn full_info(call: &Call, socket: &OwnedFd, value: &mut [u8]) -> io::Result<usize> {
    let field = |at: usize| -> io::Result<usize> {
        let bytes = value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        Ok(u32::from_ne_bytes(bytes.ok_or(io::ErrorKind::InvalidInput)?) as usize)
    };
    let pointer = |at: usize| -> io::Result<u64> {
        let bytes = value.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        Ok(u64::from_ne_bytes(bytes.ok_or(io::ErrorKind::InvalidInput)?))
    };
    let records = field(20)?;
    let room = |size: usize| vec![0; size.saturating_mul(records).min(MOST)];
    let (mut subflows, mut tcp) = (room(field(12)?), room(field(4)?));
    let (subflows_at, tcp_at) = (pointer(24)?, pointer(32)?);
    let filled = notify::full_info(socket, (SOL_MPTCP, MPTCP_FULL_INFO), value, &mut subflows, &mut tcp)?;
    write(call, subflows_at, &subflows)?;
    write(call, tcp_at, &tcp)?;
    for (at, pointer) in [(24, subflows_at), (32, tcp_at)] {
        if let Some(bytes) = value.get_mut(at..at + 8) {
            bytes.copy_from_slice(&pointer.to_ne_bytes());
        }
    }
    Ok(filled.max(FULL_INFO_HEAD))
}

/// A netlink request for something that the system doesn't know is changed to one for something that no kernel knows: the
/// answer is this kernel's own.
fn send(system: &System, call: &Call) -> io::Result<Answer> {
    let names = system.rules.iter().filter_map(|rule| match rule {
        Rule::NoFamily(name) => Some(*name),
        _ => None,
    });
    let names: Vec<&str> = names.collect();
    let diag = system.rules.iter().any(|rule| matches!(rule, Rule::NoDiagProtocol));
    if names.is_empty() && !diag {
        return Ok(Answer::Kernel);
    }
    let socket = descriptor(call)?;
    let (mut domain, mut protocol) = ([0; 4], [0; 4]);
    notify::option(&socket, libc::SOL_SOCKET, libc::SO_DOMAIN, &mut domain)?;
    notify::option(&socket, libc::SOL_SOCKET, libc::SO_PROTOCOL, &mut protocol)?;
    if c_int::from_ne_bytes(domain) != libc::AF_NETLINK {
        return Ok(Answer::Kernel);
    }
    let [_, at, length, ..] = call.arguments;
    let mut message = vec![0; usize::try_from(length).unwrap_or(MOST).min(MOST)];
    read(call, at, &mut message)?;
    match c_int::from_ne_bytes(protocol) {
        libc::NETLINK_GENERIC => {
            for name in names {
                let found = message
                    .windows(name.len() + 1)
                    .position(|part| part == [name.as_bytes(), b"\0"].concat());
                if let Some(first) = found.and_then(|found| message.get_mut(found)) {
                    *first = b'-';
                }
            }
        }
        libc::NETLINK_SOCK_DIAG if diag => {
            // `struct inet_diag_req_v2`, then the attribute: its length, its type.
            let kind = NLMSGHDR + 56 + 2;
            if let Some(bytes) = message.get_mut(kind..kind + 2)
                && *bytes == REQ_PROTOCOL.to_ne_bytes()
            {
                bytes.copy_from_slice(&REQ_NONE.to_ne_bytes());
            }
        }
        _ => return Ok(Answer::Kernel),
    }
    write(call, at, &message)?;
    Ok(Answer::Kernel)
}

fn open(system: &System, call: &Call) -> io::Result<Answer> {
    let mut files = system.rules.iter().filter_map(|rule| match rule {
        Rule::NoFile(path) => Some(*path),
        _ => None,
    });
    let [_, at, ..] = call.arguments;
    // The path may end shortly before the last page does.
    let mut path = [0; 64];
    let remote = RemoteIoVec { base: at as usize, len: path.len() };
    process_vm_readv(Pid::from_raw(call.thread), &mut [IoSliceMut::new(&mut path)], &[remote])?;
    Ok(match files.any(|file| path.starts_with(file.as_bytes())) {
        true => Answer::Error(libc::ENOENT),
        false => Answer::Kernel,
    })
}

/// The call's descriptor (its first argument) as one of our own.
fn descriptor(call: &Call) -> io::Result<OwnedFd> {
    let status = fs::read_to_string(format!("/proc/{}/status", call.thread))?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    let process = process.and_then(rustix::process::Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let [number, ..] = call.arguments;
    Ok(pidfd_getfd(process, number as c_int, PidfdGetfdFlags::empty())?)
}

fn read(call: &Call, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    let remote = RemoteIoVec { base: at as usize, len: bytes.len() };
    let length = bytes.len();
    let count = process_vm_readv(Pid::from_raw(call.thread), &mut [IoSliceMut::new(bytes)], &[remote])?;
    if count == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn write(call: &Call, at: u64, bytes: &[u8]) -> io::Result<()> {
    let remote = RemoteIoVec { base: at as usize, len: bytes.len() };
    let count = process_vm_writev(Pid::from_raw(call.thread), &[IoSlice::new(bytes)], &[remote])?;
    if count == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
