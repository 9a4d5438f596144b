"""Questions to the kernel: what can this host, and what does a socket speak."""

from __future__ import annotations

import errno
import os
from typing import Any, Protocol, TypeAlias

from . import _mphttp
from ._words import Reason


class HasFileno(Protocol):
    """What has a descriptor."""

    def fileno(self) -> int: ...


class HasExtraInfo(Protocol):
    """A transport or a stream writer of asyncio or uvloop."""

    def get_extra_info(self, name: str, default: Any = ...) -> Any: ...
    def is_closing(self) -> bool: ...


#: What can be asked for its transport.
Askable: TypeAlias = int | HasFileno | HasExtraInfo


def host_support() -> Reason | None:
    """``None`` if this host can make MPTCP sockets now, else why not. Asked anew each time (some microseconds)."""
    word = _mphttp.host_support()
    return None if word is None else Reason(word)


def descriptor(sock: Askable) -> int:
    """The descriptor of a socket in any of its guises.

    :raises OSError: ``EBADF`` if it is closed.
    """
    if isinstance(sock, int):
        return sock
    has: Any = sock
    if not hasattr(has, "fileno"):
        inner = has.get_extra_info("socket")
        # uvloop's sockets go on telling their number after they were closed.
        gone = type(inner).__module__.startswith("uvloop") and has.is_closing()
        has = None if gone else inner
    number: int = -1 if has is None else has.fileno()
    if number == -1:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return number


def transport(sock: Askable) -> _mphttp.Transport:
    """What a connected socket speaks, why, and over which paths, at this moment.

    :param sock: a socket, plain or wrapped by ``ssl``; a transport or stream writer of asyncio or uvloop; a descriptor.
    :raises OSError: if it is closed, or no TCP or MPTCP socket.
    """
    return _mphttp.transport(descriptor(sock))
