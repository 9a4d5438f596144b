"""``socketserver``, with Multipath TCP on by default and an off switch.

::

    from mphttp.socketserver import ThreadingTCPServer

    with ThreadingTCPServer(("", 8000), Handler, mptcp=True) as server:
        server.serve_forever()

An MPTCP listener takes TCP clients as well, at no cost to either. Bind the unspecified address (an empty host): a server
bound to one address refuses the paths to its others.
"""

from __future__ import annotations

import contextlib
import contextvars
import socket as _socket
import socketserver as _socketserver
import sys
from socketserver import (
    BaseServer,
    DatagramRequestHandler,
    ThreadingMixIn,
    ThreadingUDPServer,
    UDPServer,
)
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _mphttp
from ._ask import Askable, transport
from ._errors import NotMptcpError
from ._words import Protocol, Reason
from .socket import adopt

__all__ = [
    "BaseRequestHandler",
    "BaseServer",
    "DatagramRequestHandler",
    "ForkingTCPServer",
    "MPTCPServerMixin",
    "StreamRequestHandler",
    "TCPServer",
    "ThreadingMixIn",
    "ThreadingTCPServer",
    "ThreadingUDPServer",
    "UDPServer",
    "request_transport",
]


def __getattr__(name: str) -> Any:
    # What else a platform's socketserver has: forking, Unix sockets.
    return getattr(_socketserver, name)


#: What ``mptcp`` can be: on, off, one of the three words, or the default of this process.
Choice: TypeAlias = bool | str | Protocol | None

_current: contextvars.ContextVar[Askable] = contextvars.ContextVar("mphttp request")


def request_transport() -> _mphttp.Transport:
    """What the connection of the request that is being handled speaks; to be called from its handler, however deep.

    :raises RuntimeError: outside of a handler of one of this module's servers.
    """
    try:
        request = _current.get()
    except LookupError:
        raise RuntimeError("no request is being handled here by a server of mphttp") from None
    return transport(request)


class MPTCPServerMixin:
    """What turns any subclass of ``socketserver.TCPServer`` into one that listens with MPTCP: name it first.

    ::

        class Server(MPTCPServerMixin, SomebodysServer):
            mptcp = True

    The socket is exchanged the moment ``TCPServer.__init__`` has made it, before anybody can have set an option on it.
    A socket that a subclass makes by itself later is left as it is.
    """

    #: True: MPTCP, and TCP for clients that ask for it. False: TCP. ``"mptcp-only"``: TCP clients are turned away. None:
    #: what the environment variable MPHTTP_PROTOCOL says, else MPTCP.
    mptcp: Choice = None
    #: Why the server listens with TCP; None if it listens with MPTCP.
    why_tcp: Reason | None = None

    _protocol: Protocol | None = None
    _awaits_socket = False

    def __init__(self, *args: Any, mptcp: Choice = None, **kwargs: Any) -> None:
        if mptcp is not None:
            self.mptcp = mptcp
        self._awaits_socket = True
        super().__init__(*args, **kwargs)
        self._awaits_socket = False

    @property
    def socket(self) -> _socket.socket:
        """The listening socket."""
        try:
            sock: _socket.socket = self.__dict__["socket"]
        except KeyError:
            raise AttributeError("socket") from None
        return sock

    @socket.setter
    def socket(self, sock: _socket.socket) -> None:
        if self._awaits_socket:
            self._awaits_socket = False
            try:
                exchanged = self._exchange(sock)
            except BaseException:
                sock.close()
                raise
            if exchanged is not sock:
                sock.close()
            sock = exchanged
        self.__dict__["socket"] = sock

    def _exchange(self, sock: _socket.socket) -> _socket.socket:
        """A fresh socket of the chosen protocol for a fresh one of TCP."""
        if self.mptcp is True:
            protocol = Protocol.MPTCP
        elif self.mptcp is False:
            protocol = Protocol.TCP
        else:
            protocol = Protocol.of(self.mptcp)
        internet = sock.family in (_socket.AF_INET, _socket.AF_INET6) and sock.type == _socket.SOCK_STREAM
        if not internet or protocol is Protocol.TCP:
            # A Unix or UDP server with this mixin is what it was.
            self.why_tcp = Reason.NOT_REQUESTED
            return sock
        fd, word = _mphttp.socket(sock.family == _socket.AF_INET6, protocol.value)
        self._protocol = protocol
        self.why_tcp = None if word is None else Reason(word)
        return adopt(fd, sock.family == _socket.AF_INET6)

    def get_request(self) -> tuple[Any, Any]:
        request, address = super().get_request()  # type: ignore[misc]
        if self._protocol is Protocol.MPTCP_ONLY:
            reason = transport(request).reason
            if reason is not None:
                self.shutdown_request(request)  # type: ignore[attr-defined]
                # An OSError: servers go on to the next client.
                raise NotMptcpError(0, f"a client was turned away: {reason.explanation}", reason)
        return request, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        # What can't be recorded (a request that is no socket) can't be asked for either.
        with contextlib.suppress(OSError, AttributeError, TypeError):
            _mphttp.accepted(self.socket.fileno(), request.fileno())
        token = _current.set(request)
        try:
            super().finish_request(request, client_address)  # type: ignore[misc]
        finally:
            _current.reset(token)


class RequestTransport:
    """What handlers of this package can say of their own connection."""

    request: Any

    def request_transport(self) -> _mphttp.Transport:
        """What the connection of this request speaks, why, and over which paths."""
        return transport(self.request)


class BaseRequestHandler(RequestTransport, _socketserver.BaseRequestHandler):
    """``socketserver.BaseRequestHandler`` with :meth:`request_transport`."""


class StreamRequestHandler(RequestTransport, _socketserver.StreamRequestHandler):
    """``socketserver.StreamRequestHandler`` with :meth:`request_transport`."""


class TCPServer(MPTCPServerMixin, _socketserver.TCPServer):
    """``socketserver.TCPServer`` with the keyword and class attribute ``mptcp``."""

    if TYPE_CHECKING:

        def __init__(
            self,
            server_address: tuple[Any, ...],
            RequestHandlerClass: Any,
            bind_and_activate: bool = True,
            *,
            mptcp: Choice = None,
        ) -> None: ...


class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """``socketserver.ThreadingTCPServer`` with the keyword and class attribute ``mptcp``."""


if sys.platform != "win32":

    class ForkingTCPServer(_socketserver.ForkingMixIn, TCPServer):
        """``socketserver.ForkingTCPServer`` with the keyword and class attribute ``mptcp``."""
