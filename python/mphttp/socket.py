"""Sockets whose protocol is a choice, as ordinary ``socket.socket`` objects.

They carry the label ``proto == IPPROTO_TCP`` even where the kernel's SO_PROTOCOL is IPPROTO_MPTCP (262): asyncio fails
on the label 262, and switches TCP_NODELAY on only for the label 6. The label was never evidence, since accepted sockets
inherit their listener's: :func:`transport` is.
"""

from __future__ import annotations

import builtins as _builtins
import contextlib
import errno
import os
import socket as _socket
from typing import Any, cast

from . import _mphttp
from ._ask import host_support, transport
from ._words import Protocol, ProtocolLike

__all__ = ["create_connection", "create_server", "host_support", "stream_socket", "transport"]

#: What stands for "as socket.setdefaulttimeout says" in the standard library's signatures.
DEFAULT_TIMEOUT = cast(Any, _socket)._GLOBAL_DEFAULT_TIMEOUT
_INTERNET = (_socket.AF_INET, _socket.AF_INET6)
#: An address of the standard library's: host (a name or a number) and port.
Address = tuple[Any, ...]


def adopt(fd: int, v6: bool) -> _socket.socket:
    """A socket object that owns this descriptor. Its label is IPPROTO_TCP whatever it speaks."""
    family = _socket.AF_INET6 if v6 else _socket.AF_INET
    return _socket.socket(family, _socket.SOCK_STREAM, _socket.IPPROTO_TCP, fileno=fd)


def stream_socket(family: int = _socket.AF_INET, *, protocol: ProtocolLike = None) -> _socket.socket:
    """An unconnected stream socket, to be bound, connected or set to listen like any other.

    What is missed by connecting it oneself is the race: a path that swallows SYNs with MPTCP makes it wait as long as
    the kernel does. :func:`create_connection` doesn't.

    :raises NotMptcpError: for ``mptcp-only`` on a host without MPTCP.
    """
    if family not in (_socket.AF_INET, _socket.AF_INET6):
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    v6 = family == _socket.AF_INET6
    fd, _ = _mphttp.socket(v6, Protocol.of(protocol).value)
    return adopt(fd, v6)


def create_connection(
    address: Address,
    timeout: float | None = DEFAULT_TIMEOUT,
    source_address: Address | None = None,
    *,
    all_errors: bool = False,
    protocol: ProtocolLike = None,
    interface: str | None = None,
    family: int = 0,
) -> _socket.socket:
    """Connects to a host and port, as ``socket.create_connection`` does, racing as RFC 8305 says.

    Addresses of both families are tried, each a quarter of a second after the one before, and so are MPTCP and, where it
    gets no answer or a reset, TCP. Signal handlers run while it waits, and what they raise ends it.

    :param timeout: seconds for the whole connect without name resolution (the standard library's counts anew for each
        address); the socket keeps it for what follows.
    :param source_address: host and port to bind first. A fixed port holds one attempt at a time: TCP can't be raced
        beside MPTCP then.
    :param all_errors: raise an ``ExceptionGroup`` of the errors of all attempts (Python 3.11) instead of the first.
    :param interface: send through this interface alone (SO_BINDTODEVICE; needs no privilege since Linux 5.7).
    :param family: ``AF_INET`` or ``AF_INET6``, to keep to one of them.
    :raises OSError: the subclass that belongs to the first failed attempt; ``.attempts`` has them all.
    :raises TimeoutError: when the time is over.
    :raises NotMptcpError: for ``mptcp-only`` when the connection would speak TCP.
    """
    dialled = Dial(protocol)
    return dialled(
        address, timeout, source_address, all_errors=all_errors, interface=interface, family=family
    )


class Dial:
    """:func:`create_connection` for one protocol, which remembers why the last connection began as TCP."""

    __slots__ = ("protocol", "why_tcp")

    def __init__(self, protocol: ProtocolLike) -> None:
        self.protocol = Protocol.of(protocol)
        #: The word of the reason; None for MPTCP, and before there was a connection.
        self.why_tcp: str | None = None

    def __call__(
        self,
        address: Address,
        timeout: float | None = DEFAULT_TIMEOUT,
        source_address: Address | None = None,
        *,
        all_errors: bool = False,
        interface: str | None = None,
        family: int = 0,
    ) -> _socket.socket:
        """Connects, as :func:`create_connection` says."""
        addresses = resolve(address[0], address[1], family)
        if timeout is DEFAULT_TIMEOUT:
            timeout = _socket.getdefaulttimeout()
        if timeout is not None and timeout <= 0:
            if timeout < 0:
                raise ValueError("Timeout value out of range")
            raise BlockingIOError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS))
        try:
            fd, v6, self.why_tcp = _mphttp.connect(
                addresses,
                self.protocol.value,
                timeout,
                None if source_address is None else local(source_address),
                interface,
            )
        except OSError as error:
            if not addresses:
                raise OSError("getaddrinfo returns an empty list") from None
            attempts = getattr(error, "attempts", ())
            if all_errors and attempts and hasattr(_builtins, "ExceptionGroup"):
                raise _builtins.ExceptionGroup("create_connection failed", list(attempts)) from None
            raise
        sock = adopt(fd, v6)
        if sock.gettimeout() != timeout:
            sock.settimeout(timeout)
        return sock


def resolve(host: Any, port: Any, family: int = 0) -> list[Address]:
    """The addresses of a host, as the resolver orders them."""
    return literal(host, port, family) or internet(
        _socket.getaddrinfo(host, port, family, _socket.SOCK_STREAM)
    )


def literal(host: Any, port: Any, family: int = 0) -> list[Address] | None:
    """The address that an IPv4 host in numbers is: it needs no resolver, which asyncio has on a thread.

    Strictly four numbers: what else the resolver takes for an address is its own business.
    """
    plain = type(host) is str and type(port) is int and host[:1].isdigit() and 0 <= port < 2**16
    if plain and family in (0, _socket.AF_INET):
        with contextlib.suppress(OSError):
            _socket.inet_pton(_socket.AF_INET, host)
            return [(host, port)]
    return None


def internet(infos: list[Any]) -> list[Address]:
    """The addresses of those answers of the resolver that can be connected to."""
    return [info[4] for info in infos if info[0] in _INTERNET]


def local(source: Address) -> tuple[list[str], int]:
    """Local addresses in numbers, one of each family that the host has, and the port; an empty host is any address."""
    if not source[0]:
        return [], source[1]
    return numeric(_socket.getaddrinfo(source[0], source[1], 0, _socket.SOCK_STREAM))


def numeric(infos: list[tuple[Any, ...]]) -> tuple[list[str], int]:
    """The first address of each family, and the port."""
    hosts = {info[0]: str(info[4][0]) for info in reversed(infos) if info[0] in _INTERNET}
    return list(hosts.values()), int(infos[0][4][1])


def create_server(
    address: Address,
    *,
    family: int = _socket.AF_INET,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
    protocol: ProtocolLike = None,
) -> _socket.socket:
    """A listening socket, as ``socket.create_server`` makes one: MPTCP for clients that can, TCP for all others, on one
    port and at no cost to either. (A listener can't turn TCP clients away: with ``mptcp-only`` the servers of this package
    do, and for others it only says that the host must have MPTCP.)

    Give it to any server that takes a socket or a descriptor. Bind the unspecified address (an empty host): a server
    bound to one address refuses the paths to its others.

    :param backlog: how many connections may wait to be accepted; 4096 if not given.
    :raises NotMptcpError: for ``mptcp-only`` on a host without MPTCP.
    """
    if family not in (_socket.AF_INET, _socket.AF_INET6):
        raise ValueError("family must be AF_INET or AF_INET6: MPTCP has no other")
    if reuse_port and not hasattr(_socket, "SO_REUSEPORT"):
        raise ValueError("SO_REUSEPORT not supported on this platform")
    if dualstack_ipv6:
        if not _socket.has_dualstack_ipv6():
            raise ValueError("dualstack_ipv6 not supported on this platform")
        if family != _socket.AF_INET6:
            raise ValueError("dualstack_ipv6 requires AF_INET6 family")
    infos = _socket.getaddrinfo(
        address[0] or None, address[1], family, _socket.SOCK_STREAM, 0, _socket.AI_PASSIVE
    )
    fd = _mphttp.listen(infos[0][4], Protocol.of(protocol).value, backlog, reuse_port, dualstack_ipv6)
    return adopt(fd, family == _socket.AF_INET6)
