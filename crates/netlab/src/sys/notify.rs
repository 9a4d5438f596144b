//! seccomp's user notification, `seccomp_unotify(2)`: a thread's chosen system calls, and those of all that it starts, wait
//! until another thread says what comes of them.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_long, c_void, sock_filter, sock_fprog, socklen_t};

/// A system call that waits for its answer.
pub(crate) struct Call {
    id: u64,
    /// The thread that made it.
    pub(crate) thread: i32,
    pub(crate) number: c_long,
    pub(crate) arguments: [u64; 6],
}

/// What comes of it.
pub(crate) enum Answer {
    /// The kernel does it.
    Kernel,
    /// It returns 0.
    Done,
    /// It fails with this errno.
    Error(i32),
}

/// Has these system calls of the calling thread, and of all that it starts from now on, wait for an answer. There is no way
/// back for the thread.
pub(crate) fn listen(calls: &[c_long]) -> io::Result<OwnedFd> {
    let statement = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // The number is the first field of `struct seccomp_data`.
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for call in calls {
        let number = u32::try_from(*call).map_err(|_| io::ErrorKind::InvalidInput)?;
        // The next instruction for this number, the one after it for others.
        let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        filter.push(sock_filter { code, jt: 0, jf: 1, k: number });
        filter.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: prctl(2) with these numbers takes no pointer.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `program` describes `filter`, both live during the call, and the kernel only reads them.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            ptr::from_ref(&program),
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: seccomp(2) with this flag returns a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as c_int) })
}

/// The next call that waits; `None` if its thread has died meanwhile, or a signal came.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Call>> {
    // SAFETY: zeros are a valid `struct seccomp_notif`, and what the kernel wants to find there.
    let mut notification: libc::seccomp_notif = unsafe { zeroed() };
    // SAFETY: the request is the one for this structure, which lives and is borrowed exclusively during the call.
    let status = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, ptr::from_mut(&mut notification))
    };
    if status != 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT | libc::EINTR) => Ok(None),
            _ => Err(error),
        };
    }
    Ok(Some(Call {
        id: notification.id,
        thread: notification.pid as i32,
        number: c_long::from(notification.data.nr),
        arguments: notification.data.args,
    }))
}

/// Answers a call. One whose thread has died needs no answer.
pub(crate) fn answer(listener: BorrowedFd<'_>, call: &Call, answer: &Answer) -> io::Result<()> {
    let (error, flags) = match answer {
        Answer::Kernel => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Answer::Done => (0, 0),
        Answer::Error(errno) => (-errno, 0),
    };
    let mut response = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
    // SAFETY: the request is the one for this structure, which lives and is borrowed exclusively during the call.
    let status = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, ptr::from_mut(&mut response))
    };
    if status == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(error) }
}

/// `getsockopt(2)` into these bytes; the length that the kernel wrote. Not for options whose value has pointers in it.
pub(crate) fn option(socket: &OwnedFd, level: c_int, name: c_int, value: &mut [u8]) -> io::Result<usize> {
    let mut length = socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: pointer and length describe `value`, which lives and is borrowed exclusively during the call.
    let status = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast::<c_void>(), &mut length)
    };
    if status == 0 { Ok(length as usize) } else { Err(io::Error::last_os_error()) }
}

/// `MPTCP_FULL_INFO`, whose value has pointers to two arrays in it, at 24 and at 32: `head` is the value, and is given back
/// with zeros there.
pub(crate) fn full_info(
    socket: &OwnedFd,
    (level, name): (c_int, c_int),
    head: &mut [u8],
    subflows: &mut [u8],
    tcp: &mut [u8],
) -> io::Result<usize> {
    let field = |head: &[u8], at: usize| -> io::Result<u64> {
        let bytes = head.get(at..at + size_of::<u32>()).and_then(|bytes| bytes.try_into().ok());
        Ok(u64::from(u32::from_ne_bytes(bytes.ok_or(io::ErrorKind::InvalidInput)?)))
    };
    // What the kernel may write: as many records as there is said to be room for, each of the size that stands beside it.
    let records = field(head, 20)?;
    for (size, array) in [(field(head, 12)?, &*subflows), (field(head, 4)?, &*tcp)] {
        if size.saturating_mul(records) > array.len() as u64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
    }
    let pointers = [subflows.as_mut_ptr() as usize as u64, tcp.as_mut_ptr() as usize as u64];
    let mut place = |pointers: [u64; 2]| -> io::Result<()> {
        let bytes = head.get_mut(24..40).ok_or(io::ErrorKind::InvalidInput)?;
        bytes
            .iter_mut()
            .zip(pointers.iter().flat_map(|pointer| pointer.to_ne_bytes()))
            .for_each(|(to, from)| *to = from);
        Ok(())
    };
    place(pointers)?;
    let done = option(socket, level, name, head);
    let bytes = head.get_mut(24..40).ok_or(io::ErrorKind::InvalidInput)?;
    bytes.fill(0);
    done
}
