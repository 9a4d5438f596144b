"""The compiled half of mphttp; use the modules of ``mphttp`` instead."""

from collections.abc import Callable
from typing import Any, final

from ._words import Reason

__all__ = [
    "Connecting",
    "Downloading",
    "Path",
    "Transport",
    "accepted",
    "after_fork_in_child",
    "connect",
    "connect_async",
    "default_protocol",
    "doctor",
    "download",
    "explain",
    "host_support",
    "leftover",
    "listen",
    "parse_protocol",
    "paths",
    "reasons",
    "remedy",
    "run_program",
    "shutdown",
    "socket",
    "transport",
    "unseen",
    "version",
]

@final
class Transport:
    """What a connected socket speaks, and over which paths: the state at the moment when it was asked."""

    @property
    def protocol(self) -> str:
        """``"mptcp"`` or ``"tcp"``."""
    @property
    def is_mptcp(self) -> bool:
        """Whether the connection speaks MPTCP on the wire."""
    @property
    def reason(self) -> Reason | None:
        """Why it speaks TCP; ``None`` for MPTCP."""
    @property
    def explanation(self) -> str | None:
        """The same as a clause for people; ``None`` for MPTCP."""
    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths that exist now: subflows of MPTCP, or the one of TCP."""
    @property
    def bytes_received(self) -> int:
        """Payload bytes received, over all paths."""
    @property
    def bytes_sent(self) -> int:
        """Payload bytes sent, over all paths, retransmissions included."""
    @property
    def retransmits(self) -> int:
        """Segments retransmitted, over all paths."""
    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, in the shape that ``mphttp get --json`` has: ready for ``json.dumps``."""

@final
class Path:
    """One path of a connection. What the kernel doesn't tell is ``None``."""

    @property
    def local(self) -> tuple[str, int] | None:
        """Local address and port, as ``socket.getsockname`` has them."""
    @property
    def remote(self) -> tuple[str, int] | None:
        """Remote address and port."""
    @property
    def interface(self) -> str | None:
        """The interface that holds the local address."""
    @property
    def state(self) -> str:
        """The state of the path's TCP connection: ``"established"``, ``"closed"`` …"""
    @property
    def rtt(self) -> float | None:
        """Smoothed round-trip time, in seconds."""
    @property
    def bytes_received(self) -> int | None:
        """Payload bytes received."""
    @property
    def bytes_sent(self) -> int | None:
        """Payload bytes sent, retransmissions included."""
    @property
    def retransmits(self) -> int | None:
        """Segments retransmitted."""

@final
class Connecting:
    """A connect under way. Cancel it, or take its socket once it is done; what nobody takes is closed."""

    def cancel(self) -> None: ...
    def take(self) -> tuple[int, bool, str | None]: ...

@final
class Downloading:
    """A download under way. It ends with this object."""

    def cancel(self) -> None: ...
    def progress(self) -> dict[str, Any] | None: ...
    def piece(self) -> bytes | None: ...
    def take(self) -> dict[str, Any]: ...

def download(
    url: str,
    to: str | None,
    options: dict[str, Any],
    done: Callable[[], object],
    readable: Callable[[], object] | None = None,
) -> Downloading: ...
def doctor(url: str | None, server: bool, cafile: str | None, verify: bool) -> str: ...
def leftover(path: str) -> tuple[int, int] | None: ...
def paths() -> str: ...
def version() -> str: ...
def parse_protocol(word: str) -> str: ...
def default_protocol() -> str: ...
def reasons() -> list[str]: ...
def explain(word: str) -> str: ...
def remedy(word: str) -> str | None: ...
def host_support() -> str | None: ...
def socket(v6: bool, protocol: str) -> tuple[int, str | None]: ...
def connect(
    addresses: list[tuple[Any, ...]],
    protocol: str,
    timeout: float | None = None,
    local: tuple[list[str], int] | None = None,
    interface: str | None = None,
) -> tuple[int, bool, str | None]: ...
def connect_async(
    addresses: list[tuple[Any, ...]],
    protocol: str,
    done: Callable[[], object],
    timeout: float | None = None,
    local: tuple[list[str], int] | None = None,
    interface: str | None = None,
) -> Connecting: ...
def listen(
    address: tuple[Any, ...],
    protocol: str,
    backlog: int | None = None,
    reuse_port: bool = False,
    dual_stack: bool = False,
) -> int: ...
def accepted(listener: int, connection: int) -> None: ...
def transport(descriptor: int) -> Transport: ...
def unseen(why_tcp: str) -> Transport: ...
def run_program(arguments: list[str]) -> int: ...
def after_fork_in_child() -> None: ...
def shutdown() -> None: ...
