"""niquests, with the socket protocol a choice.

::

    from mphttp.niquests import Session

    with Session(protocol="mptcp") as session:
        session.get("http://server:8000/")

By its resolvers, which also connect: ``niquests.Session(resolver=Resolver(protocol="mptcp"))`` is the same. HTTP/3 goes
over UDP, where there is no such choice. ``AsyncSession`` can't be told: its sockets make themselves.
"""

from __future__ import annotations

import datetime
import socket as _socket
from typing import Any

from niquests.packages.urllib3.contrib.resolver.system import SystemResolver
from niquests.packages.urllib3.util import Timeout

import niquests

from . import _mphttp, _options
from ._ask import transport as _ask
from ._words import Protocol, ProtocolLike
from .socket import DEFAULT_TIMEOUT, create_connection

__all__ = ["Resolver", "Session", "transport"]


class Resolver(SystemResolver):
    """The system's resolver, connecting with the keyword ``protocol``."""

    def __init__(self, *patterns: str, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*patterns, **kwargs)
        self.protocol = Protocol.of(protocol)

    def create_connection(
        self,
        address: tuple[str, int],
        timeout: Any = Timeout.DEFAULT_TIMEOUT,
        source_address: tuple[str, int] | None = None,
        socket_options: Any = None,
        socket_kind: int = _socket.SOCK_STREAM,
        *,
        timing_hook: Any = None,
        default_socket_family: int = _socket.AF_UNSPEC,
        **kwargs: Any,
    ) -> _socket.socket:
        if socket_kind != _socket.SOCK_STREAM:
            sock: _socket.socket = super().create_connection(
                address,
                timeout,
                source_address,
                socket_options,
                socket_kind,
                timing_hook=timing_hook,
                default_socket_family=default_socket_family,
                **kwargs,
            )
            return sock
        begun = datetime.datetime.now(tz=datetime.timezone.utc)
        sock = create_connection(
            (address[0].strip("[]"), address[1]),
            DEFAULT_TIMEOUT if timeout is Timeout.DEFAULT_TIMEOUT else timeout,
            source_address,
            protocol=self.protocol,
            interface=_options.interface(socket_options),
            family=default_socket_family,
        )
        # niquests' own form of an option names in the fourth place whether it is for TCP or for UDP.
        _options.apply(sock, [option[:3] for option in socket_options or () if option[3:] != ("udp",)])
        if timing_hook is not None:
            # The resolver's share is not known apart.
            done = datetime.datetime.now(tz=datetime.timezone.utc)
            timing_hook((datetime.timedelta(0), done - begun, done))
        return sock


class Session(niquests.Session):
    """``niquests.Session`` with the keyword ``protocol``."""

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        if kwargs.get("resolver") is None:
            kwargs["resolver"] = Resolver(protocol=protocol)
        elif protocol is not None:
            raise TypeError("a resolver makes its own choice of protocol: give it to Resolver(protocol=…)")
        super().__init__(*args, **kwargs)


def transport(response: niquests.Response) -> _mphttp.Transport | None:
    """What the connection of a response speaks: to be asked before the body has been read (``stream=True``), since
    niquests takes the connection away then. ``None`` after that."""
    connection = getattr(response.raw, "connection", None)
    sock = getattr(connection, "sock", None)
    return None if sock is None else _ask(sock)
