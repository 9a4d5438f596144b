"""``mphttp.doctor``: the same as ``mphttp doctor --json``, as data."""

from __future__ import annotations

import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from bodies import serving

import mphttp


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving() as url:
        yield url


def test_the_host_alone() -> None:
    seen = mphttp.doctor()
    assert seen.verdict in ("well", "findings", "no-mptcp")
    assert seen.works == (seen.verdict != "no-mptcp")
    assert seen.transfer is None and seen.probes == ()
    for finding in seen.findings:
        assert finding.severity in ("note", "warning", "broken")
        assert finding.certainty in ("possible", "likely", "proven")
        assert isinstance(finding.commands, tuple)


def test_a_server_without_mptcp_is_said_to_be_one(site: str) -> None:
    seen = mphttp.doctor(site + "/file")
    assert seen.verdict == "no-mptcp" and not seen.works
    assert "peer-without-mptcp" in [finding.code for finding in seen.findings]
    assert seen.transfer is not None
    assert seen.transfer.outcome == "stripped" and seen.transfer.bytes > 0
    assert [path.interface for path in seen.transfer.paths] == ["lo"]


def test_a_server_with_mptcp_is_too(tmp_path: pathlib.Path) -> None:
    from mphttp.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(bytes(100_000))

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet, mptcp=True) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            seen = mphttp.doctor(f"http://127.0.0.1:{server.server_address[1]}/")
        finally:
            server.shutdown()
    assert seen.transfer is not None and seen.transfer.outcome == "mptcp"
    assert seen.transfer.paths[0].bytes_received > 0


def test_it_is_what_the_program_says() -> None:
    program = [
        sys.executable,
        "-c",
        "import sys; from mphttp._mphttp import run_program; sys.exit(run_program(sys.argv))",
    ]
    for arguments, server in (([], False), (["--server"], True)):
        done = subprocess.run(
            [*program, "doctor", "--json", *arguments], stdout=subprocess.PIPE, timeout=60, check=False
        )
        told = json.loads(done.stdout)
        assert mphttp.doctor(server=server).as_dict() == told
        assert done.returncode == {"well": 0, "findings": 121, "no-mptcp": 120}[told["verdict"]]


def test_errors_are_pythons_own(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="ftp"):
        mphttp.doctor("ftp://example.com/")
    with pytest.raises(FileNotFoundError):
        mphttp.doctor(cafile=tmp_path / "none")
    # Nobody answers: that is a finding.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen = mphttp.doctor(f"http://127.0.0.1:{port}/")
    assert seen.findings[0].code == "unreachable"


def test_a_signal_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = "import mphttp, sys; print(1, flush=True); mphttp.doctor(sys.argv[1])"
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        child = subprocess.Popen(
            [sys.executable, "-c", code, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        # It has connected, and waits for an answer.
        connection, _ = silent.accept()
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, err = child.communicate(timeout=60)
        connection.close()
        assert b"KeyboardInterrupt" in err
        # Much less than the patience of the doctor itself.
        assert time.monotonic() - start < 3.5
