"""A connect on the threads that all asynchronous ones share, awaited by whatever the event loop is."""

from __future__ import annotations

import socket as _socket
from collections.abc import Awaitable, Callable
from typing import Any

from . import _mphttp
from ._words import Protocol
from .socket import Address, adopt


async def finish(
    addresses: list[Address],
    protocol: Protocol,
    tell: Callable[[], object],
    done: Awaitable[Any],
    *,
    timeout: float | None = None,
    local: tuple[list[str], int] | None = None,
    interface: str | None = None,
) -> _socket.socket:
    """A connected, non-blocking socket. ``tell`` is called from another thread when it is time to stop awaiting ``done``;
    whatever else ends the waiting, a cancellation above all, ends the connect too."""
    connecting = _mphttp.connect_async(addresses, protocol.value, tell, timeout, local, interface)
    try:
        await done
    except BaseException:
        connecting.cancel()
        raise
    fd, v6, _ = connecting.take()
    sock = adopt(fd, v6)
    sock.setblocking(False)
    return sock
