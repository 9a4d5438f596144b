"""urllib3, with the socket protocol a choice.

::

    from mphttp.urllib3 import PoolManager, transport

    http = PoolManager(protocol="mptcp")
    response = http.request("GET", "http://server:8000/")
    print(transport(response))

By the extension points that urllib3 has for it: ``ConnectionCls`` of its pools, and ``pool_classes_by_scheme`` of its
managers.
"""

from __future__ import annotations

import functools
import socket as _socket
import sys
from typing import Any

import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.util.connection
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)

from . import _mphttp, _options
from ._record import Record, Recording
from ._words import Protocol, ProtocolLike
from .client import HTTPResponse, TcpHTTPResponse
from .socket import Dial

__all__ = ["HTTPConnection", "HTTPSConnection", "PoolManager", "ProxyManager", "adopt", "transport"]

#: The name under which a response carries its record.
_RECORD = "_mphttp_record"


class _Choice(Recording, urllib3.connection.HTTPConnection):
    """What the two connections have in common."""

    #: The choice of protocol; ``None`` for the default of the process.
    protocol: ProtocolLike = None
    response_class: Any = HTTPResponse
    _response_classes = (TcpHTTPResponse, HTTPResponse)

    def _new_conn(self) -> _socket.socket:
        # The same errors as in urllib3's own.
        host = self._dns_host.strip("[]")
        try:
            host.encode("idna")
        except UnicodeError:
            raise LocationParseError(f"{host!r}, label empty or too long") from None
        try:
            self._create_connection = Dial(self.protocol)
            sock: _socket.socket = self._create_connection(
                (host, self.port),
                self.timeout,
                self.source_address,
                interface=_options.interface(self.socket_options),
                # Where somebody keeps urllib3 to one family, this is what they have set.
                family=urllib3.util.connection.allowed_gai_family(),
            )
            _options.apply(sock, self.socket_options)
        except _socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            text = f"Connection to {self.host} timed out. (connect timeout={self.timeout})"
            raise ConnectTimeoutError(self, text) from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock

    def getresponse(self) -> Any:
        record = self.recorded()
        response = super().getresponse()
        setattr(response, _RECORD, record)
        return response


class HTTPConnection(_Choice):
    """``urllib3.connection.HTTPConnection`` with a choice of protocol: the class attribute ``protocol``."""


class HTTPSConnection(_Choice, urllib3.connection.HTTPSConnection):
    """``urllib3.connection.HTTPSConnection`` with a choice of protocol: the class attribute ``protocol``."""


@functools.cache
def _pools(protocol: Protocol) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Pool classes whose connections are of this protocol."""
    plain = type("HTTPConnection", (HTTPConnection,), {"protocol": protocol})
    secure = type("HTTPSConnection", (HTTPSConnection,), {"protocol": protocol})
    http, https = urllib3.HTTPConnectionPool, urllib3.HTTPSConnectionPool
    return {
        "http": type("HTTPConnectionPool", (http,), {"ConnectionCls": plain}),
        "https": type("HTTPSConnectionPool", (https,), {"ConnectionCls": secure}),
    }


def adopt(manager: urllib3.PoolManager, protocol: ProtocolLike = None) -> None:
    """Gives this protocol to the connections that a manager makes from now on. A SOCKS manager is left as it is."""
    ours = _pools(Protocol.of(protocol))
    stock = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}
    known = (*stock.values(), *(pool for member in Protocol for pool in _pools(member).values()))
    if all(pool in known for pool in manager.pool_classes_by_scheme.values()):
        manager.pool_classes_by_scheme = dict(ours)
        manager.clear()


class PoolManager(urllib3.PoolManager):
    """``urllib3.PoolManager`` with the keyword ``protocol``."""

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        adopt(self, protocol)


class ProxyManager(urllib3.ProxyManager):
    """``urllib3.ProxyManager`` with the keyword ``protocol``, which is that of the connection to the proxy."""

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        adopt(self, protocol)


def transport(response: urllib3.BaseHTTPResponse) -> _mphttp.Transport | None:
    """What the connection of a response speaks: live, and the last state once it is closed.

    ``None`` for a response that did not come over a connection of this module.
    """
    record: Record | None = getattr(response, _RECORD, None)
    return None if record is None else record.look()
