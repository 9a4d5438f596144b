"""``mphttp.download``: what it takes, tells and raises, and what it leaves behind when it ends early."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bodies import BODY, OTHER, SHA256, serving

import mphttp


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving() as url:
        yield url


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


def test_without_ranges_it_starts_anew(site: str, tmp_path: pathlib.Path) -> None:
    done = mphttp.download(site + "/plain", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BODY
    assert (done.bytes, done.resumed, done.failures) == (len(BODY), 0, 1)


def test_versions_are_never_mixed(site: str, tmp_path: pathlib.Path) -> None:
    mphttp.download(site + "/changes", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == OTHER
    # What a file object has had can't be taken back.
    sink = io.BytesIO()
    with pytest.raises(mphttp.DownloadError, match="changed while it was downloaded"):
        mphttp.download(site + "/changes?again", sink)
    assert BODY.startswith(sink.getvalue())


def test_what_was_left_of_another_version_is_not_gone_on_with(site: str, tmp_path: pathlib.Path) -> None:
    url = site + "/changes?resumed"
    with pytest.raises(mphttp.DownloadError, match="cut short"):
        mphttp.download(url, tmp_path / "got", retry_for=0)
    assert mphttp.leftover(tmp_path / "got") == mphttp.Leftover(400_000, len(BODY))
    done = mphttp.download(url, tmp_path / "got", resume=True)
    assert done.resumed == 0 and (tmp_path / "got").read_bytes() == OTHER


def test_redirects_are_followed_and_paths_may_be_bytes(site: str, tmp_path: pathlib.Path) -> None:
    path = os.fsencode(tmp_path / "g\u00f6t")
    done = mphttp.download(site + "/moved", path, checksum=f"sha256={SHA256}")
    assert (done.url, done.verified) == (site + "/file", True)
    assert (tmp_path / "g\u00f6t").read_bytes() == BODY and mphttp.leftover(path) is None


class Raw(io.RawIOBase):
    """An unbuffered file object, which takes no more than so many bytes at a time; with 0, none."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.got = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        self.got += data[: self.most]
        return min(self.most, len(data)) or None


def test_unbuffered_file_objects_get_all_of_it(site: str) -> None:
    raw = Raw(7_000)
    mphttp.download(site + "/file", raw)
    assert raw.got == BODY
    with pytest.raises(BlockingIOError):
        mphttp.download(site + "/file", Raw(0))


def test_what_a_file_object_raises_ends_it(site: str) -> None:
    sink = io.BytesIO()
    sink.close()
    with pytest.raises(ValueError, match="closed file"):
        mphttp.download(site + "/file", sink)
    # The check comes when all has been read.
    sink = io.BytesIO()
    with pytest.raises(mphttp.ChecksumError):
        mphttp.download(site + "/file", sink, checksum="sha256=" + "0" * 64)
    assert sink.getvalue() == BODY


def test_progress_keeps_its_pace_with_a_file_object(site: str) -> None:
    pieces: list[int] = []
    told: list[mphttp.Progress] = []

    class Sink:
        def write(self, data: bytes) -> None:
            pieces.append(len(data))

    done = mphttp.download(site + "/slow", Sink(), progress=told.append)
    assert len(pieces) > 20 and told[-1].bytes == len(BODY)
    assert done.seconds / 0.3 < len(told) < done.seconds / 0.1 + 3


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
    with pytest.raises(ConnectionRefusedError, match="check that the server runs") as refused:
        mphttp.download("http://127.0.0.1:9/", tmp_path / "got")
    assert refused.value.attempts  # type: ignore[attr-defined]
    with pytest.raises(FileNotFoundError):
        mphttp.download(site + "/file", tmp_path / "no" / "got")
    for url, keywords in [
        ("ftp://localhost/", {}),
        (site, {"checksum": "md5=0"}),
        (site, {"paths": ["a/b"]}),
        (site, {"retry_for": -1.0}),
        (site, {"protocol": "sctp"}),
        (site, {"connections": 0}),
        (site, {"timeout": float("nan")}),
        (site, {"paths": []}),
        (site, {"headers": {"a b": "c"}}),
        (site, {"headers": {"Range": "bytes=0-1"}}),
    ]:
        with pytest.raises(ValueError):
            mphttp.download(url, tmp_path / "got", **keywords)  # type: ignore[arg-type]
    with pytest.raises(mphttp.DownloadTimeout) as limit:
        mphttp.download(site + "/slow", tmp_path / "got", timeout=0.2)
    assert isinstance(limit.value, TimeoutError)
    with pytest.raises(mphttp.NotMptcpError) as demanded:
        mphttp.download(site + "/file", tmp_path / "got", protocol="mptcp-only")
    assert demanded.value.reason is mphttp.Reason.PEER_OR_PATH
    with pytest.raises(FileNotFoundError) as missing:
        mphttp.download(site + "/file", tmp_path / "got", cafile=tmp_path / "none.pem")
    assert missing.value.filename == str(tmp_path / "none.pem")
    assert not (tmp_path / "got").exists()
    for error in (status.value, limit.value):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_giving_up_tells_of_the_latest_failure(site: str, tmp_path: pathlib.Path) -> None:
    begun = time.monotonic()
    with pytest.raises(mphttp.DownloadTimeout, match="nothing has come for 1 s") as gave_up:
        mphttp.download(site + "/stalls", tmp_path / "got", retry_for=1.0, read_timeout=0.3)
    assert time.monotonic() - begun < 10
    assert isinstance(gave_up.value.__cause__, OSError)
    assert mphttp.leftover(tmp_path / "got") is not None


def test_two_downloads_to_one_file_are_refused(site: str, tmp_path: pathlib.Path) -> None:
    def another(progress: mphttp.Progress) -> None:
        if progress.bytes < len(BODY):
            with pytest.raises(OSError, match="another download is writing"):
                mphttp.download(site + "/file", tmp_path / "got")

    mphttp.download(site + "/slow", tmp_path / "got", progress=another)
    assert (tmp_path / "got").read_bytes() == BODY


def test_tls(tls: Any, tls_site: Any, tmp_path: pathlib.Path) -> None:
    url = tls_site.url + "/12345"
    assert mphttp.download(url, tmp_path / "got", cafile=tls.authority).bytes == 12345
    assert mphttp.download(url, tmp_path / "got", verify=False).transport.is_mptcp
    with pytest.raises(mphttp.DownloadError, match="TLS with localhost"):
        mphttp.download(url, tmp_path / "got")
    with pytest.raises(ValueError):
        mphttp.download(url, tmp_path / "got", cafile=__file__)


def test_the_proxy_is_the_environments(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.1:9:"):
        mphttp.download(site + "/file", io.BytesIO())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert mphttp.download(site + "/file", io.BytesIO()).bytes == len(BODY)


PROGRAM = """
import signal, sys, mphttp
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
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


def test_a_signal_ends_it_at_once_though_nothing_comes(site: str, tmp_path: pathlib.Path) -> None:
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for to in (tmp_path / "got", io.BytesIO()):
            timer = threading.Timer(0.5, send)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                mphttp.download(site + "/stalls", to)
            assert time.monotonic() - sent[-1] < 0.5
            timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert mphttp.leftover(tmp_path / "got") == mphttp.Leftover(400_000, len(BODY))


ENDING = """
import sys, threading, time, mphttp

told = threading.Event()
def run(to):
    mphttp.download(sys.argv[1], to, progress=lambda progress: told.set())

class Sink:
    def write(self, data): pass

threading.Thread(target=run, args=(sys.argv[2],), daemon=True).start()
assert told.wait(10)
told.clear()
threading.Thread(target=run, args=(Sink(),), daemon=True).start()
assert told.wait(10)
"""


def test_the_interpreter_ends_while_it_downloads(site: str, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-c", ENDING, site + "/slow", str(tmp_path / "got")]
    for _ in range(3):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
        assert mphttp.leftover(tmp_path / "got") is not None


def test_a_forked_child_can_download(site: str) -> None:
    # Threads of Rust's are letting go of the parent's one when it forks.
    for _ in range(5):
        assert mphttp.download(site + "/file", io.BytesIO()).bytes == len(BODY)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            code = 1
            with contextlib.suppress(BaseException):
                code = 0 if mphttp.download(site + "/cut", io.BytesIO()).bytes == len(BODY) else 1
            os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
