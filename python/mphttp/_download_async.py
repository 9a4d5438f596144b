"""Downloads for asyncio: the twin of :func:`mphttp.download`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping

from . import _mphttp
from ._download import EVERY, LAST_WRITES, Downloaded, PathLike, Progress, Teller, Writable, options, write
from ._words import ProtocolLike


async def download(
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
    """Downloads a body as :func:`mphttp.download` does, without holding up the event loop.

    ``progress`` is called on the loop; a file object's ``write`` as well, so it should not wait for long, or give something
    to await. Cancelling ends the download, and keeps what can be gone on with.
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
    over, wake = asyncio.Event(), asyncio.Event()

    def ended() -> None:
        over.set()
        wake.set()

    def later(call: Callable[[], None]) -> None:
        # From other threads. A loop that was closed meanwhile has nobody waiting.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call)

    downloading = _mphttp.download(
        url, path, chosen, lambda: later(ended), None if path is not None else lambda: later(wake.set)
    )
    teller = Teller(downloading, progress)
    try:
        running = True
        while running:
            # No `wait_for`: up to Python 3.11 it may swallow a cancellation.
            timer = loop.call_later(EVERY, wake.set)
            try:
                await wake.wait()
            finally:
                timer.cancel()
            wake.clear()
            # Asked before the last pieces are taken.
            running = not over.is_set()
            while (piece := downloading.piece()) is not None:
                if inspect.isawaitable(gave := write(to, piece)):
                    await gave
                teller.when_due()
                # Others want their turn as well.
                await asyncio.sleep(0)
            teller.when_due()
    except GeneratorExit:
        # Without a loop to wait on: it ends with `downloading`.
        raise
    except BaseException:
        downloading.cancel()
        # What can be gone on with is on disk when this is over.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.wait(), LAST_WRITES)
        raise
    taken = downloading.take()
    teller.now()
    return Downloaded(**taken)
