"""``mphttp.download`` and its asyncio twin, from servers on loopback that keep to the rules, and from some that don't."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import io
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import mphttp
from mphttp import asyncio as mptcp

BODY = bytes(n % 251 ^ n // 65536 % 256 for n in range(1_500_000))
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``BODY`` with ranges. ``/cut`` ends each connection after 400,000 bytes, ``/slow`` takes its time."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/none":
            self.send_error(404)
            return
        first = 0
        wanted = self.headers.get("Range")
        if wanted and self.headers.get("If-Range") == '"1"':
            low, high = wanted.removeprefix("bytes=").split("-")
            first, last = int(low), int(high or len(BODY) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(BODY)}")
        else:
            last = len(BODY) - 1
            self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("X-Header", self.headers.get("X-Header", ""))
        self.end_headers()
        content = BODY[first : last + 1]
        if self.path == "/cut" and len(content) > 400_000:
            self.wfile.write(content[:400_000])
            self.close_connection = True
            return
        for start in range(0, len(content), 50_000):
            self.wfile.write(content[start : start + 50_000])
            if self.path == "/slow":
                time.sleep(0.05)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_body_goes_to_a_file(site: str, tmp_path: pathlib.Path) -> None:
    done = mphttp.download(site + "/file", tmp_path / "got", headers={"X-Header": "a"})
    assert (tmp_path / "got").read_bytes() == BODY
    assert (done.status, done.bytes, done.resumed, done.failures) == (200, len(BODY), 0, 0)
    assert (done.strategy, done.links) == ("single", {"lo": len(BODY)})
    assert done.transport.protocol == "tcp" and done.url == site + "/file"
    assert ("x-header", "a") in done.headers
    assert os.listdir(tmp_path) == ["got"]


def test_what_is_cut_short_is_gone_on_with(site: str, tmp_path: pathlib.Path) -> None:
    done = mphttp.download(site + "/cut", str(tmp_path / "got"), checksum=f"sha256={SHA256}")
    assert (tmp_path / "got").read_bytes() == BODY
    assert done.failures == 3 and done.verified


def test_a_file_object_gets_it_in_order(site: str) -> None:
    sink = io.BytesIO()
    done = mphttp.download(site + "/cut", sink)
    assert sink.getvalue() == BODY and done.bytes == len(BODY)
    with pytest.raises(ValueError, match="resume needs the path"):
        mphttp.download(site + "/cut", sink, resume=True)
    with pytest.raises(TypeError, match="binary file object"):
        mphttp.download(site + "/cut", 7)  # type: ignore[arg-type]


def test_progress_is_told_and_may_end_it(site: str, tmp_path: pathlib.Path) -> None:
    told: list[mphttp.Progress] = []
    mphttp.download(site + "/slow", tmp_path / "got", progress=told.append)
    assert len(told) > 5 and (told[-1].bytes, told[-1].total) == (len(BODY), len(BODY))
    assert [progress.bytes for progress in told] == sorted(progress.bytes for progress in told)

    def enough(progress: mphttp.Progress) -> None:
        if progress.bytes > 200_000:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        mphttp.download(site + "/slow", tmp_path / "other", progress=enough)
    left = mphttp.leftover(tmp_path / "other")
    assert left is not None and left.total == len(BODY) and 200_000 < left.received < len(BODY)
    done = mphttp.download(site + "/slow", tmp_path / "other", resume=True)
    assert done.resumed == left.received and (tmp_path / "other").read_bytes() == BODY
    assert mphttp.leftover(tmp_path / "other") is None


def test_errors_are_pythons(site: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(mphttp.StatusError, match="404") as status:
        mphttp.download(site + "/none", tmp_path / "got")
    assert (status.value.status, status.value.url) == (404, site + "/none")
    with pytest.raises(mphttp.ChecksumError):
        mphttp.download(site + "/file", tmp_path / "got", checksum="sha256=" + "0" * 64)
    with pytest.raises(ConnectionRefusedError):
        mphttp.download("http://127.0.0.1:9/", tmp_path / "got")
    with pytest.raises(FileNotFoundError):
        mphttp.download(site + "/file", tmp_path / "no" / "got")
    for url, keywords in [
        ("ftp://localhost/", {}),
        (site, {"checksum": "md5=0"}),
        (site, {"paths": ["a/b"]}),
        (site, {"retry_for": -1.0}),
        (site, {"protocol": "sctp"}),
    ]:
        with pytest.raises(ValueError):
            mphttp.download(url, tmp_path / "got", **keywords)  # type: ignore[arg-type]
    with pytest.raises(mphttp.DownloadTimeout) as limit:
        mphttp.download(site + "/slow", tmp_path / "got", timeout=0.2)
    assert isinstance(limit.value, TimeoutError)
    assert not (tmp_path / "got").exists()


PROGRAM = """
import sys, mphttp
mphttp.download(sys.argv[1], sys.argv[2], progress=lambda progress: print(progress.bytes, flush=True))
"""


def test_ctrl_c_keeps_what_can_be_gone_on_with(site: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "got"
    command = [sys.executable, "-c", PROGRAM, site + "/slow", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 200_000:
            pass
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in stderr and process.returncode != 0
    left = mphttp.leftover(path)
    assert left is not None and left.received >= 200_000
    assert mphttp.download(site + "/slow", path, resume=True).resumed == left.received
    assert path.read_bytes() == BODY


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
