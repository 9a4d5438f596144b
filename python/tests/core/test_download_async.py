"""``mphttp.asyncio.download``, on asyncio's own loop and, where it is installed, on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bodies import BODY, serving

import mphttp
from mphttp import asyncio as mptcp


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Any:
    if request.param == "asyncio":
        return asyncio.run
    return pytest.importorskip("uvloop", reason="uvloop has no wheel for this Python").run


def test_the_twin_leaves_the_loop_free(site: str, tmp_path: pathlib.Path, run: Any) -> None:
    told: list[mphttp.Progress] = []

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        sink = io.BytesIO()
        done, other = await asyncio.gather(
            mptcp.download(site + "/slow", tmp_path / "got", progress=told.append),
            mptcp.download(site + "/cut", sink),
        )
        ticking.cancel()
        assert (done.bytes, other.failures, sink.getvalue() == BODY) == (len(BODY), 3, True)
        assert ticks > 20

    run(main())
    assert told[-1].bytes == len(BODY) and (tmp_path / "got").read_bytes() == BODY


def test_a_cancelled_twin_keeps_what_can_be_gone_on_with(site: str, tmp_path: pathlib.Path, run: Any) -> None:
    path = tmp_path / "got"

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mptcp.download(site + "/slow", path), 0.5)
        assert mphttp.leftover(path) is not None
        done = await mptcp.download(site + "/slow", path, resume=True)
        assert done.resumed > 0

    run(main())
    assert path.read_bytes() == BODY


def test_the_twin_awaits_what_a_file_object_gives(site: str, run: Any) -> None:
    got = bytearray()

    class Sink:
        async def write(self, data: bytes) -> None:
            await asyncio.sleep(0.001)
            got.extend(data)

    run(mptcp.download(site + "/cut", Sink()))
    assert got == BODY
    with pytest.raises(TypeError, match="asynchronous"), pytest.warns(RuntimeWarning, match="never awaited"):
        mphttp.download(site + "/cut", Sink())
        gc.collect()


def test_what_the_twins_progress_raises_ends_it(site: str, tmp_path: pathlib.Path, run: Any) -> None:
    def enough(progress: mphttp.Progress) -> None:
        if progress.bytes > 200_000:
            raise RuntimeError("enough")

    for to in (tmp_path / "got", io.BytesIO()):
        with pytest.raises(RuntimeError, match="enough"):
            run(mptcp.download(site + "/slow", to, progress=enough))
    assert mphttp.leftover(tmp_path / "got") is not None


def test_a_twin_whose_loop_is_gone_ends(site: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "got"
    download = mptcp.download(site + "/slow", path)

    async def begin() -> None:
        # As a task would, but without a loop that cancels it at the end.
        with contextlib.suppress(StopIteration):
            download.send(None)
        await asyncio.sleep(0.5)

    asyncio.run(begin())
    download.close()
    deadline = time.monotonic() + 10
    while mphttp.leftover(path) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # Whoever has the file's lock has ended.
    done = mphttp.download(site + "/slow", path, resume=True)
    assert 0 < done.resumed < len(BODY) and path.read_bytes() == BODY


def test_many_at_once(site: str, tmp_path: pathlib.Path, run: Any) -> None:
    async def main() -> None:
        sinks = [io.BytesIO() for _ in range(10)]
        files = [tmp_path / str(n) for n in range(10)]
        await asyncio.gather(*(mptcp.download(site + "/cut", to) for to in [*sinks, *files]))
        assert all(sink.getvalue() == BODY for sink in sinks)
        assert all(file.read_bytes() == BODY for file in files)

    run(main())
