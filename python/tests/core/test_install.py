"""``mphttp.install()`` and ``python -m mphttp``: programs that know nothing of this."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import mphttp
from conftest import Site, counters
from mphttp import Reason


@pytest.fixture
def installed() -> Iterator[None]:
    mphttp.install()
    try:
        yield
    finally:
        mphttp.uninstall()


def number(sock: Any) -> int:
    value: int = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
    return value


def test_stream_sockets_are_exchanged_and_no_others(installed: None) -> None:
    assert mphttp.installed() is mphttp.Protocol.MPTCP
    stream, inet6 = socket.SOCK_STREAM, socket.AF_INET6
    for arguments in [
        (),
        (socket.AF_INET,),
        (socket.AF_INET, stream),
        (inet6, stream, 0),
        (inet6, stream, 6),
    ]:
        with socket.socket(*arguments) as sock:
            assert number(sock) == 262 and type(sock) is socket.socket and sock.proto in (0, 6)
            assert not sock.get_inheritable() and sock.getblocking()
    with socket.socket(socket.AF_INET, stream | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
        assert number(sock) == 262 and not sock.getblocking() and sock.type == stream
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert number(sock) == socket.IPPROTO_UDP
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as sock:
        assert number(sock) == 262 and sock.proto == 262, "as demanded"
    one, two = socket.socketpair()
    with one, two:
        assert one.family == socket.AF_UNIX
    with socket.socket(socket.AF_UNIX) as sock:
        assert number(sock) == 0
    with socket.socket() as sock, socket.socket(fileno=os.dup(sock.fileno())) as twin:
        assert number(twin) == 262


def test_it_can_be_changed_and_undone() -> None:
    init, connect = socket.socket.__init__, socket.create_connection
    method = socket.socket.connect
    mphttp.install("mptcp")
    mphttp.install("tcp")
    assert mphttp.installed() == "tcp"
    with socket.socket() as sock:
        assert number(sock) == 6
    mphttp.uninstall()
    mphttp.uninstall()
    assert mphttp.installed() is None
    assert (socket.socket.__init__, socket.create_connection) == (init, connect)
    assert socket.socket.connect is method and "connect" not in vars(socket.socket)
    with socket.socket() as sock:
        assert number(sock) == 6
    with pytest.raises(ValueError):
        mphttp.install("sctp")
    assert mphttp.installed() is None and socket.socket.__init__ is init


def test_the_standard_library_knows_nothing_of_it(
    installed: None, site: Site, tls: Any, tls_site: Site
) -> None:
    connection = http.client.HTTPConnection(site.host, site.port)
    connection.request("GET", "/transport")
    assert json.load(connection.getresponse())["protocol"] == "mptcp"
    assert mphttp.transport(connection.sock).is_mptcp
    connection.close()
    with urllib.request.urlopen(f"{tls_site.url}/transport", context=tls.client) as response:
        assert json.load(response)["protocol"] == "mptcp"


def test_asyncio_knows_nothing_of_it(installed: None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(mphttp.transport(writer)).encode())
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert mphttp.transport(writer).is_mptcp
            nodelay = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert nodelay == 1
            assert await reader.read() == b"MPTCP over 1 path"
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_blocking_connect_keeps_the_socket_and_its_options(
    installed: None, site: Site, silent: Any
) -> None:
    with socket.socket() as sock:
        fd = sock.fileno()
        sock.settimeout(9)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
        sndbuf = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        sock.connect(("localhost", site.port))
        assert (sock.fileno(), sock.gettimeout(), number(sock)) == (fd, 9, 262)
        assert not sock.get_inheritable() and sock.getblocking()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 3)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 400_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= sndbuf
        assert mphttp.transport(sock).is_mptcp
        sock.sendall(b"GET /5 HTTP/1.0\r\n\r\n")
        assert sock.recv(999).startswith(b"HTTP/1.1 200")
    with socket.socket() as sock:
        # Bound: the socket itself must be used.
        sock.bind(("127.0.0.4", 0))
        local = sock.getsockname()
        sock.connect((site.host, site.port))
        assert sock.getsockname() == local and mphttp.transport(sock).is_mptcp
    with socket.socket() as sock:
        sock.setblocking(False)
        assert sock.connect_ex((site.host, site.port)) in (0, 115)
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.0.0.1", 9))
    with socket.socket() as sock, pytest.raises(socket.gaierror):
        sock.connect(("no-such-host.invalid", 9))
    with socket.socket() as sock:
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.connect(silent)


def test_addresses_are_judged_by_cpython_as_ever(installed: None, site: Site) -> None:
    for bad in (
        (site.host, str(site.port)),
        [site.host, site.port],
        (site.host, site.port, 0),
        "x",
        (site.host,),
        None,
    ):
        with socket.socket() as sock, pytest.raises(TypeError):
            sock.connect(bad)
    with socket.socket() as sock, pytest.raises(OverflowError):
        sock.connect((site.host, site.port + 65536))
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        for address in (("::1", port), ("::1", port, 0), ("::1", port, 0, 0), ("ip6-localhost", port)):
            with socket.socket(socket.AF_INET6) as sock, contextlib.suppress(socket.gaierror):
                sock.connect(address)
                assert mphttp.transport(sock).is_mptcp
    with socket.socket() as sock:
        # The empty host is this one.
        sock.connect(("", site.port))


def test_options_that_decide_how_to_connect_keep_the_socket_itself(installed: None, site: Site) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 3, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.connect((site.host, site.port))
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == struct.pack("ll", 3, 0)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 3, 0))
        sock.connect((site.host, site.port))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == struct.pack("ll", 3, 0)


def test_what_a_program_demands_itself_stays_as_it_is(site: Site) -> None:
    mphttp.install("tcp")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as sock:
            sock.connect((site.host, site.port))
            assert number(sock) == 262
        with mphttp_socket().stream_socket(protocol="mptcp") as sock:
            sock.connect((site.host, site.port))
            assert number(sock) == 262
    finally:
        mphttp.uninstall()


def test_names_imported_before_uninstalling_are_undone_too(installed: None, site: Site) -> None:
    from socket import create_connection

    mphttp.uninstall()
    with create_connection((site.host, site.port)) as sock:
        assert number(sock) == 6


def test_where_the_platform_has_no_such_option(
    installed: None, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "SO_PROTOCOL")
    with socket.socket() as sock:
        sock.connect((site.host, site.port))


def test_ssl_sockets_that_connect_themselves(installed: None, tls: Any, tls_site: Site) -> None:
    with tls.client.wrap_socket(socket.socket(), server_hostname="localhost") as secure:
        secure.connect(("127.0.0.1", tls_site.port))
        assert mphttp.transport(secure).is_mptcp
        secure.sendall(b"GET /5 HTTP/1.0\r\n\r\n")
        assert secure.recv(999).startswith(b"HTTP/1.1 200")


def test_it_falls_back(installed: None, mptcp_off: None, tcp_site: Site) -> None:
    with socket.socket() as sock:
        assert number(sock) == 6
        sock.connect((tcp_site.host, tcp_site.port))
        assert mphttp.transport(sock).reason is Reason.DISABLED


def test_with_tcp_no_mptcp_socket_is_made(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPHTTP_PROTOCOL", "tcp")
    mphttp.install()
    try:
        before = counters()["MPTcpExtMPCapableSYNTX"]
        with socket.create_connection((site.host, site.port)) as sock:
            assert number(sock) == 6
        assert counters()["MPTcpExtMPCapableSYNTX"] == before
    finally:
        mphttp.uninstall()


def test_a_listener_that_it_made_says_why_its_clients_are_tcp(installed: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with mphttp_socket().create_connection(listener.getsockname(), protocol="tcp") as here:
            with listener.accept()[0] as there:
                assert mphttp.transport(here).reason is Reason.NOT_REQUESTED
                assert not mphttp.transport(there).is_mptcp


def mphttp_socket() -> Any:
    import mphttp.socket

    return mphttp.socket


SCRIPT = """
import json, sys, urllib.request
url = sys.argv[1]
with urllib.request.urlopen(url) as response:
    print(json.dumps([__name__, sys.argv, json.load(response)["protocol"]]))
"""


def run(*arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mphttp", *arguments], capture_output=True, text=True, timeout=60, **kwargs
    )


def test_a_script_that_knows_nothing_of_it(site: Site, tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "neighbour.py").write_text("")
    url = f"{site.url}/transport"
    done = run(str(script), url, "--its-own", cwd="/")
    assert json.loads(done.stdout) == ["__main__", [str(script), url, "--its-own"], "mptcp"], done.stderr
    done = run("--protocol", "tcp", str(script), url)
    assert json.loads(done.stdout)[2] == "tcp"
    done = run("-m", "script", url, cwd=tmp_path)
    assert json.loads(done.stdout)[1:] == [[str(script), url], "mptcp"], done.stderr
    done = run("-mscript", url, cwd=tmp_path)
    assert json.loads(done.stdout)[2] == "mptcp", done.stderr
    done = run("-c", "import pickle\ndef f(): pass\nassert pickle.loads(pickle.dumps(f)) is f")
    assert done.returncode == 0, done.stderr
    done = run("-c", SCRIPT, url)
    assert json.loads(done.stdout) == ["__main__", ["-c", url], "mptcp"], done.stderr
    script.write_text("import neighbour, sys; sys.exit(7)")
    assert run(str(script)).returncode == 7


def test_wrong_usage_is_told(tmp_path: Any) -> None:
    for arguments in ((), ("--protocol", "sctp", "x.py"), ("-m",), ("--nonsense",)):
        done = run(*arguments)
        assert done.returncode == 2 and "usage: python -m mphttp" in done.stderr
    done = run("x.py", env={**os.environ, "MPHTTP_PROTOCOL": "sctp"})
    assert done.returncode == 2 and "MPHTTP_PROTOCOL" in done.stderr
    done = run("--help")
    assert done.returncode == 0 and "examples:" in done.stdout
    done = run(str(tmp_path / "no-such-file.py"))
    assert done.returncode != 0 and "no-such-file.py" in done.stderr


def program(*arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    path = os.path.join(os.path.dirname(sys.executable), "mphttp")
    return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=120, **kwargs)


def test_the_program_comes_with_all_its_verbs(site: Site, tmp_path: Any) -> None:
    done = program("--version")
    assert done.stdout == f"mphttp {mphttp.__version__}\n" and done.returncode == 0
    done = program("--help")
    for verb in ("get", "serve", "demo", "completions"):
        assert f"  {verb} " in done.stdout
    done = program("get", f"http://127.0.0.1:{site.port}/transport", "-o", str(tmp_path / "got"), "--json")
    said = json.loads(done.stdout)
    assert said["protocol"] == "mptcp" and json.loads((tmp_path / "got").read_text())["protocol"] == "mptcp"
    # One shape for both languages.
    with mphttp_socket().create_connection((site.host, site.port)) as sock:
        ours = mphttp.transport(sock).as_dict()
    assert ours.keys() <= said.keys() and ours["paths"][0].keys() == said["paths"][0].keys()
    assert program("get").returncode == 2
    assert program("get", "http://127.0.0.1:9/").returncode == 7


def test_the_program_ends_by_control_c(tmp_path: Any) -> None:
    import signal

    path = os.path.join(os.path.dirname(sys.executable), "mphttp")
    command = [path, "serve", str(tmp_path), "--bind", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "http://" in line:
                url = line.split()[0]
            if "Ctrl-C stops" in line:
                break
        # Once it answers, it also listens to signals.
        with urllib.request.urlopen(url) as response:
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        assert process.returncode == 0


def test_the_demo(tmp_path: Any) -> None:
    done = program("demo", "--quiet", "--json", "--size", "5", cwd=tmp_path)
    assert [run["whole"] for run in json.loads(done.stdout)["runs"]] == [True, True, True], done.stderr
