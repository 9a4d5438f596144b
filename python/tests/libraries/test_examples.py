"""Every example in ``examples/python`` runs, and does what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import Site
from mphttp.client import HTTPConnection

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples" / "python"
#: Those that get a URL.
CLIENTS = [
    "any_program",
    "aiohttp_get",
    "http_client",
    "httpx_async",
    "httpx_get",
    "requests_get",
    "urllib3_get",
    "urllib_request",
]
#: Those that need nothing, and end by themselves.
ALONE = ["asyncio_streams", "websockets_both"]
#: Those that listen on a port, and whether they can say what the client uses.
SERVERS = {
    "http_server": True,
    "serve_aiohttp": True,
    "serve_flask": True,
    "serve_hypercorn": False,
    "serve_tornado": True,
    "serve_uvicorn": False,
    "serve_waitress": False,
}
#: Those that others use, and those that are run in another environment.
ELSEWHERE = ["gunicorn.conf", "wsgi_app", "niquests_get"]
#: Those that get a URL and a path.
DOWNLOADS = ["download"]


def test_none_is_forgotten() -> None:
    assert sorted([*CLIENTS, *ALONE, *SERVERS, *ELSEWHERE, *DOWNLOADS]) == sorted(
        path.stem for path in EXAMPLES.glob("*.py")
    )


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CLIENTS)
def test_clients(name: str, site: Site) -> None:
    lines = run(name, f"{site.url}/12345").splitlines()
    assert lines
    for line in lines:
        assert line.startswith("12345 bytes") and ("MPTCP over 1 path" in line or "mptcp in force" in line), (
            line
        )


@pytest.mark.parametrize("name", DOWNLOADS)
def test_downloads(name: str, site: Site, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "got"
    assert run(name, f"{site.url}/12345", str(path)) == "12345 bytes, MPTCP over 1 path\n"
    assert path.stat().st_size == 12345


@pytest.mark.parametrize("name", ALONE)
def test_alone(name: str) -> None:
    assert run(name) == "You are using MPTCP over 1 path.\n"


@contextlib.contextmanager
def started(command: list[str], port: int, **kwargs: Any) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, once it answers."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs
    ) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                assert process.poll() is None and time.monotonic() < deadline, process.stdout.read()
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def check(port: int, says: bool) -> None:
    for protocol, told in (("mptcp-only", "MPTCP over 1 path"), ("tcp", "the client asked for plain TCP")):
        connection = HTTPConnection("127.0.0.1", port, protocol=protocol, timeout=20)
        for _ in range(3):
            connection.request("GET", "/")
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200
            assert body == "Hello\n" if not says else told in body, body
            assert response.transport.protocol == protocol.removesuffix("-only")
        connection.close()


@pytest.mark.parametrize("name", SERVERS)
def test_servers(name: str) -> None:
    port = free_port()
    with started([sys.executable, str(EXAMPLES / f"{name}.py"), str(port)], port):
        check(port, SERVERS[name])


def test_gunicorn(tmp_path: pathlib.Path) -> None:
    # It keeps a control socket in the home.
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi_app:app"]
    with started(command, port, cwd=EXAMPLES, env={**os.environ, "PORT": str(port), "HOME": str(tmp_path)}):
        check(port, True)


def test_gunicorn_goes_on_after_a_reload(tmp_path: pathlib.Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi_app:app"]
    with started(
        command, port, cwd=EXAMPLES, env={**os.environ, "PORT": str(port), "HOME": str(tmp_path)}
    ) as process:
        check(port, True)
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert process.poll() is None
        check(port, True)


def test_small_writes_are_not_held_back_under_hypercorn() -> None:
    # Its sockets have the label 262, for which asyncio leaves Nagle's algorithm on.
    port = free_port()
    with started([sys.executable, str(EXAMPLES / "serve_hypercorn.py"), str(port)], port):
        connection = HTTPConnection("127.0.0.1", port, protocol="mptcp-only", timeout=20)
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            connection.request("GET", "/")
            connection.getresponse().read()
            times.append(time.perf_counter() - begun)
        connection.close()
        assert sorted(times)[10] < 0.03, times


def test_http2_through_httpx(tmp_path: pathlib.Path) -> None:
    import httpx

    from mphttp.httpx import AsyncHTTPTransport, HTTPTransport, transport

    (tmp_path / "file").write_bytes(b"over HTTP/2")
    port = free_port()
    program = os.path.join(os.path.dirname(sys.executable), "mphttp")
    command = [program, "serve", str(tmp_path), "--bind", "127.0.0.1", "--port", str(port), "--self-signed"]
    url = f"https://127.0.0.1:{port}/file"

    async def main() -> None:
        async with httpx.AsyncClient(transport=AsyncHTTPTransport(verify=False, http2=True)) as client:
            response = await client.get(url)
            assert (response.http_version, response.content) == ("HTTP/2", b"over HTTP/2")

    with started(command, port):
        with httpx.Client(transport=HTTPTransport(verify=False, http2=True)) as client:
            response = client.get(url)
            assert (response.http_version, response.content) == ("HTTP/2", b"over HTTP/2")
            seen = transport(response)
            assert seen is not None and seen.is_mptcp
        asyncio.run(main())


def test_what_can_not_is_still_not_able_to() -> None:
    """The page on granian says why it can't; once it takes a socket, the page is to be changed."""
    import inspect

    import granian

    parameters = {name.lower() for name in inspect.signature(granian.Granian).parameters}
    assert not parameters & {"sock", "socket", "sockets", "listener", "fd", "fds"}, parameters
