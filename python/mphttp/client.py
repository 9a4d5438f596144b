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

import http.client as _http
import io
from http.client import (
    BadStatusLine,
    CannotSendHeader,
    CannotSendRequest,
    HTTPException,
    ImproperConnectionState,
    IncompleteRead,
    InvalidURL,
    LineTooLong,
    NotConnected,
    RemoteDisconnected,
    ResponseNotReady,
    UnimplementedFileMode,
    UnknownProtocol,
    UnknownTransferEncoding,
    error,
    responses,
)
from typing import TYPE_CHECKING, Any

from . import _mphttp
from ._record import Checked, Integrity, Record, Recording
from ._words import Protocol, ProtocolLike
from .socket import Dial

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = [
    "BadStatusLine",
    "CannotSendHeader",
    "CannotSendRequest",
    "HTTPConnection",
    "HTTPException",
    "HTTPResponse",
    "HTTPSConnection",
    "ImproperConnectionState",
    "IncompleteRead",
    "InvalidURL",
    "LineTooLong",
    "NotConnected",
    "RemoteDisconnected",
    "ResponseNotReady",
    "UnimplementedFileMode",
    "UnknownProtocol",
    "UnknownTransferEncoding",
    "error",
    "responses",
]


def __getattr__(name: str) -> Any:
    # What else a version of http.client has: status codes, ports.
    return getattr(_http, name)


class HTTPResponse(_http.HTTPResponse):
    """``http.client.HTTPResponse``, with the transport that it came over.

    Reading from an MPTCP connection without TLS raises :class:`mphttp.FellBackError` if it falls back under way.
    """

    _record: Record | None = None
    #: Set where whoever asked has already let go of the connection.
    _is_last = False

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        integrity = Integrity(sock)
        if not integrity.plain:
            # Nothing has been read yet, so that nothing is lost with the buffer.
            self.fp = io.BufferedReader(Checked(self.fp.detach(), integrity))

    @property
    def transport(self) -> _mphttp.Transport | None:
        """What the connection speaks, why, and over which paths: live, and the last state once it is closed."""
        return None if self._record is None else self._record.look()

    def _close_conn(self) -> None:
        if self._record is not None and (self.will_close or self._is_last):
            # The socket is closed with the body's end.
            self._record.look()
        super()._close_conn()  # type: ignore[misc]


class TcpHTTPResponse(HTTPResponse):
    """A response over a connection that speaks TCP: what is done for MPTCP would only cost time."""

    __init__ = _http.HTTPResponse.__init__
    _close_conn = _http.HTTPResponse._close_conn  # type: ignore[attr-defined]


class _Choice(Recording, _http.HTTPConnection):
    """What the two connections have in common."""

    response_class: Any = HTTPResponse
    _response_classes = (TcpHTTPResponse, HTTPResponse)
    #: The choice of protocol.
    protocol: Protocol

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = dial = Dial(protocol)
        self.protocol = dial.protocol

    def getresponse(self) -> HTTPResponse:
        record = self.recorded()
        response: HTTPResponse = super().getresponse()  # type: ignore[assignment]
        response._record = record
        if record is not None and record.is_multipath and response.isclosed():
            # There was no body: whoever closes the connection now leaves nothing to ask.
            record.look()
        return response


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
