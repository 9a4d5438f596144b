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

import functools
import socket as _socket
from typing import Any

import aiohttp

from . import _mphttp
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
        choice = Protocol.of(protocol)
        kwargs["socket_factory"] = functools.partial(socket_factory, protocol=choice)
        super().__init__(*args, **kwargs)


class ClientResponse(aiohttp.ClientResponse):
    """``aiohttp.ClientResponse``, which remembers the connection that it came over: aiohttp takes it away with the end
    of the body, which for a small one is before anybody can ask."""

    _mphttp_record: Record | None = None

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        sock = None if connection.transport is None else connection.transport.get_extra_info("socket")
        response = await super().start(connection)
        if sock is not None:
            self._mphttp_record = Record(sock)
            self._mphttp_record.look()
        return response


def ClientSession(*args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> aiohttp.ClientSession:
    """An ``aiohttp.ClientSession`` whose connections are of this protocol (aiohttp wants no classes derived from it)."""
    kwargs.setdefault("connector", TCPConnector(protocol=protocol))
    kwargs.setdefault("response_class", ClientResponse)
    return aiohttp.ClientSession(*args, **kwargs)


def transport(response: aiohttp.ClientResponse) -> _mphttp.Transport | None:
    """What the connection of a response speaks: live, and the last state that was seen once it is closed.

    ``None`` for a response that is no :class:`ClientResponse` of this module.
    """
    record = response._mphttp_record if isinstance(response, ClientResponse) else None
    return None if record is None else record.look()
