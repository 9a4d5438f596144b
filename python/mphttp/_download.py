"""Downloads over every link: what they take and what they tell. The work itself is Rust's, on a thread of its own."""

from __future__ import annotations

import dataclasses
import io
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, TypeAlias

from . import _mphttp
from ._mphttp import Transport
from ._words import Protocol, ProtocolLike

#: How often progress is told, in seconds.
EVERY = 0.1

#: How long a cancelled download may take to put on disk what can be gone on with, in seconds.
LAST_WRITES = 6.0

PathLike: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


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
    #: How many requests were sent.
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
    to: PathLike | BinaryIO,
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


def tell(downloading: _mphttp.Downloading, progress: Callable[[Progress], object] | None) -> None:
    """Tells how far it is, if there is anything to tell and somebody to tell it to."""
    if progress is not None and (told := downloading.progress()) is not None:
        progress(Progress(**told))


def download(
    url: str,
    to: PathLike | BinaryIO,
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

    :param paths: ``"auto"``, ``"off"``, or names of interfaces. Default: ``"auto"`` with the protocol ``mptcp``.
    :param connections: how many there may be at a time.
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
    done = threading.Event()
    downloading = _mphttp.download(url, path, chosen, done.set)
    try:
        while not done.is_set():
            if path is None:
                write(to, downloading.piece(EVERY))
            else:
                done.wait(EVERY)
            tell(downloading, progress)
        while path is None and (piece := downloading.piece(0.0)) is not None:
            write(to, piece)
    except BaseException:
        downloading.cancel()
        # What can be gone on with is on disk when this is over.
        done.wait(LAST_WRITES)
        raise
    taken = downloading.take()
    tell(downloading, progress)
    return Downloaded(**taken)


def write(to: Any, piece: bytes | None) -> None:
    """Writes all of a piece: unbuffered files may take less of it at a time, and say so."""
    rest = memoryview(piece or b"")
    while rest:
        taken = to.write(rest)
        if taken is None and isinstance(to, io.RawIOBase):
            raise BlockingIOError("the file object would have to wait: give one that does")
        # Whatever else a writer gives back, it has taken everything.
        rest = rest[taken:] if isinstance(taken, int) and 0 <= taken < len(rest) else rest[:0]
