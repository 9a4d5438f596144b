"""``urllib.request``, with the socket protocol a choice.

::

    from mphttp.request import urlopen

    with urlopen("http://server:8000/", protocol="mptcp") as response:
        print(response.transport)
"""

from __future__ import annotations

import functools
import urllib.request as _request
from typing import TYPE_CHECKING, Any

from ._words import Protocol, ProtocolLike
from .client import HTTPConnection, HTTPResponse
from .socket import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    import ssl

    from .client import HTTPSConnection

__all__ = ["HTTPHandler", "HTTPSHandler", "build_opener", "urlopen"]


def _last(response: Any) -> Any:
    """urllib closes its connections once it has the response, which alone keeps the socket open."""
    if isinstance(response, HTTPResponse):
        response._is_last = True
    return response


class HTTPHandler(_request.HTTPHandler):
    """``urllib.request.HTTPHandler`` with the keyword ``protocol``."""

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.protocol = Protocol.of(protocol)

    def do_open(self, http_class: Any, req: _request.Request, **http_conn_args: Any) -> Any:
        connection = functools.partial(HTTPConnection, protocol=self.protocol)
        return _last(super().do_open(connection, req, **http_conn_args))


if TYPE_CHECKING or hasattr(_request, "HTTPSHandler"):
    if not TYPE_CHECKING:
        from .client import HTTPSConnection

    class HTTPSHandler(_request.HTTPSHandler):
        """``urllib.request.HTTPSHandler`` with the keyword ``protocol``."""

        def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.protocol = Protocol.of(protocol)

        def do_open(self, http_class: Any, req: _request.Request, **http_conn_args: Any) -> Any:
            connection = functools.partial(HTTPSConnection, protocol=self.protocol)
            return _last(super().do_open(connection, req, **http_conn_args))


def build_opener(
    *handlers: Any, protocol: ProtocolLike = None, context: ssl.SSLContext | None = None
) -> _request.OpenerDirector:
    """``urllib.request.build_opener``, its HTTP and HTTPS connections of this protocol.

    The result can be made the default with ``urllib.request.install_opener``.
    """
    choice = Protocol.of(protocol)
    ours: list[Any] = [HTTPHandler(protocol=choice)]
    if hasattr(_request, "HTTPSHandler"):
        ours.append(HTTPSHandler(context=context, protocol=choice))
    # Where the caller brings a handler of its own for the same scheme, that is what is used.
    given = [handler if isinstance(handler, type) else type(handler) for handler in handlers]
    bases = (_request.HTTPHandler, getattr(_request, "HTTPSHandler", _request.HTTPHandler))
    ours = [
        mine
        for mine in ours
        if not any(issubclass(g, b) for g in given for b in bases if isinstance(mine, b))
    ]
    return _request.build_opener(*ours, *handlers)


def urlopen(
    url: str | _request.Request,
    data: Any = None,
    timeout: float | None = DEFAULT_TIMEOUT,
    *,
    context: ssl.SSLContext | None = None,
    protocol: ProtocolLike = None,
) -> Any:
    """``urllib.request.urlopen`` over this protocol; the response has ``.transport``.

    An opener that was installed by ``urllib.request.install_opener`` is not used: build one with :func:`build_opener`.
    """
    choice = Protocol.of(protocol)
    opener = _opener(choice) if context is None else build_opener(protocol=choice, context=context)
    return opener.open(url, data, timeout)


@functools.cache
def _opener(protocol: Protocol) -> _request.OpenerDirector:
    """Kept, as the standard library keeps its own: a new one would read the certificates of all authorities each time."""
    return build_opener(protocol=protocol)
