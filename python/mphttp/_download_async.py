"""Downloads for asyncio: the twin of :func:`mphttp.download`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from . import _mphttp
from ._download import EVERY, LAST_WRITES, Downloaded, PathLike, Progress, options, tell, write
from ._words import ProtocolLike


async def download(
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
    """Downloads a body as :func:`mphttp.download` does, without holding up the event loop.

    ``progress`` is called on the loop; a file object's ``write`` as well, so it should not wait for long. Cancelling ends
    the download, and keeps what can be gone on with.
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
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def over() -> None:
        # From another thread. A loop that was closed meanwhile has nobody waiting.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    downloading = _mphttp.download(url, path, chosen, over)
    try:
        while not done.is_set():
            if path is None and (piece := downloading.piece(0.0)) is not None:
                write(to, piece)
                # Others want their turn as well.
                await asyncio.sleep(0)
                continue
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(done.wait(), EVERY if path is not None else EVERY / 10)
            tell(downloading, progress)
        while path is None and (piece := downloading.piece(0.0)) is not None:
            write(to, piece)
    except BaseException:
        downloading.cancel()
        # What can be gone on with is on disk when this is over.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(done.wait(), LAST_WRITES)
        raise
    taken = downloading.take()
    tell(downloading, progress)
    return Downloaded(**taken)
