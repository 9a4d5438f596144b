"""What the tests share: servers of this package on loopback, in a network namespace that the lab's harness made.

The harness (``cargo xtask test --only python``) sets MPHTTP_LAB: some tests switch MPTCP off, which outside of a
namespace would be the machine's own.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import mphttp
from mphttp import socketserver
from mphttp.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if "MPHTTP_LAB" not in os.environ:
    raise pytest.UsageError(
        "run these tests by `cargo xtask test --only python`: they need a network of their own"
    )

#: Bodies of these lengths are at /N.
BIG = 3_000_000
_ENABLED = pathlib.Path("/proc/sys/net/mptcp/enabled")


class Handler(BaseHTTPRequestHandler):
    """Answers /transport with what the server sees of the connection, and /N with N bytes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/transport":
            body = json.dumps(socketserver.request_transport().as_dict()).encode()
        else:
            body = b"x" * int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class Site:
    """A running server."""

    def __init__(self, server: Any, scheme: str = "http") -> None:
        self.server = server
        self.host, self.port = server.server_address[:2]
        self.url = f"{scheme}://localhost:{self.port}"


@contextlib.contextmanager
def serving(server: Any, scheme: str = "http") -> Iterator[Site]:
    """Serves on a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Site(server, scheme)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session", autouse=True)
def _lab() -> None:
    assert mphttp.host_support() is None, "these tests need MPTCP"
    os.environ.pop("MPHTTP_PROTOCOL", None)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with MPTCP."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler, mptcp=True)) as site:
        yield site


@pytest.fixture
def tcp_site() -> Iterator[Site]:
    """A server without."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler, mptcp=False)) as site:
        yield site


Tls = collections.namedtuple("Tls", "server client authority")


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Contexts of a server with a certificate for localhost and of a client that trusts it, and the authority's file."""
    import trustme

    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    file = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(file)
    return Tls(server, client, file)


@pytest.fixture
def tls_site(tls: Tls) -> Iterator[Site]:
    """A server with MPTCP and TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, mptcp=True)
    server.socket = tls.server.wrap_socket(server.socket, server_side=True)
    with serving(server, "https") as site:
        yield site


@pytest.fixture
def mptcp_off() -> Iterator[None]:
    """MPTCP switched off on this host while the test runs."""
    before = _ENABLED.read_text()
    _ENABLED.write_text("0")
    try:
        yield
    finally:
        _ENABLED.write_text(before)


def counters() -> dict[str, int]:
    """The MPTCP counters of this network namespace, named as nstat(8) names them."""
    lines = pathlib.Path("/proc/thread-self/net/netstat").read_text().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("MPTcpExt:"))
    return {f"MPTcpExt{name}": int(value) for name, value in zip(names, values, strict=False)}


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address on loopback that doesn't answer: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address
