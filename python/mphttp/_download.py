"""Downloads over every link: what they take and what they tell. The work itself is Rust's, on threads of its own."""

from __future__ import annotations

import dataclasses
import inspect
import io
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias
from typing import Protocol as _Protocol

from . import _mphttp
from ._mphttp import Transport
from ._words import Protocol, ProtocolLike

#: How often progress is told, in seconds.
EVERY = 0.1

#: How long a cancelled download may take to put on disk what can be gone on with, in seconds.
LAST_WRITES = 6.0

PathLike: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Writable(_Protocol):
    """A binary file object."""

    def write(self, data: bytes, /) -> object: ...


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a download is."""

    #: Bytes that are there, those of an earlier download included.
    bytes: int
    #: Bytes of the whole, if that is known.
    total: int | None
    #: ``"single"``, ``"mptcp"`` or ``"striped"``: by what means they come now.
    strategy: str
    #: What each link has brought so far, by interface.
    links: dict[str, int]
    #: For how many seconds nothing has come, if that is longer than usual.
    stalled: float | None
    #: How many seconds the server still asks to wait.
    waiting: float | None


@dataclasses.dataclass(frozen=True)
class Downloaded:
    """A finished download."""

    #: The URL that answered, after redirects.
    url: str
    #: The status of the first answer.
    status: int
    #: The headers of the first answer.
    headers: list[tuple[str, str]]
    #: Bytes of the body.
    bytes: int
    #: Those of them that an earlier download had left.
    resumed: int
    #: ``"single"``, ``"mptcp"`` or ``"striped"``: by what means it came in the end.
    strategy: str
    #: What each link has brought, by interface.
    links: dict[str, int]
    #: How many requests were answered with the body or a part of it.
    requests: int
    #: Connections that failed, and were made up for.
    failures: int
    #: From the start to the end.
    seconds: float
    #: How long resolving and connecting took for the first connection.
    connect_seconds: float
    #: The longest time without a byte, from the first answer on.
    max_gap_seconds: float
    #: Whether a checksum, the caller's or the server's, was checked.
    verified: bool
    #: What the first connection spoke.
    transport: Transport


@dataclasses.dataclass(frozen=True)
class Leftover:
    """An unfinished download that a later one can go on with."""

    #: Bytes that are there.
    received: int
    #: Bytes of the whole.
    total: int


def leftover(path: PathLike) -> Leftover | None:
    """What an earlier download to ``path`` has left for ``resume=True``, if anything."""
    left = _mphttp.leftover(os.fsdecode(path))
    return None if left is None else Leftover(*left)


def options(
    to: PathLike | Writable,
    protocol: ProtocolLike,
    paths: str | Iterable[str] | None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
    cafile: PathLike | None,
    **plain: Any,
) -> tuple[str | None, dict[str, Any]]:
    """The path, or ``None`` for a file object, and the options as Rust takes them."""
    path: str | None
    if isinstance(to, (str, bytes, os.PathLike)):
        path = os.fsdecode(to)
    elif callable(getattr(to, "write", None)):
        path = None
        if plain["resume"]:
            raise ValueError("resume needs the path of a file: a file object can't tell what was left")
    else:
        raise TypeError(f"`to` must be a path or a binary file object, not {type(to).__name__}")
    if plain["connections"] < 1:
        raise ValueError(f"connections must be at least 1, not {plain['connections']}")
    if paths is not None and not isinstance(paths, str):
        paths = ",".join(paths)
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return path, {
        "protocol": Protocol.of(protocol).value,
        "paths": paths,
        "headers": [(str(name), str(value)) for name, value in pairs],
        "cafile": None if cafile is None else os.fsdecode(cafile),
        **plain,
    }


class Teller:
    """Tells how far a download is, to whoever wants to know, and not too often."""

    def __init__(
        self, downloading: _mphttp.Downloading, progress: Callable[[Progress], object] | None
    ) -> None:
        self._downloading = downloading
        self._progress = progress
        self._due = 0.0

    def now(self) -> None:
        """Tells, if there is anything to tell yet."""
        if self._progress is not None and (told := self._downloading.progress()) is not None:
            self._due = time.monotonic() + EVERY
            self._progress(Progress(**told))

    def when_due(self) -> None:
        """Tells, if it is time again."""
        if time.monotonic() >= self._due:
            self.now()


def write(to: Any, piece: bytes) -> Any:
    """Writes all of a piece; gives what the last ``write`` gave."""
    gave = to.write(piece)
    if isinstance(to, io.RawIOBase):
        # Unbuffered ones may take less than they are given. What others return is no evidence.
        rest = memoryview(piece)
        while gave is None or gave < len(rest):
            if not gave:
                raise BlockingIOError("the file object takes nothing now: it must be a blocking one")
            rest = rest[gave:]
            gave = to.write(rest)
    return gave


def download(
    url: str,
    to: PathLike | Writable,
    *,
    protocol: ProtocolLike = None,
    paths: str | Iterable[str] | None = None,
    connections: int = 6,
    retry_for: float = 120.0,
    resume: bool = False,
    checksum: str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    timeout: float | None = None,
    connect_timeout: float | None = None,
    read_timeout: float | None = 60.0,
    cafile: PathLike | None = None,
    verify: bool = True,
    progress: Callable[[Progress], object] | None = None,
) -> Downloaded:
    """Downloads a body to a file, or in order to a binary file object, over every link and through the loss of any.

    The file appears under its name when it is whole and right. What ends a download early (Ctrl-C, an exception of
    ``progress``) leaves ``NAME.mphttp-part`` beside it, where that can be gone on with.

    :param to: a path, or a binary file object, which gets the bytes in order.
    :param paths: ``"auto"``, ``"off"``, or names of interfaces. Default: ``"auto"`` with the protocol ``mptcp``.
    :param connections: how many there may be at a time, at least 1.
    :param retry_for: for how many seconds nothing may come before it is given up; 0: the first failure is final.
    :param resume: go on with what an earlier download to the same file has left; see :func:`leftover`.
    :param checksum: ``"sha256=…"`` or ``"sha512=…"``, in hexadecimal digits.
    :param timeout: seconds for the download as a whole.
    :param connect_timeout: seconds for a connection to be ready.
    :param read_timeout: seconds of silence that a connection may have.
    :param cafile: certificates (PEM) to trust as well as the system's.
    :param verify: whether to check the server's certificate.
    :param progress: is called ten times a second and at the end; what it raises ends the download.
    :raises DownloadError: and its subclasses; ``OSError`` as connecting and files have it; ``ValueError``.
    """
    path, chosen = options(
        to,
        protocol,
        paths,
        headers,
        cafile,
        connections=connections,
        retry_for=retry_for,
        resume=resume,
        checksum=checksum,
        timeout=timeout,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        verify=verify,
    )
    over, wake = threading.Event(), threading.Event()

    def done() -> None:
        over.set()
        wake.set()

    downloading = _mphttp.download(url, path, chosen, done, None if path is not None else wake.set)
    teller = Teller(downloading, progress)
    try:
        running = True
        while running:
            wake.wait(EVERY)
            wake.clear()
            # Asked before the last pieces are taken.
            running = not over.is_set()
            while (piece := downloading.piece()) is not None:
                if inspect.isawaitable(write(to, piece)):
                    raise TypeError(
                        "the file object is an asynchronous one: mphttp.asyncio.download takes it"
                    )
                teller.when_due()
            teller.when_due()
    except BaseException:
        downloading.cancel()
        # What can be gone on with is on disk when this is over.
        over.wait(LAST_WRITES)
        raise
    taken = downloading.take()
    teller.now()
    return Downloaded(**taken)
