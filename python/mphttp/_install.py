"""The choice of protocol for programs that know nothing of it: every stream socket that Python code makes."""

from __future__ import annotations

import contextlib
import functools
import os
import socket as _socket
import sys
import weakref
from typing import Any

from . import _mphttp
from ._record import is_mptcp_socket
from ._words import Protocol, ProtocolLike

#: What `socket.socket.__init__` and `socket.create_connection` were, while they are exchanged.
_original: tuple[Any, Any] | None = None
_protocol: Protocol | None = None
#: The sockets that were made in the place of TCP ones: those whose connects may be raced.
_made: weakref.WeakSet[_socket.socket] = weakref.WeakSet()


def installed() -> Protocol | None:
    """The protocol that :func:`install` has given to all stream sockets; ``None`` if it is not in force."""
    return _protocol


def install(protocol: ProtocolLike = None) -> None:
    """Gives this protocol to every TCP socket that Python code of this process makes from now on, with fallback.

    ``socket.socket`` makes sockets of this protocol where TCP ones were asked for; ``socket.create_connection``, and the
    blocking ``connect`` of such a socket, race as :func:`mphttp.socket.create_connection` does. What can't be raced takes
    the kernel's time where a path swallows SYNs with MPTCP, and is not held to ``mptcp-only``: non-blocking connects (those
    of asyncio), ``connect_ex``, and sockets that are bound, wrapped in TLS, or have options that decide how they connect.

    Sockets that exist, those made by extensions written in C (uvloop's), and those of which a program demands another
    protocol stay as they are. Calling it again changes the protocol; :func:`uninstall` undoes it. Where a library can be
    told, tell it instead.

    :raises ValueError: for a choice that is none.
    """
    global _original, _protocol
    _protocol = Protocol.of(protocol)
    if _original is None:
        _original = _socket.socket.__init__, _socket.create_connection
        # On the class itself: ssl.SSLSocket and others derive from it, and `from socket import socket` is common.
        _socket.socket.__init__ = _exchange_init(_original[0])  # type: ignore[method-assign]
        _socket.socket.connect = _exchange_connect(_socket.socket.connect)  # type: ignore[method-assign]
        _socket.create_connection = _exchange_create_connection(_original[1])


def uninstall() -> None:
    """Undoes :func:`install`: sockets made from now on are what is asked for. Does nothing if it is not in force."""
    global _original, _protocol
    if _original is not None:
        _socket.socket.__init__, _socket.create_connection = _original  # type: ignore[method-assign]
        # The class has none of its own: the one below shows again.
        del _socket.socket.connect
    _original = _protocol = None


def _exchange_init(original: Any) -> Any:
    internet = (_socket.AF_INET, _socket.AF_INET6)
    # Flags that Linux lets one add to the type (socket(2)).
    nonblock, cloexec = getattr(_socket, "SOCK_NONBLOCK", 0), getattr(_socket, "SOCK_CLOEXEC", 0)

    @functools.wraps(original)
    def init(
        self: _socket.socket, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        plain = _socket.AF_INET if family == -1 else family
        kind = _socket.SOCK_STREAM if type == -1 else type & ~(nonblock | cloexec)
        wanted = fileno is None and plain in internet and kind == _socket.SOCK_STREAM
        if not wanted or proto not in (-1, 0, _socket.IPPROTO_TCP) or _protocol in (None, Protocol.TCP):
            original(self, family, type, proto, fileno)
            return
        fd, _ = _mphttp.socket(plain == _socket.AF_INET6, _protocol.value)
        # The label as it would have been: asyncio and others look at it.
        original(self, plain, kind, _socket.IPPROTO_TCP if proto == _socket.IPPROTO_TCP else 0, fd)
        _made.add(self)
        if type != -1 and type & nonblock:
            self.setblocking(False)

    return init


def _exchange_create_connection(original: Any) -> Any:
    @functools.wraps(original)
    def create_connection(*args: Any, **kwargs: Any) -> _socket.socket:
        from .socket import create_connection

        if _protocol is None:
            # Uninstalled, and called by a name that was imported before.
            connected: _socket.socket = original(*args, **kwargs)
            return connected
        return create_connection(*args, protocol=_protocol, **kwargs)

    return create_connection


def _exchange_connect(original: Any) -> Any:
    @functools.wraps(original)
    def connect(self: _socket.socket, address: Any, /) -> None:
        if _protocol is None or self not in _made or not _is_plain(self, address):
            original(self, address)
            return
        with contextlib.closing(_fresh(self.family)) as fresh:
            if not _can_race(self, fresh):
                original(self, address)
                return
            changed = [option for option in _COPIED if _value(self, *option) != _value(fresh, *option)]
        _made.discard(self)
        found: Any = _socket.getaddrinfo(address[0], address[1], self.family, _socket.SOCK_STREAM)[0][4]
        # The scope of a link-local address is in its name, or the caller's word.
        sockaddr = (*found[:2], *address[2:]) if address[2:] else found
        fd, _, _ = _mphttp.connect([sockaddr], _protocol.value, self.gettimeout(), None, _interface(self))
        try:
            with contextlib.closing(_socket.socket(self.family, self.type, self.proto, fileno=fd)) as winner:
                for level, name, size in changed:
                    _copy(self, winner, level, name, size)
                # The winner takes the place of the socket under its own number, which others may know already. (What
                # duplicated or watched that socket before it was connected doesn't come along.)
                os.dup2(winner.fileno(), self.fileno(), os.get_inheritable(self.fileno()))
        finally:
            # Whether it blocks belongs to what is behind the number.
            self.settimeout(self.gettimeout())

    return connect


def _is_plain(sock: _socket.socket, address: Any) -> bool:
    """Whether an address is one that needs no ruling by CPython: a host's name or number, and a port."""
    if not isinstance(address, tuple) or not 2 <= len(address) <= (
        4 if sock.family == _socket.AF_INET6 else 2
    ):
        return False
    host, port, *rest = address
    numbers = all(isinstance(number, int) and 0 <= number < 2**32 for number in rest)
    return isinstance(host, str) and host != "" and isinstance(port, int) and 0 <= port < 2**16 and numbers


_SOCKET, _TCP, _IP = _socket.SOL_SOCKET, _socket.IPPROTO_TCP, _socket.IPPROTO_IP

#: Options that decide how a connection is made, or that a connected MPTCP socket doesn't take: with any of them other than
#: on a fresh socket, the socket itself must be used. Level, number (of Linux), size in bytes.
_DECISIVE = [
    (_SOCKET, 2, 4),  # SO_REUSEADDR
    (_SOCKET, 15, 4),  # SO_REUSEPORT
    (_SOCKET, 29, 4),  # SO_TIMESTAMP
    (_SOCKET, 36, 4),  # SO_MARK
    (_SOCKET, 49, 4),  # SO_INCOMING_CPU
    (_TCP, 2, 4),  # TCP_MAXSEG
    (_TCP, 9, 4),  # TCP_DEFER_ACCEPT
    (_TCP, 13, 16),  # TCP_CONGESTION
    (_TCP, 23, 4),  # TCP_FASTOPEN
    (_TCP, 30, 4),  # TCP_FASTOPEN_CONNECT
    (_IP, 15, 4),  # IP_FREEBIND
    (_IP, 19, 4),  # IP_TRANSPARENT
    (_IP, 24, 4),  # IP_BIND_ADDRESS_NO_PORT
]

#: Options that a connected socket takes, and that programs set before they connect.
_COPIED = [
    (_SOCKET, 7, 4),  # SO_SNDBUF
    (_SOCKET, 8, 4),  # SO_RCVBUF
    (_SOCKET, 9, 4),  # SO_KEEPALIVE
    (_SOCKET, 12, 4),  # SO_PRIORITY
    (_SOCKET, 13, 8),  # SO_LINGER
    (_SOCKET, 18, 4),  # SO_RCVLOWAT
    (_SOCKET, 20, 16),  # SO_RCVTIMEO
    (_SOCKET, 21, 16),  # SO_SNDTIMEO
    (_TCP, 1, 4),  # TCP_NODELAY
    (_TCP, 3, 4),  # TCP_CORK
    (_TCP, 4, 4),  # TCP_KEEPIDLE
    (_TCP, 5, 4),  # TCP_KEEPINTVL
    (_TCP, 6, 4),  # TCP_KEEPCNT
    (_TCP, 25, 4),  # TCP_NOTSENT_LOWAT
    (_IP, 1, 4),  # IP_TOS
]


def _can_race(sock: _socket.socket, fresh: _socket.socket) -> bool:
    """Whether a socket that was made here still is as it was, and blocks, so that another one can stand in for it."""
    return (
        sock.gettimeout() != 0
        and is_mptcp_socket(sock)
        # Bound, and so perhaps connected or listening.
        and sock.getsockname()[1] == 0
        and all(_value(sock, *option) == _value(fresh, *option) for option in _DECISIVE)
    )


def _interface(sock: _socket.socket) -> str | None:
    """The interface that the socket is bound to."""
    name = _value(sock, _SOCKET, 25, 16)  # SO_BINDTODEVICE
    return (name or b"").rstrip(b"\0").decode() or None


def _value(sock: _socket.socket, level: int, name: int, size: int) -> bytes | None:
    """An option's bytes; None where the socket has none of that name."""
    try:
        return sock.getsockopt(level, name, size)
    except OSError:
        return None


def _copy(of: _socket.socket, to: _socket.socket, level: int, name: int, size: int) -> None:
    """Sets what was set on one socket on another, as far as it takes it."""
    value = _value(of, level, name, size)
    if value is not None and level == _SOCKET and name in (7, 8):
        # The kernel doubles the sizes of buffers that it is told.
        value = (int.from_bytes(value, sys.byteorder) // 2).to_bytes(size, sys.byteorder)
    if value is not None:
        with contextlib.suppress(OSError):
            to.setsockopt(level, name, value)


def _fresh(family: int) -> _socket.socket:
    """A socket as a program gets it."""
    v6 = family == _socket.AF_INET6
    fd, _ = _mphttp.socket(v6, Protocol.MPTCP.value)
    return _socket.socket(family, _socket.SOCK_STREAM, 0, fileno=fd)
