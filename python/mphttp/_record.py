"""What connections of the ``http.client`` family keep of their transports, and how they notice what can't be trusted.

Shared by :mod:`mphttp.client` and :mod:`mphttp.urllib3`, whose connections all derive from ``http.client``'s.
"""

from __future__ import annotations

import contextlib
import io
import socket as _socket
import weakref
from typing import Any

from . import _mphttp
from ._errors import FellBackError
from ._words import IPPROTO_MPTCP

#: ``<linux/tcp.h>``: whether the connection speaks MPTCP now. An error on kernels that don't have it.
_TCP_IS_MPTCP = 43


class Record:
    """What is known of a connection's transport: asked anew while its socket is open, the last answer after that.

    Shared by a connection and its responses, which outlive each other in either order.
    """

    __slots__ = ("_last", "_why_tcp", "is_multipath", "sock")

    def __init__(self, sock: Any, why_tcp: str | None = None) -> None:
        # Not what keeps it open: who drops a connection without closing it, and keeps a response, must not keep both.
        self.sock: Any
        try:
            self.sock = weakref.ref(sock)
        except TypeError:
            self.sock = lambda: sock
        #: Whether the connection began with MPTCP, or may have.
        self.is_multipath = why_tcp is None
        #: The word of the reason, where it is known that the connection speaks TCP.
        self._why_tcp = why_tcp
        self._last: _mphttp.Transport | None = None

    def look(self) -> _mphttp.Transport | None:
        """The transport now, or what it was at the last look."""
        # What no kernel knows (something else in the place of a socket, one that is closed) is no news.
        with contextlib.suppress(OSError, AttributeError, TypeError):
            fd = self.sock().fileno()
            if fd != -1:
                self._last = _mphttp.transport(fd)
        if self._last is None and self._why_tcp is not None:
            self._last = _mphttp.unseen(self._why_tcp)
        return self._last


class Recording:
    """For connections: ``transport``, live and afterwards. Names itself before the class that it records."""

    sock: Any
    response_class: Any
    #: That of responses over TCP, and that of those over MPTCP.
    _response_classes: tuple[Any, Any]
    #: What connects; a :class:`mphttp.socket.Dial` knows why it came to TCP.
    _create_connection: Any
    _record: Record | None = None

    @property
    def transport(self) -> _mphttp.Transport | None:
        """What the connection speaks, why, and over which paths: live, and the last state once it is closed.

        Of a TCP connection at which nobody looked before it was closed, the reason alone is left. ``None`` before the
        first connect. With a proxy it is the connection to the proxy.
        """
        record = self.recorded()
        return None if record is None else record.look()

    def recorded(self) -> Record | None:
        """The record of the present socket, or of the last one.

        A new socket also decides of which of its two classes the responses are, unless somebody else has decided.
        """
        sock, record = self.sock, self._record
        if sock is not None and (record is None or record.sock() is not sock):
            self._record = record = Record(sock, getattr(self._create_connection, "why_tcp", None))
            if self.response_class in self._response_classes:
                self.response_class = self._response_classes[record.is_multipath]
        return record

    def close(self) -> None:
        record = self._record
        if record is not None and record.is_multipath and self.sock is not None:
            # The last moment at which the paths can be seen. TCP is TCP, and what its path has carried is not worth the
            # time of all who never ask.
            record.look()
        super().close()  # type: ignore[misc]


class Integrity:
    """Whether what is read from a socket can still be what was sent.

    A receiver that sees data without MPTCP's mapping falls back to TCP (RFC 8684 section 3.7), and from there on the
    kernel may deliver bytes twice. A fallback at the very first byte is noticed by both ends and harmless. TLS needs no
    such check: its records don't authenticate any more where bytes came twice.
    """

    __slots__ = ("_sock", "_state")

    def __init__(self, sock: _socket.socket) -> None:
        self._sock = sock
        self._state = "fresh" if _is_plain_mptcp(sock) else "plain"

    @property
    def plain(self) -> bool:
        """Whether there is nothing to check: TCP, or TLS."""
        return self._state == "plain"

    def received(self) -> None:
        """To be called when bytes have been read.

        :raises FellBackError: if they may not be what was sent.
        """
        if self._state == "plain":
            return
        if _speaks_mptcp(self._sock):
            self._state = "running"
        elif self._state == "fresh":
            self._state = "plain"
        else:
            raise FellBackError


def _speaks_mptcp(sock: _socket.socket) -> bool:
    try:
        return sock.getsockopt(_socket.IPPROTO_TCP, _TCP_IS_MPTCP) != 0
    except OSError:
        # A kernel that can't tell.
        return True


def is_mptcp_socket(sock: _socket.socket) -> bool:
    """Whether the kernel made it as an MPTCP socket, whatever it speaks now and whatever its label says."""
    number = getattr(_socket, "SO_PROTOCOL", None)
    if number is None:
        # Not Linux.
        return False
    try:
        return sock.getsockopt(_socket.SOL_SOCKET, number) == IPPROTO_MPTCP
    except OSError:
        return False


def _is_plain_mptcp(sock: object) -> bool:
    """Whether this is an MPTCP connection without TLS on top."""
    return type(sock) is _socket.socket and is_mptcp_socket(sock) and _speaks_mptcp(sock)


class Checked(io.RawIOBase):
    """The receiving side of a socket, checked at every read."""

    def __init__(self, raw: Any, integrity: Integrity) -> None:
        super().__init__()
        self._raw = raw
        self._integrity = integrity

    def readinto(self, buffer: Any, /) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        if count:
            self._integrity.received()
        return count

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        number: int = self._raw.fileno()
        return number

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()
