"""aiohttp, with the socket protocol a choice.

::

    from mphttp.aiohttp import ClientSession, transport

    async with ClientSession(protocol="mptcp") as session:
        async with session.get("http://server:8000/") as response:
            print(transport(response))

That is ``aiohttp.ClientSession(connector=TCPConnector(protocol="mptcp"), response_class=ClientResponse)``. By aiohttp's
``socket_factory``: it makes sockets, and aiohttp connects them. So what a path that swallows SYNs with MPTCP
costs is the kernel's business here: the race of the other modules needs both in one hand. A server takes a listening
socket: ``aiohttp.web.run_app(app, sock=mphttp.socket.create_server(("", 8080)))``.
"""

from __future__ import annotations

import errno
import functools
import socket as _socket
from typing import Any

import aiohttp

from . import _mphttp
from ._ask import transport as _ask
from ._errors import NotMptcpError
from ._record import Record
from ._words import Protocol, ProtocolLike
from .socket import stream_socket

__all__ = ["ClientResponse", "ClientSession", "TCPConnector", "socket_factory", "transport"]


def socket_factory(address: tuple[Any, ...], *, protocol: ProtocolLike = None) -> _socket.socket:
    """A socket for an address, an entry of ``getaddrinfo``: what aiohttp's ``socket_factory`` is asked for."""
    sock = stream_socket(address[0], protocol=protocol)
    sock.setblocking(False)
    return sock


class TCPConnector(aiohttp.TCPConnector):
    """``aiohttp.TCPConnector`` with the keyword ``protocol``."""

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        if kwargs.get("socket_factory") is not None:
            raise TypeError("a socket_factory makes its own choice of protocol: use aiohttp.TCPConnector")
        self.protocol = Protocol.of(protocol)
        kwargs["socket_factory"] = functools.partial(socket_factory, protocol=self.protocol)
        super().__init__(*args, **kwargs)

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **kwargs)
        if self.protocol is Protocol.MPTCP_ONLY and connection.transport is not None:
            reason = _ask(connection.transport).reason
            if reason is not None:
                connection.close()
                raise NotMptcpError(
                    errno.EPROTONOSUPPORT, f"Multipath TCP was demanded, but {reason.explanation}", reason
                )
        return connection


class _Record(Record):
    """A record that asks the connection, not the socket, whether it is open: uvloop's sockets go on telling the number of
    a descriptor that was closed, and that may be somebody else's by now."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Any) -> None:
        super().__init__(transport.get_extra_info("socket"))
        self._transport = transport

    def look(self) -> _mphttp.Transport | None:
        return self._last if self._transport.is_closing() else super().look()


class ClientResponse(aiohttp.ClientResponse):
    """``aiohttp.ClientResponse``, which remembers the connection that it came over: aiohttp takes it away with the end
    of the body, which for a small one is before anybody can ask."""

    _mphttp_record: Record | None = None

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        if connection.transport is not None:
            self._mphttp_record = _Record(connection.transport)
        response = await super().start(connection)
        if self._mphttp_record is not None:
            self._mphttp_record.look()
        return response


def ClientSession(*args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> aiohttp.ClientSession:
    """An ``aiohttp.ClientSession`` whose connections are of this protocol (aiohttp wants no classes derived from it)."""
    if kwargs.get("connector") is None:
        kwargs["connector"] = TCPConnector(protocol=protocol)
    elif protocol is not None:
        raise TypeError("a connector makes its own choice of protocol: give it to TCPConnector(protocol=…)")
    kwargs.setdefault("response_class", ClientResponse)
    return aiohttp.ClientSession(*args, **kwargs)


def transport(response: aiohttp.ClientResponse) -> _mphttp.Transport | None:
    """What the connection of a response speaks: live, and the last state that was seen once it is closed.

    ``None`` for a response that is no :class:`ClientResponse` of this module.
    """
    record = response._mphttp_record if isinstance(response, ClientResponse) else None
    return None if record is None else record.look()
