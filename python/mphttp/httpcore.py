"""httpcore's network backends, with the socket protocol a choice: what :mod:`mphttp.httpx` stands on.

::

    import httpcore
    from mphttp.httpcore import Backend

    pool = httpcore.ConnectionPool(network_backend=Backend("mptcp"))
"""

from __future__ import annotations

import contextlib
import select
import socket as _socket
import ssl
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore

try:
    import anyio
    import anyio.abc
    import anyio.streams.tls
except ImportError:
    # httpcore needs it for its asynchronous half only, and so does this module.
    anyio = None  # type: ignore[assignment]

from . import _options
from ._record import Integrity, Record
from ._words import Protocol, ProtocolLike
from .socket import create_connection, internet, literal, numeric

__all__ = ["TRANSPORT", "AsyncBackend", "Backend"]

#: What ``get_extra_info`` of a network stream is to be asked for its :class:`mphttp.Transport`, or the last one it had.
TRANSPORT = "mphttp_transport"


_BROKEN: tuple[type[Exception], ...] = (OSError,)
if anyio is not None:
    _BROKEN = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


@contextlib.contextmanager
def _translated(timeout: type[Exception], other: type[Exception]) -> Iterator[None]:
    """The exceptions of sockets and of anyio as httpcore's."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(error) from error
    except _BROKEN as error:
        raise other(error) from error


def _is_readable(sock: Any) -> bool:
    """Whether an idle connection has been closed by the peer, or has something to say that nobody asked for."""
    if sock is None or sock.fileno() < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock.fileno()], [], [], 0)[0])


class _Stream(httpcore.NetworkStream):
    def __init__(self, sock: _socket.socket) -> None:
        self._sock = sock
        self._integrity = Integrity(sock)
        self._record = Record(sock)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadTimeout, httpcore.ReadError):
            self._sock.settimeout(timeout)
            data = self._sock.recv(max_bytes)
            if data:
                self._integrity.received()
            return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _translated(httpcore.WriteTimeout, httpcore.WriteError):
            self._sock.settimeout(timeout)
            self._sock.sendall(buffer)

    def close(self) -> None:
        self._record.look()
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        if isinstance(self._sock, ssl.SSLSocket):
            self.close()
            raise httpcore.UnsupportedProtocol(
                "TLS inside of TLS (an https:// proxy) is not supported by mphttp"
            )
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                self._sock.settimeout(timeout)
                return _Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname))
            except BaseException:
                self.close()
                raise

    def get_extra_info(self, info: str) -> Any:
        if info == TRANSPORT:
            return self._record.look()
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        if info == "client_addr":
            return self._sock.getsockname()
        if info == "server_addr":
            return self._sock.getpeername()
        if info == "socket":
            return self._sock
        if info == "is_readable":
            return _is_readable(self._sock)
        return None


class Backend(httpcore.NetworkBackend):
    """For ``httpcore.ConnectionPool(network_backend=…)``."""

    def __init__(self, protocol: ProtocolLike = None) -> None:
        self.protocol = Protocol.of(protocol)
        self._stock = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        options = list(socket_options or ())
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            sock = _connect(host, port, timeout, local_address, options, self.protocol)
        return _Stream(sock)

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return self._stock.connect_unix_socket(*args, **kwargs)


def _connect(
    host: str,
    port: int,
    timeout: float | None,
    local_address: str | None,
    options: list[Any],
    protocol: Protocol,
) -> _socket.socket:
    source = None if local_address is None else (local_address, 0)
    interface = _options.interface(options)
    sock = create_connection((host, port), timeout, source, protocol=protocol, interface=interface)
    _options.apply(sock, options)
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    return sock


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: anyio.abc.ByteStream, integrity: Integrity | None) -> None:
        self._stream = stream
        self._integrity = integrity
        self._record = Record(stream.extra(anyio.abc.SocketAttribute.raw_socket))

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadTimeout, httpcore.ReadError):
            try:
                with anyio.fail_after(timeout):
                    data = await self._stream.receive(max_bytes=max_bytes)
            except anyio.EndOfStream:
                return b""
            if self._integrity is not None:
                self._integrity.received()
            return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            with _translated(httpcore.WriteTimeout, httpcore.WriteError), anyio.fail_after(timeout):
                await self._stream.send(buffer)

    async def aclose(self) -> None:
        self._record.look()
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                with anyio.fail_after(timeout):
                    stream = await anyio.streams.tls.TLSStream.wrap(
                        self._stream,
                        hostname=server_hostname,
                        ssl_context=ssl_context,
                        standard_compatible=False,
                        server_side=False,
                    )
            except BaseException:
                await anyio.aclose_forcefully(self._stream)
                raise
        return _AsyncStream(stream, None)

    def get_extra_info(self, info: str) -> Any:
        attributes = anyio.abc.SocketAttribute
        if info == TRANSPORT:
            return self._record.look()
        if info == "ssl_object":
            return self._stream.extra(anyio.streams.tls.TLSAttribute.ssl_object, None)
        if info == "client_addr":
            return self._stream.extra(attributes.local_address, None)
        if info == "server_addr":
            return self._stream.extra(attributes.remote_address, None)
        if info == "socket":
            return self._stream.extra(attributes.raw_socket, None)
        if info == "is_readable":
            return _is_readable(self._stream.extra(attributes.raw_socket, None))
        return None


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """For ``httpcore.AsyncConnectionPool(network_backend=…)``, on asyncio and on trio."""

    def __init__(self, protocol: ProtocolLike = None) -> None:
        self.protocol = Protocol.of(protocol)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        options = list(socket_options or ())
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            with anyio.fail_after(timeout):
                sock = await self._connected(host, port, local_address, options)
            integrity = Integrity(sock)
            stream = await anyio.abc.SocketStream.from_socket(sock)
        return _AsyncStream(stream, None if integrity.plain else integrity)

    async def _connected(
        self, host: str, port: int, local_address: str | None, options: list[Any]
    ) -> _socket.socket:
        source = None if local_address is None else (local_address, 0)
        interface = _options.interface(options)
        if "trio" in sys.modules and _runs_trio():
            sock = await _connect_on_trio(host, port, self.protocol, source, interface)
        else:
            from . import asyncio as _asyncio

            sock = await _asyncio.connect(
                host, port, protocol=self.protocol, local_addr=source, interface=interface
            )
        _options.apply(sock, options)
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return sock

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        return await httpcore.AnyIOBackend().connect_unix_socket(*args, **kwargs)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def _runs_trio() -> bool:
    import trio.lowlevel

    return bool(trio.lowlevel.in_trio_run())


async def _connect_on_trio(
    host: str, port: int, protocol: Protocol, source: tuple[str, int] | None, interface: str | None
) -> _socket.socket:
    import trio

    from . import _connecting

    addresses = literal(host, port) or internet(
        await trio.socket.getaddrinfo(host, port, type=_socket.SOCK_STREAM)
    )
    local = None
    if source is not None:
        local = numeric(await trio.socket.getaddrinfo(*source, type=_socket.SOCK_STREAM))
    done, token = trio.Event(), trio.lowlevel.current_trio_token()

    def tell() -> None:
        # From another thread. A run that has ended has nobody waiting.
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    return await _connecting.finish(addresses, protocol, tell, done.wait(), local=local, interface=interface)
