"""The choice of protocol for programs that know nothing of it: every stream socket that Python code makes."""

from __future__ import annotations

import contextlib
import functools
import os
import socket as _socket
from typing import Any

from . import _mphttp
from ._words import IPPROTO_MPTCP, Protocol, ProtocolLike

#: What `socket.socket.__init__` and `socket.create_connection` were, while they are exchanged.
_original: tuple[Any, Any] | None = None
_protocol: Protocol | None = None


def installed() -> Protocol | None:
    """The protocol that :func:`install` has given to all stream sockets; ``None`` if it is not in force."""
    return _protocol


def install(protocol: ProtocolLike = None) -> None:
    """Gives this protocol to every TCP socket that Python code of this process makes from now on, with fallback.

    ``socket.socket`` makes sockets of this protocol where TCP ones were asked for. Blocking connects, and
    ``socket.create_connection``, race as :func:`mphttp.socket.create_connection` does; non-blocking ones, as asyncio's,
    take the kernel's time where a path swallows SYNs with MPTCP. Sockets that exist, those made by extensions written in
    C, and those of which a program demands another protocol stay as they are. Calling it again changes the protocol;
    :func:`uninstall` undoes it. Where a library can be told, tell it instead.

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
        if type != -1 and type & nonblock:
            self.setblocking(False)

    return init


def _exchange_create_connection(original: Any) -> Any:
    @functools.wraps(original)
    def create_connection(*args: Any, **kwargs: Any) -> _socket.socket:
        from .socket import create_connection

        return create_connection(*args, protocol=_protocol, **kwargs)

    return create_connection


def _exchange_connect(original: Any) -> Any:
    @functools.wraps(original)
    def connect(self: _socket.socket, address: Any, /) -> None:
        if not _can_race(self) or _protocol is None:
            original(self, address)
            return
        infos = _socket.getaddrinfo(address[0], address[1], self.family, _socket.SOCK_STREAM)
        # The scope of a link-local address is the caller's word.
        sockaddr = (*infos[0][4][:2], *address[2:])
        fd, _, _ = _mphttp.connect([sockaddr], _protocol.value, self.gettimeout(), None, _interface(self))
        try:
            with contextlib.closing(_socket.socket(self.family, self.type, self.proto, fileno=fd)) as winner:
                _copy_options(self, winner)
                # The winner takes the place of the socket under its own number, which others may know already.
                os.dup2(winner.fileno(), self.fileno(), os.get_inheritable(self.fileno()))
        finally:
            # Whether it blocks belongs to what is behind the number.
            self.settimeout(self.gettimeout())

    return connect


#: Options that decide how a connection is made: with any of them the socket itself must be used.
_DECISIVE = [
    (_socket.SOL_SOCKET, getattr(_socket, "SO_MARK", 36)),
    (_socket.IPPROTO_TCP, 30),  # TCP_FASTOPEN_CONNECT
    (_socket.IPPROTO_IP, 15),  # IP_FREEBIND
    (_socket.IPPROTO_IP, 19),  # IP_TRANSPARENT
]

#: Options that a connected socket takes, and that programs set before they connect.
_COPIED = [
    (_socket.SOL_SOCKET, _socket.SO_KEEPALIVE),
    (_socket.SOL_SOCKET, _socket.SO_RCVLOWAT),
    (_socket.SOL_SOCKET, getattr(_socket, "SO_PRIORITY", 12)),
    (_socket.IPPROTO_TCP, _socket.TCP_NODELAY),
    (_socket.IPPROTO_TCP, 3),  # TCP_CORK
    (_socket.IPPROTO_TCP, getattr(_socket, "TCP_KEEPIDLE", 4)),
    (_socket.IPPROTO_TCP, getattr(_socket, "TCP_KEEPINTVL", 5)),
    (_socket.IPPROTO_TCP, getattr(_socket, "TCP_KEEPCNT", 6)),
    (_socket.IPPROTO_TCP, getattr(_socket, "TCP_NOTSENT_LOWAT", 25)),
    (_socket.IPPROTO_IP, _socket.IP_TOS),
]


def _can_race(sock: _socket.socket) -> bool:
    """Whether this is a fresh MPTCP socket that blocks, and that another one can stand in for."""
    if sock.gettimeout() == 0 or sock.family not in (_socket.AF_INET, _socket.AF_INET6):
        return False
    try:
        if sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PROTOCOL) != IPPROTO_MPTCP:
            return False
        # Bound, and so perhaps connected or listening.
        if sock.getsockname()[1] != 0:
            return False
    except OSError:
        return False
    for level, name in _DECISIVE:
        with contextlib.suppress(OSError):
            if sock.getsockopt(level, name) != 0:
                return False
    return True


def _interface(sock: _socket.socket) -> str | None:
    """The interface that the socket is bound to."""
    name = sock.getsockopt(_socket.SOL_SOCKET, getattr(_socket, "SO_BINDTODEVICE", 25), 16)
    return name.rstrip(b"\0").decode() or None


def _copy_options(of: _socket.socket, to: _socket.socket) -> None:
    """Sets what was set on one socket on another, as far as it takes it."""
    for level, name in _COPIED:
        with contextlib.suppress(OSError):
            value = of.getsockopt(level, name)
            if to.getsockopt(level, name) != value:
                to.setsockopt(level, name, value)
    linger = of.getsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, 8)
    if any(linger):
        to.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, linger)
    for name in (_socket.SO_RCVBUF, _socket.SO_SNDBUF):
        # The kernel doubles what it is told. What nobody set is left to the kernel's own sizing.
        value, fresh = of.getsockopt(_socket.SOL_SOCKET, name), _fresh_size(of.family, name)
        if value != fresh:
            to.setsockopt(_socket.SOL_SOCKET, name, value // 2)


def _fresh_size(family: int, name: int) -> int:
    fd, _ = _mphttp.socket(family == _socket.AF_INET6, Protocol.MPTCP.value)
    with contextlib.closing(_socket.socket(family, _socket.SOCK_STREAM, 0, fileno=fd)) as fresh:
        return fresh.getsockopt(_socket.SOL_SOCKET, name)
