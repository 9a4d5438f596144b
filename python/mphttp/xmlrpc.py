"""``xmlrpc.client``, with the socket protocol a choice.

::

    from mphttp.xmlrpc import ServerProxy

    with ServerProxy("http://server:8000/", protocol="mptcp") as server:
        print(server.system.listMethods())
"""

from __future__ import annotations

import xmlrpc.client as _xmlrpc
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ._words import Protocol, ProtocolLike
from .client import HTTPConnection

if TYPE_CHECKING:
    from .client import HTTPSConnection

__all__ = ["SafeTransport", "ServerProxy", "Transport"]


class Transport(_xmlrpc.Transport):
    """``xmlrpc.client.Transport`` with the keyword ``protocol``."""

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.protocol = Protocol.of(protocol)

    def make_connection(self, host: Any) -> HTTPConnection:
        kept: Any = self._connection
        if kept and host == kept[0]:
            connection: HTTPConnection = kept[1]
            return connection
        name, self._extra_headers, _ = self.get_host_info(host)
        connection = HTTPConnection(name, protocol=self.protocol)
        self._connection = host, connection
        return connection


class SafeTransport(_xmlrpc.SafeTransport):
    """``xmlrpc.client.SafeTransport`` with the keyword ``protocol``."""

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.protocol = Protocol.of(protocol)

    def make_connection(self, host: Any) -> HTTPSConnection:
        from .client import HTTPSConnection

        kept: Any = self._connection
        if kept and host == kept[0]:
            connection: HTTPSConnection = kept[1]
            return connection
        name, self._extra_headers, x509 = self.get_host_info(host)
        more: Any = {"context": getattr(self, "context", None), **(x509 or {})}
        connection = HTTPSConnection(name, protocol=self.protocol, **more)
        self._connection = host, connection
        return connection


class ServerProxy(_xmlrpc.ServerProxy):
    """``xmlrpc.client.ServerProxy`` with the keyword ``protocol``; a given ``transport`` makes its own choice."""

    def __init__(
        self, uri: str, transport: Any = None, *args: Any, protocol: ProtocolLike = None, **kwargs: Any
    ) -> None:
        if transport is None:
            headers, context = kwargs.get("headers", ()), kwargs.get("context")
            dates = {name: kwargs.get(name, False) for name in ("use_datetime", "use_builtin_types")}
            # Their places after `transport`: encoding, verbose, allow_none, use_datetime, use_builtin_types.
            dates.update(zip(("use_datetime", "use_builtin_types"), args[3:5], strict=False))
            if urlsplit(uri).scheme == "https":
                transport = SafeTransport(headers=headers, context=context, protocol=protocol, **dates)
            else:
                transport = Transport(headers=headers, protocol=protocol, **dates)
        super().__init__(uri, transport, *args, **kwargs)
