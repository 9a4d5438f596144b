"""Socket options that other libraries let their users demand: applied as far as the socket takes them."""

from __future__ import annotations

import logging
import socket as _socket
from collections.abc import Iterable
from typing import Any

from ._record import is_mptcp_socket

_log = logging.getLogger("mphttp")

#: As `socket.setsockopt` takes it.
Option = tuple[Any, ...]


def interface(options: Iterable[Option] | None) -> str | None:
    """The interface that SO_BINDTODEVICE among these options names: it must be known before connecting."""
    number = getattr(_socket, "SO_BINDTODEVICE", 25)
    for level, name, *value in options or ():
        if (
            (level, name) == (_socket.SOL_SOCKET, number)
            and value
            and isinstance(value[0], (bytes, bytearray))
        ):
            return bytes(value[0]).rstrip(b"\0").decode()
    return None


def apply(sock: _socket.socket, options: Iterable[Option] | None) -> None:
    """Sets options on a connected socket, which is closed if that fails.

    One that MPTCP refuses (TCP_USER_TIMEOUT, for one) is left out, with a line in the log "mphttp"; what a TCP socket
    refuses is an error, as it always was.
    """
    number = getattr(_socket, "SO_BINDTODEVICE", 25)
    for option in options or ():
        if tuple(option[:2]) == (_socket.SOL_SOCKET, number):
            continue
        try:
            sock.setsockopt(*option)
        except OSError as error:
            if not is_mptcp_socket(sock):
                sock.close()
                raise
            _log.info("the socket option %s was not set: %s", option, error)
