//! Socket options, applied as far as the socket takes them: MPTCP refuses some that TCP has, and that is never fatal.

use crate::sys::AsFd;
use std::{fmt, io, time::Duration};

use socket2::{SockRef, TcpKeepalive};

/// TCP keep-alive (`tcp(7)`): the kernel's own value where a field is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// `TCP_KEEPIDLE`: silence before the first probe; whole seconds.
    pub idle: Option<Duration>,
    /// `TCP_KEEPINTVL`: time between probes; whole seconds.
    pub interval: Option<Duration>,
    /// `TCP_KEEPCNT`: probes without an answer until the connection is given up.
    pub retries: Option<u32>,
}

/// Options for a listening or connecting socket. `Default` sets none.
///
/// Each is tried; one that the socket refuses is reported as [`Refused`], and tried again once a connection has
/// turned out to be TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// `TCP_NODELAY`: send small writes at once.
    pub nodelay: Option<bool>,
    /// `SO_KEEPALIVE` and its timing.
    pub keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT`: how long sent data may stay unacknowledged. MPTCP of Linux 6.18 lacks it.
    pub user_timeout: Option<Duration>,
    /// `SO_RCVBUF`, in bytes. Small buffers starve MPTCP, whose buffer holds what arrived out of order on all paths.
    pub recv_buffer: Option<usize>,
    /// `SO_SNDBUF`, in bytes.
    pub send_buffer: Option<usize>,
    /// `SO_MARK`, for policy routing; needs `CAP_NET_ADMIN` or, on Linux 5.17, `CAP_NET_RAW`.
    pub mark: Option<u32>,
    /// `IP_TOS` or `IPV6_TCLASS`: the differentiated services field.
    pub traffic_class: Option<u32>,
    /// `TCP_CONGESTION`: the congestion control, by name.
    pub congestion: Option<String>,
}

/// An option that a socket did not take.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The option's name in the manual: `TCP_USER_TIMEOUT` …
    pub option: &'static str,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was not set: {}", self.option, self.error)
    }
}

impl SocketOptions {
    /// Applies every option that is set, and reports those that the socket refuses.
    #[must_use]
    pub fn apply(&self, socket: &impl AsFd) -> Vec<Refused> {
        self.apply_some(socket, |_| true)
    }

    /// Applies again what was refused before: for a connection that turned out to be TCP.
    pub(crate) fn reapply(&self, socket: &impl AsFd, refused: &mut Vec<Refused>) {
        if !refused.is_empty() {
            *refused = self.apply_some(socket, |option| refused.iter().any(|r| r.option == option));
        }
    }

    fn apply_some(&self, socket: &impl AsFd, wanted: impl Fn(&str) -> bool) -> Vec<Refused> {
        let socket = SockRef::from(socket);
        let mut refused = Vec::new();
        let mut set = |option: &'static str, apply: &dyn Fn() -> io::Result<()>| {
            if wanted(option)
                && let Err(error) = apply()
            {
                refused.push(Refused { option, error });
            }
        };
        if let Some(on) = self.nodelay {
            set("TCP_NODELAY", &|| socket.set_tcp_nodelay(on));
        }
        if let Some(keepalive) = self.keepalive {
            set("SO_KEEPALIVE", &|| socket.set_tcp_keepalive(&keepalive.into()));
        }
        if let Some(bytes) = self.recv_buffer {
            set("SO_RCVBUF", &|| socket.set_recv_buffer_size(bytes));
        }
        if let Some(bytes) = self.send_buffer {
            set("SO_SNDBUF", &|| socket.set_send_buffer_size(bytes));
        }
        if let Some(class) = self.traffic_class {
            set_traffic_class(&socket, class, &mut set);
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            if let Some(timeout) = self.user_timeout {
                set("TCP_USER_TIMEOUT", &|| socket.set_tcp_user_timeout(Some(timeout)));
            }
            if let Some(mark) = self.mark {
                set("SO_MARK", &|| socket.set_mark(mark));
            }
            if let Some(name) = &self.congestion {
                set("TCP_CONGESTION", &|| socket.set_tcp_congestion(name.as_bytes()));
            }
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let absent = || Err(io::ErrorKind::Unsupported.into());
            for (option, asked) in [
                ("TCP_USER_TIMEOUT", self.user_timeout.is_some()),
                ("SO_MARK", self.mark.is_some()),
                ("TCP_CONGESTION", self.congestion.is_some()),
            ] {
                if asked {
                    set(option, &absent);
                }
            }
        }
        refused
    }
}

/// Sets the option of the socket's own family; a dual-stack one takes both.
fn set_traffic_class(
    socket: &SockRef<'_>,
    class: u32,
    set: &mut impl FnMut(&'static str, &dyn Fn() -> io::Result<()>),
) {
    let v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
    if v6 {
        #[cfg(unix)]
        set("IPV6_TCLASS", &|| socket.set_tclass_v6(class));
    } else {
        set("IP_TOS", &|| socket.set_tos_v4(class));
    }
}

impl From<Keepalive> for TcpKeepalive {
    fn from(keepalive: Keepalive) -> Self {
        let mut native = Self::new();
        if let Some(idle) = keepalive.idle {
            native = native.with_time(idle);
        }
        #[cfg(not(any(target_os = "openbsd", target_os = "haiku")))]
        {
            if let Some(interval) = keepalive.interval {
                native = native.with_interval(interval);
            }
            if let Some(retries) = keepalive.retries {
                native = native.with_retries(retries);
            }
        }
        native
    }
}
