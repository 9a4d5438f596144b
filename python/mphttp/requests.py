"""requests, with the socket protocol a choice.

::

    from mphttp.requests import Session, transport

    with Session(protocol="mptcp") as session:
        response = session.get("http://server:8000/")
        print(transport(response))

Or, for a session that exists: ``session.mount("http://", HTTPAdapter(protocol="mptcp"))``, and the same for ``https://``.
"""

from __future__ import annotations

from typing import Any

import requests
import requests.adapters

from . import _mphttp
from . import urllib3 as _urllib3
from ._words import Protocol, ProtocolLike

__all__ = ["HTTPAdapter", "Session", "transport"]


class HTTPAdapter(requests.adapters.HTTPAdapter):
    """``requests.adapters.HTTPAdapter`` with the keyword ``protocol``; through an HTTP proxy it is that of the way there."""

    __attrs__ = [*requests.adapters.HTTPAdapter.__attrs__, "protocol"]

    def __init__(self, *args: Any, protocol: ProtocolLike = None, **kwargs: Any) -> None:
        self.protocol = Protocol.of(protocol)
        super().__init__(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _urllib3.adopt(self.poolmanager, self.protocol)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        fresh = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if fresh:
            _urllib3.adopt(manager, self.protocol)
        return manager


class Session(requests.Session):
    """``requests.Session`` with its adapters exchanged."""

    def __init__(self, protocol: ProtocolLike = None) -> None:
        super().__init__()
        for prefix in ("https://", "http://"):
            self.mount(prefix, HTTPAdapter(protocol=protocol))


def transport(response: requests.Response) -> _mphttp.Transport | None:
    """What the connection of a response speaks: live, and the last state once it is closed.

    ``None`` for a response that did not come through an :class:`HTTPAdapter` of this module.
    """
    return _urllib3.transport(response.raw)
