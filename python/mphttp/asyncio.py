"""asyncio's streams, connections and servers, with the socket protocol a choice, and downloads; on uvloop too.

::

    from mphttp import asyncio as mptcp

    reader, writer = await mptcp.open_connection("server", 8000, protocol="mptcp")
    print(mptcp.transport(writer))

Connects race as RFC 8305 says, addresses and protocols alike, on threads of Rust's that all of them share.
"""

from __future__ import annotations

import asyncio as _asyncio
import contextlib
import functools
import socket as _socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from . import _connecting
from ._ask import transport
from ._download_async import download
from ._words import Protocol, ProtocolLike
from .socket import Address, internet, literal, numeric
from .socket import create_server as _listen

__all__ = [
    "Servers",
    "connect",
    "create_connection",
    "create_server",
    "download",
    "open_connection",
    "start_server",
    "transport",
]

_P = TypeVar("_P", bound=_asyncio.BaseProtocol)


async def connect(
    host: str,
    port: int | str,
    *,
    protocol: ProtocolLike = None,
    timeout: float | None = None,
    family: int = 0,
    flags: int = 0,
    local_addr: Address | None = None,
    interface: str | None = None,
) -> _socket.socket:
    """A connected, non-blocking socket: for ``loop.create_connection(…, sock=…)``, ``loop.sock_sendall`` and whatever
    else takes one.

    :param timeout: seconds for the whole connect without name resolution.
    :param family: ``AF_INET`` or ``AF_INET6``, to keep to one of them.
    :param flags: for ``getaddrinfo``.
    :param local_addr: host and port to bind first.
    :param interface: send through this interface alone (SO_BINDTODEVICE).
    :raises OSError, TimeoutError, NotMptcpError: as :func:`mphttp.socket.create_connection`.
    """
    choice = Protocol.of(protocol)
    loop = _asyncio.get_running_loop()
    addresses = None if flags else literal(host, port, family)
    if addresses is None:
        found = await loop.getaddrinfo(host, port, family=family, type=_socket.SOCK_STREAM, flags=flags)
        addresses = internet(found)
    local: tuple[list[str], int] | None = None
    if local_addr is not None:
        local = [], int(local_addr[1])
        if local_addr[0]:
            local = numeric(await loop.getaddrinfo(*local_addr[:2], family=family, type=_socket.SOCK_STREAM))
    done: _asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not done.done():
            done.set_result(None)

    def tell() -> None:
        # From another thread. A loop that was closed meanwhile has nobody waiting.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle)

    return await _connecting.finish(
        addresses, choice, tell, done, timeout=timeout, local=local, interface=interface
    )


async def create_connection(
    protocol_factory: Callable[[], _P],
    host: str,
    port: int | str,
    *,
    protocol: ProtocolLike = None,
    ssl: Any = None,
    server_hostname: str | None = None,
    timeout: float | None = None,
    family: int = 0,
    flags: int = 0,
    local_addr: Address | None = None,
    interface: str | None = None,
    **kwargs: Any,
) -> tuple[_asyncio.Transport, _P]:
    """``loop.create_connection`` over this protocol. Further keywords (``ssl_handshake_timeout`` …) are handed on; those
    of the race (``happy_eyeballs_delay``, ``interleave``, ``all_errors``) are ignored, since there always is one."""
    for name in ("happy_eyeballs_delay", "interleave", "all_errors"):
        kwargs.pop(name, None)
    loop = _asyncio.get_running_loop()
    sock = await connect(
        host,
        port,
        protocol=protocol,
        timeout=timeout,
        family=family,
        flags=flags,
        local_addr=local_addr,
        interface=interface,
    )
    if ssl and server_hostname is None:
        server_hostname = host
    try:
        return await loop.create_connection(
            protocol_factory, sock=sock, ssl=ssl, server_hostname=server_hostname, **kwargs
        )
    except BaseException:
        sock.close()
        raise


async def open_connection(
    host: str, port: int | str, *, limit: int = 2**16, **kwargs: Any
) -> tuple[_asyncio.StreamReader, _asyncio.StreamWriter]:
    """``asyncio.open_connection`` over a protocol: keywords as for :func:`create_connection`."""
    loop = _asyncio.get_running_loop()
    reader = _asyncio.StreamReader(limit=limit, loop=loop)
    stream = _asyncio.StreamReaderProtocol(reader, loop=loop)
    writing, _ = await create_connection(lambda: stream, host, port, **kwargs)
    return reader, _asyncio.StreamWriter(writing, stream, reader, loop)


class Servers(_asyncio.AbstractServer):
    """The servers of several addresses as one, as ``asyncio.Server`` is."""

    def __init__(self, servers: Sequence[_asyncio.AbstractServer]) -> None:
        self._servers = servers

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets."""
        return tuple(sock for server in self._servers for sock in getattr(server, "sockets", ()))

    def close(self) -> None:
        for server in self._servers:
            server.close()

    async def wait_closed(self) -> None:
        await _asyncio.gather(*(server.wait_closed() for server in self._servers))

    def close_clients(self) -> None:
        """Closes the connections that there are (Python 3.13)."""
        for server in self._servers:
            server.close_clients()  # type: ignore[attr-defined, unused-ignore]

    def abort_clients(self) -> None:
        """Ends the connections that there are at once (Python 3.13)."""
        for server in self._servers:
            server.abort_clients()  # type: ignore[attr-defined, unused-ignore]

    def get_loop(self) -> _asyncio.AbstractEventLoop:
        return self._servers[0].get_loop()

    def is_serving(self) -> bool:
        return all(server.is_serving() for server in self._servers)

    async def start_serving(self) -> None:
        for server in self._servers:
            await server.start_serving()

    async def serve_forever(self) -> None:
        tasks = [_asyncio.ensure_future(server.serve_forever()) for server in self._servers]
        try:
            await _asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self.close()
            await self.wait_closed()

    async def __aenter__(self) -> Servers:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
        await self.wait_closed()


class _Gate(_asyncio.Protocol):
    """Stands before a server's protocol until it is known what the client speaks: TCP clients are turned away."""

    def __init__(self, factory: Callable[[], _asyncio.BaseProtocol]) -> None:
        self._factory = factory

    def connection_made(self, connection: Any) -> None:
        if not transport(connection).is_mptcp:
            connection.abort()
            return
        behind = self._factory()
        connection.set_protocol(behind)
        behind.connection_made(connection)


async def create_server(
    protocol_factory: Callable[[], _asyncio.BaseProtocol],
    host: str | Iterable[str] | None = None,
    port: int = 0,
    *,
    protocol: ProtocolLike = None,
    family: int = 0,
    backlog: int | None = None,
    reuse_port: bool = False,
    start_serving: bool = True,
    **kwargs: Any,
) -> Servers:
    """``loop.create_server`` with this protocol: MPTCP by default, and TCP for clients that ask for it (with ``mptcp-only``
    they are turned away).

    :param host: a name, an address or several; ``None`` or an empty one stands for all addresses of both families, on one
        dual-stack socket where the host has IPv6.
    :param port: 0 takes any free one: the same for all addresses.
    """
    choice = Protocol.of(protocol)
    loop = _asyncio.get_running_loop()
    names = [host] if host is None or isinstance(host, str) else list(host)
    if not names:
        raise ValueError("there is no host to listen on")
    factory: Callable[[], _asyncio.BaseProtocol] = protocol_factory
    if choice is Protocol.MPTCP_ONLY:
        factory = functools.partial(_Gate, protocol_factory)
    waiting = 4096 if backlog is None else backlog
    sockets: list[_socket.socket] = []

    def bind(address: Address, family: int, dual: bool) -> None:
        made = _listen(
            address,
            family=family,
            backlog=waiting,
            reuse_port=reuse_port,
            dualstack_ipv6=dual,
            protocol=choice,
        )
        made.setblocking(False)
        sockets.append(made)

    servers: list[_asyncio.Server] = []
    try:
        for name in names:
            if not name and family == 0 and _socket.has_dualstack_ipv6():
                bind(("", port), _socket.AF_INET6, True)
            elif not name:
                bind(("", port), family or _socket.AF_INET, False)
            else:
                infos = await loop.getaddrinfo(
                    name, port, family=family, type=_socket.SOCK_STREAM, flags=_socket.AI_PASSIVE
                )
                addresses: dict[tuple[Any, Any], None] = dict.fromkeys((info[0], info[4]) for info in infos)
                for found, sockaddr in addresses:
                    if found in (_socket.AF_INET, _socket.AF_INET6):
                        # A link-local address is one only with its scope.
                        scope = f"%{sockaddr[3]}" if sockaddr[3:] and sockaddr[3] else ""
                        bind((str(sockaddr[0]).partition("%")[0] + scope, port), found, False)
                        # What the kernel chose for the first address holds for all.
                        port = port or sockets[0].getsockname()[1]
            port = port or sockets[0].getsockname()[1]
        for sock in sockets:
            # It sets the socket to listen once more, by its own default unless told.
            server = await loop.create_server(
                factory, sock=sock, backlog=waiting, start_serving=False, **kwargs
            )
            servers.append(server)
        together = Servers(servers)
        if start_serving:
            await together.start_serving()
        return together
    except BaseException:
        for server in servers:
            server.close()
        for sock in sockets:
            sock.close()
        raise


async def start_server(
    client_connected_cb: Callable[[_asyncio.StreamReader, _asyncio.StreamWriter], Awaitable[None] | None],
    host: str | Iterable[str] | None = None,
    port: int = 0,
    *,
    limit: int = 2**16,
    **kwargs: Any,
) -> Servers:
    """``asyncio.start_server`` with a protocol: keywords as for :func:`create_server`."""
    loop = _asyncio.get_running_loop()

    def factory() -> _asyncio.StreamReaderProtocol:
        reader = _asyncio.StreamReader(limit=limit, loop=loop)
        return _asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=loop)

    return await create_server(factory, host, port, **kwargs)
