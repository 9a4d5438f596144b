"""``mphttp.socketserver`` and ``mphttp.server``."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import socketserver as stock
import subprocess
import sys
import time
from typing import Any

import pytest

import mphttp.server
import mphttp.socketserver
from conftest import Handler, serving
from mphttp import NotMptcpError, Reason
from mphttp.client import HTTPConnection, HTTPSConnection
from mphttp.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from mphttp.socket import create_connection
from mphttp.socketserver import MPTCPServerMixin, StreamRequestHandler, TCPServer, request_transport


class Says(StreamRequestHandler):
    """Says what is spoken, asked in three ways."""

    def handle(self) -> None:
        ways = {str(request_transport()), str(self.request_transport()), str(mphttp.transport(self.request))}
        self.wfile.write("\n".join(sorted(ways)).encode())


class StockSays(stock.StreamRequestHandler):
    """A handler that knows nothing of this but the function."""

    def handle(self) -> None:
        self.wfile.write(str(request_transport()).encode())


def ask(address: Any, protocol: str = "mptcp") -> str:
    with create_connection(address[:2], 10, protocol=protocol) as sock, sock.makefile("r") as file:
        return file.read()


SERVERS = [
    mphttp.socketserver.TCPServer,
    mphttp.socketserver.ThreadingTCPServer,
    mphttp.socketserver.ForkingTCPServer,
    mphttp.server.HTTPServer,
    mphttp.server.ThreadingHTTPServer,
]


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("handler", [Says, StockSays])
def test_every_server_takes_both(kind: Any, handler: Any) -> None:
    server = kind(("127.0.0.1", 0), handler)
    assert server.why_tcp is None
    with serving(server) as site:
        assert ask((site.host, site.port)) == "MPTCP over 1 path"
        assert ask((site.host, site.port), "tcp") == f"TCP: {Reason.CLIENT.explanation}"


@pytest.mark.parametrize("kind", SERVERS)
def test_every_server_has_an_off_switch(kind: Any) -> None:
    for off in (False, "tcp", mphttp.Protocol.TCP):
        with kind(("127.0.0.1", 0), Says, mptcp=off) as server:
            assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
            assert server.why_tcp is Reason.NOT_REQUESTED


def number(server: Any) -> int:
    return server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)


def test_keyword_attribute_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    class Off(TCPServer):
        mptcp = False

    with Off(("127.0.0.1", 0), Says) as server:
        assert number(server) == 6
    with Off(("127.0.0.1", 0), Says, mptcp=True) as server:
        assert number(server) == 262
    monkeypatch.setenv("MPHTTP_PROTOCOL", "tcp")
    with TCPServer(("127.0.0.1", 0), Says) as server:
        assert number(server) == 6
    with TCPServer(("127.0.0.1", 0), Says, mptcp=True) as server:
        assert number(server) == 262, "an explicit choice beats the environment"
    with pytest.raises(ValueError):
        TCPServer(("127.0.0.1", 0), Says, mptcp="sctp")


def test_only_mptcp_turns_tcp_clients_away() -> None:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Says, mptcp="mptcp-only")) as site:
        address = (site.host, site.port)
        for _ in range(3):
            assert ask(address, "tcp") == ""
            assert ask(address) == "MPTCP over 1 path", "one odd client doesn't take the server down"


def test_without_mptcp_on_the_host(mptcp_off: None) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Says)
    assert server.why_tcp is Reason.DISABLED
    with serving(server) as site:
        assert ask((site.host, site.port)) == f"TCP: {Reason.DISABLED.explanation}"
    with pytest.raises(NotMptcpError):
        TCPServer(("127.0.0.1", 0), Says, mptcp="mptcp-only")


def test_options_set_before_bind_survive() -> None:
    class Careful(TCPServer):
        allow_reuse_address = True
        request_queue_size = 77

        def server_bind(self) -> None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 300_000)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            super().server_bind()

    with Careful(("127.0.0.1", 0), Says) as server:
        assert number(server) == 262
        for option in (socket.SO_REUSEADDR, socket.SO_KEEPALIVE):
            assert server.socket.getsockopt(socket.SOL_SOCKET, option) != 0
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 600_000


def test_servers_that_bind_themselves_work() -> None:
    class Own(TCPServer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(("127.0.0.1", 0), Says, False, **kwargs)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", 0))
            self.server_address = self.socket.getsockname()
            self.server_activate()

    with serving(Own(mptcp=True)) as site:
        assert ask((site.host, site.port)) == "MPTCP over 1 path"

    class Handed(TCPServer):
        """Takes a socket from elsewhere: it stays what it is."""

        def __init__(self, sock: socket.socket) -> None:
            super().__init__(sock.getsockname(), Says, bind_and_activate=False)
            self.socket.close()
            self.socket = sock
            self.server_activate()

    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    with serving(Handed(sock)) as site:
        assert ask((site.host, site.port)).startswith("TCP: ")


def test_a_signature_of_its_own() -> None:
    class Odd(mphttp.server.ThreadingHTTPServer):
        def __init__(self, directory: str, *, port: int = 0) -> None:
            super().__init__(("127.0.0.1", port), Says)
            self.directory = directory

    with serving(Odd("/tmp")) as site:
        assert ask((site.host, site.port)) == "MPTCP over 1 path"


def test_the_mixin_makes_any_server_one() -> None:
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

    class Server(MPTCPServerMixin, WSGIServer):
        pass

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [str(request_transport()).encode()]

    server = Server(("127.0.0.1", 0), Quiet)
    server.set_app(app)
    with serving(server) as site:
        connection = HTTPConnection(site.host, site.port)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"MPTCP over 1 path"
        connection.close()


def test_unix_servers_with_the_mixin_are_what_they_were(tmp_path: Any) -> None:
    class Server(MPTCPServerMixin, stock.UnixStreamServer):
        pass

    class Echo(stock.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.readline())

    path = str(tmp_path / "socket")
    server = Server(path, Echo, mptcp=True)
    import threading

    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(b"hello\n")
        assert sock.recv(9) == b"hello\n"
    thread.join()
    server.server_close()


def test_a_server_that_wraps_its_listener_in_tls(tls: Any) -> None:
    class Secure(http.server.HTTPServer):
        """In the shape of Python 3.14's HTTPSServer."""

        def __init__(
            self, address: Any, handler: Any, bind_and_activate: bool = True, *, certfile: Any
        ) -> None:
            self.context = certfile
            super().__init__(address, handler, bind_and_activate)

        def server_activate(self) -> None:
            super().server_activate()
            self.socket = self.context.wrap_socket(self.socket, server_side=True)

    class Server(mphttp.server.HTTPServer, Secure):
        pass

    with serving(Server(("127.0.0.1", 0), Handler, certfile=tls.server, mptcp=True)) as site:
        connection = HTTPSConnection("localhost", site.port, context=tls.client)
        connection.request("GET", "/transport")
        assert json.load(connection.getresponse())["protocol"] == "mptcp"
        connection.close()


def test_outside_of_a_handler_there_is_nothing_to_ask() -> None:
    with pytest.raises(RuntimeError, match="no request"):
        request_transport()


def test_files_are_served(tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"content")

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: Any) -> None:
            pass

    with serving(HTTPServer(("127.0.0.1", 0), Quiet)) as site:
        connection = HTTPConnection(site.host, site.port)
        connection.request("GET", "/file")
        response = connection.getresponse()
        assert response.read() == b"content" and response.transport.is_mptcp
        connection.close()


def test_everything_of_the_modules_is_there() -> None:
    for ours, theirs in ((mphttp.server, http.server), (mphttp.socketserver, stock)):
        for name in theirs.__all__:
            assert hasattr(ours, name), name
            mine = getattr(ours, name)
            if isinstance(mine, type) and mine is not getattr(theirs, name):
                bases = [base.__name__ for base in mine.__mro__]
                assert "RequestTransport" in bases or "MPTCPServerMixin" in bases, name
    if sys.version_info >= (3, 14):
        assert issubclass(mphttp.server.HTTPSServer, MPTCPServerMixin)


class Program:
    """``python -m mphttp.server`` in a process of its own."""

    def __init__(self, *arguments: str, cwd: Any = None, env: Any = None) -> None:
        command = [sys.executable, "-u", "-m", "mphttp.server", *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env={**os.environ, **(env or {})}
        )

    def __enter__(self) -> Program:
        self.told = self.process.stderr.readline()
        self.serving = self.process.stdout.readline()
        found = re.search(r"port (\d+)", self.serving)
        assert found, (self.told, self.serving, self.process.stderr.read() if self.process.poll() else "")
        self.port = int(found[1])
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.end()

    def end(self) -> None:
        self.out, self.err = self.process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("option", "spoken", "told"),
    [
        (None, "mptcp", "MPTCP is on; TCP clients are served as well."),
        ("--mptcp", "mptcp", "MPTCP is on; TCP clients are served as well."),
        ("--no-mptcp", "tcp", "MPTCP is off: plain TCP was asked for"),
        ("--mptcp-only", "mptcp", "MPTCP is on; TCP clients are turned away."),
    ],
)
def test_the_program(option: str | None, spoken: str, told: str, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"content")
    options = [] if option is None else [option]
    with Program("-b", "127.0.0.1", "-d", str(tmp_path), *options, "0") as program:
        assert program.told.startswith(told)
        connection = HTTPConnection("127.0.0.1", program.port)
        connection.request("GET", "/file")
        response = connection.getresponse()
        assert response.read() == b"content" and response.transport.protocol == spoken
        connection.close()
    assert program.process.returncode == 0
    assert "Keyboard interrupt received, exiting." in program.out
    assert '"GET /file HTTP/1.1" 200' in program.err


def test_the_program_has_every_option_of_the_standard_one(tmp_path: Any) -> None:
    def help(module: str) -> set[str]:
        text = subprocess.check_output([sys.executable, "-m", module, "--help"], text=True)
        return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text.replace("python -m", "")))

    ours, theirs = help("mphttp.server"), help("http.server")
    assert ours - theirs == {"--mptcp", "--no-mptcp", "--mptcp-only"} and theirs <= ours
    assert "--directory" in theirs
    if sys.version_info >= (3, 11):
        with Program("-p", "HTTP/1.1", "-b", "127.0.0.1", "0", cwd=tmp_path) as program:
            connection = HTTPConnection("127.0.0.1", program.port)
            connection.request("GET", "/")
            assert connection.getresponse().version == 11
            connection.close()


def test_the_program_without_an_address_serves_as_the_standard_one_does(tmp_path: Any) -> None:
    infos = socket.getaddrinfo(None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    hosts = ("127.0.0.1", "::1") if infos[0][0] == socket.AF_INET6 else ("127.0.0.1",)
    with Program("0", cwd=tmp_path) as program:
        for host in hosts:
            connection = HTTPConnection(host, program.port)
            connection.request("GET", "/")
            response = connection.getresponse()
            assert response.status == 200 and response.transport.is_mptcp
            connection.close()


def test_the_program_heeds_the_environment_and_says_what_is_wrong(mptcp_off: None, tmp_path: Any) -> None:
    with Program("-b", "127.0.0.1", "0", cwd=tmp_path, env={"MPHTTP_PROTOCOL": "tcp"}) as program:
        assert program.told.startswith("MPTCP is off: plain TCP was asked for")
    with Program("-b", "127.0.0.1", "0", cwd=tmp_path) as program:
        assert "net.mptcp.enabled" in program.told
    for arguments, env in ((["--mptcp-only", "0"], {}), (["0"], {"MPHTTP_PROTOCOL": "sctp"})):
        program = Program(*arguments, cwd=tmp_path, env=env)
        program.end()
        assert program.process.returncode == 1 and program.err.startswith("error: "), program.err
        assert "Traceback" not in program.err


def test_a_slow_client_does_not_stop_the_others() -> None:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as site:
        with create_connection((site.host, site.port)) as slow:
            slow.sendall(b"GET /tran")
            begun = time.monotonic()
            connection = HTTPConnection(site.host, site.port, timeout=10)
            connection.request("GET", "/transport")
            assert json.load(connection.getresponse())["protocol"] == "mptcp"
            assert time.monotonic() - begun < 5
            connection.close()
