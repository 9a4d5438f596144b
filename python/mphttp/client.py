"""``http.client``, with the socket protocol a choice.

::

    from mphttp.client import HTTPConnection

    connection = HTTPConnection("server", 8000, protocol="mptcp")
    connection.request("GET", "/")
    response = connection.getresponse()
    print(response.transport)            # "MPTCP over 2 paths", or "TCP: …" and why

The classes are subclasses of the standard library's, with its signatures and behaviour. Everything else of
``http.client`` (exceptions, status codes) is there too.
"""

from __future__ import annotations

import contextlib
import functools
import http.client as _http
import io
import socket as _socket
from http.client import *  # noqa: F403
from http.client import __all__ as _all
from typing import TYPE_CHECKING, Any

from . import _mphttp
from ._errors import FellBackError
from ._words import IPPROTO_MPTCP, Protocol, ProtocolLike
from .socket import create_connection

if TYPE_CHECKING:
    import ssl

__all__ = [*_all]

#: ``<linux/tcp.h>``: whether the connection speaks MPTCP now. An error on kernels that don't have it.
_TCP_IS_MPTCP = 43


class _Record:
    """What is known of a connection's transport: asked anew while its socket is open, the last answer after that.

    Shared by a connection and its responses, which outlive each other in either order.
    """

    __slots__ = ("_last", "sock")

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self._last: _mphttp.Transport | None = None

    def look(self) -> _mphttp.Transport | None:
        # What no kernel knows (something else in the place of a socket, one that is closed) is no news.
        with contextlib.suppress(OSError, AttributeError, TypeError):
            fd = self.sock.fileno()
            if fd != -1:
                self._last = _mphttp.transport(fd)
        return self._last


class _Checked(io.RawIOBase):
    """The receiving side of an MPTCP connection, which is not to be trusted once it has fallen back under way.

    A fallback at the first byte is noticed by both ends and harmless. TLS needs no such check: its records don't
    authenticate any more where bytes came twice.
    """

    def __init__(self, raw: io.RawIOBase, sock: _socket.socket) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._state = "fresh"

    def readinto(self, buffer: Any, /) -> int | None:
        count = self._raw.readinto(buffer)
        if count and self._state != "plain" and not _speaks_mptcp(self._sock):
            if self._state == "running":
                raise FellBackError
            self._state = "plain"
        elif self._state == "fresh":
            self._state = "running"
        return count

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


def _speaks_mptcp(sock: _socket.socket) -> bool:
    try:
        return sock.getsockopt(_socket.IPPROTO_TCP, _TCP_IS_MPTCP) != 0
    except OSError:
        # A kernel that can't tell.
        return True


def _is_plain_mptcp(sock: object) -> bool:
    """Whether this is an MPTCP connection without TLS on top."""
    if type(sock) is not _socket.socket or not hasattr(_socket, "SO_PROTOCOL"):
        return False
    try:
        number = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PROTOCOL)
    except OSError:
        return False
    return number == IPPROTO_MPTCP and _speaks_mptcp(sock)


class HTTPResponse(_http.HTTPResponse):
    """``http.client.HTTPResponse``, with the transport that it came over.

    Reading from an MPTCP connection without TLS raises :class:`mphttp.FellBackError` if it falls back under way.
    """

    _record: _Record | None = None

    def __init__(self, sock: _socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if _is_plain_mptcp(sock):
            # Nothing has been read yet.
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_Checked(raw, sock))

    @property
    def transport(self) -> _mphttp.Transport | None:
        """What the connection speaks, why, and over which paths: live, and the last state once it is closed."""
        return None if self._record is None else self._record.look()

    def _close_conn(self) -> None:
        if self._record is not None and self.will_close:
            # The last that can be seen: the socket is closed with the body's end.
            self._record.look()
        super()._close_conn()  # type: ignore[misc]


class _Choice(_http.HTTPConnection):
    """What the two connections have in common."""

    response_class = HTTPResponse
    #: The choice of protocol.
    protocol: Protocol

    _record: _Record | None = None

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.protocol = Protocol.of(protocol)
        self._create_connection = functools.partial(create_connection, protocol=self.protocol)

    @property
    def transport(self) -> _mphttp.Transport | None:
        """What the connection speaks, why, and over which paths: live, and the last state once it is closed.

        ``None`` before the first connect. With a proxy it is the connection to the proxy.
        """
        record = self._current()
        return None if record is None else record.look()

    def _current(self) -> _Record | None:
        sock = self.sock
        if sock is not None and (self._record is None or self._record.sock is not sock):
            self._record = _Record(sock)
        return self._record

    def getresponse(self) -> HTTPResponse:
        record = self._current()
        response: HTTPResponse = super().getresponse()  # type: ignore[assignment]
        response._record = record
        return response

    def close(self) -> None:
        if self.sock is not None and self._record is not None:
            self._record.look()
        super().close()


if TYPE_CHECKING:

    class HTTPConnection(_Choice):
        """``http.client.HTTPConnection`` with the keyword ``protocol``."""

        def __init__(
            self,
            host: str,
            port: int | None = None,
            timeout: float | None = ...,
            source_address: tuple[str, int] | None = None,
            blocksize: int = 8192,
            *,
            protocol: ProtocolLike = None,
        ) -> None: ...

    class HTTPSConnection(_Choice, _http.HTTPSConnection):
        """``http.client.HTTPSConnection`` with the keyword ``protocol``."""

        def __init__(
            self,
            host: str,
            port: int | None = None,
            *,
            timeout: float | None = ...,
            source_address: tuple[str, int] | None = None,
            context: ssl.SSLContext | None = None,
            blocksize: int = 8192,
            protocol: ProtocolLike = None,
        ) -> None: ...

else:

    class HTTPConnection(_Choice):
        """``http.client.HTTPConnection`` with one keyword more.

        :param protocol: the socket protocol: ``"tcp"``, ``"mptcp"``, ``"mptcp-only"``, :class:`mphttp.Protocol`,
            ``socket.IPPROTO_TCP``, ``socket.IPPROTO_MPTCP``, or ``None`` for the default of this process.
        """

    if hasattr(_http, "HTTPSConnection"):

        class HTTPSConnection(_Choice, _http.HTTPSConnection):
            """``http.client.HTTPSConnection`` with one keyword more; see :class:`HTTPConnection`."""
