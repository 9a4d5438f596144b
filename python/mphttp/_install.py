"""The choice of protocol for programs that know nothing of it: every stream socket that Python code makes."""

from __future__ import annotations

import functools
import socket as _socket
from typing import Any

from . import _mphttp
from ._words import Protocol, ProtocolLike

#: What `socket.socket.__init__` and `socket.create_connection` were, while they are exchanged.
_original: tuple[Any, Any] | None = None
_protocol: Protocol | None = None


def installed() -> Protocol | None:
    """The protocol that :func:`install` has given to all stream sockets; ``None`` if it is not in force."""
    return _protocol


def install(protocol: ProtocolLike = None) -> None:
    """Gives this protocol to every TCP socket that Python code of this process makes from now on, with fallback.

    ``socket.socket`` makes sockets of this protocol where TCP ones were asked for, and ``socket.create_connection``
    races as :func:`mphttp.socket.create_connection` does. Sockets that exist, those made by extensions written in C,
    and those of which a program demands another protocol stay as they are. Calling it again changes the protocol;
    :func:`uninstall` undoes it. Where a library can be told, tell it instead.

    :raises ValueError: for a choice that is none.
    """
    global _original, _protocol
    _protocol = Protocol.of(protocol)
    if _original is None:
        _original = _socket.socket.__init__, _socket.create_connection
        # On the class itself: ssl.SSLSocket and others derive from it, and `from socket import socket` is common.
        _socket.socket.__init__ = _exchange_init(_original[0])  # type: ignore[method-assign]
        _socket.create_connection = _exchange_connect(_original[1])


def uninstall() -> None:
    """Undoes :func:`install`: sockets made from now on are what is asked for. Does nothing if it is not in force."""
    global _original, _protocol
    if _original is not None:
        _socket.socket.__init__, _socket.create_connection = _original  # type: ignore[method-assign]
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


def _exchange_connect(original: Any) -> Any:
    @functools.wraps(original)
    def create_connection(*args: Any, **kwargs: Any) -> _socket.socket:
        from .socket import create_connection

        return create_connection(*args, protocol=_protocol, **kwargs)

    return create_connection
