"""Sockets that are chosen, connected and judged in Rust, and are ordinary sockets of Python's afterwards."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any

import pytest

import mphttp
import mphttp.socket
from conftest import Site, counters
from mphttp import NotMptcpError, Reason, transport
from mphttp.socket import create_connection, create_server, stream_socket


@contextlib.contextmanager
def pair(server: Any = None, client: Any = None) -> Any:
    """A connection: its two ends."""
    with create_server(("127.0.0.1", 0), protocol=server) as listener:
        with create_connection(listener.getsockname(), protocol=client) as here:
            with listener.accept()[0] as there:
                yield here, there


def test_mptcp_at_both_ends_is_mptcp() -> None:
    before = counters()["MPTcpExtMPCapableSYNRX"]
    with pair() as (here, there):
        for end in (here, there):
            seen = transport(end)
            assert seen.is_mptcp and seen.protocol == "mptcp" and seen.reason is None
            assert str(seen) == "MPTCP over 1 path"
            assert [path.interface for path in seen.paths] == ["lo"]
        assert transport(here).paths[0].local == here.getsockname()
    assert counters()["MPTcpExtMPCapableSYNRX"] == before + 1


@pytest.mark.parametrize(
    ("server", "client", "at_server", "at_client"),
    [
        ("mptcp", "tcp", Reason.CLIENT, Reason.NOT_REQUESTED),
        ("tcp", "mptcp", Reason.NOT_REQUESTED, Reason.PEER_OR_PATH),
        ("tcp", "tcp", Reason.NOT_REQUESTED, Reason.NOT_REQUESTED),
    ],
)
def test_tcp_says_why(server: str, client: str, at_server: Reason, at_client: Reason) -> None:
    with pair(server, client) as (here, there):
        assert transport(here).reason is at_client
        assert transport(there).reason is at_server
        assert transport(here).explanation == at_client.explanation


def test_without_mptcp_on_the_host_it_is_tcp(mptcp_off: None) -> None:
    assert mphttp.host_support() is Reason.DISABLED
    with pair() as (here, there):
        assert transport(here).reason is transport(there).reason is Reason.DISABLED
    for attempt in (
        lambda: create_server(("", 0), protocol="mptcp-only"),
        lambda: stream_socket(protocol="mptcp-only"),
        lambda: create_connection(("127.0.0.1", 9), protocol="mptcp-only"),
    ):
        with pytest.raises(NotMptcpError, match=r"net\.mptcp\.enabled") as caught:
            attempt()
        assert caught.value.reason is Reason.DISABLED


def test_only_mptcp_refuses_a_tcp_server() -> None:
    with pair("mptcp", "mptcp-only") as (here, _):
        assert transport(here).is_mptcp
    with pytest.raises(NotMptcpError) as caught, pair("tcp", "mptcp-only"):
        pass
    assert caught.value.reason is Reason.PEER_OR_PATH


def test_they_are_ordinary_sockets() -> None:
    with pair() as (here, there):
        assert type(here) is socket.socket
        assert here.proto == socket.IPPROTO_TCP, "asyncio fails on the label 262"
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == 262
        assert (here.family, here.type, here.gettimeout()) == (socket.AF_INET, socket.SOCK_STREAM, None)
        assert not here.get_inheritable()
        # makefile
        with here.makefile("rwb") as file:
            file.write(b"hello\n")
            file.flush()
            with there.makefile("rb") as other:
                assert other.readline() == b"hello\n"
        # timeouts
        here.settimeout(0.05)
        with pytest.raises(TimeoutError):
            here.recv(1)
        here.setblocking(False)
        with pytest.raises(BlockingIOError):
            here.recv(1)
        # dup, detach
        twin = here.dup()
        fd = twin.detach()
        assert twin.fileno() == -1 and transport(fd).is_mptcp
        os.close(fd)
        there.sendall(b"still there")
        assert select.select([here], [], [], 5)[0] and here.recv(99) == b"still there"
        here.shutdown(socket.SHUT_WR)
        assert there.recv(1) == b""


def test_who_knows_a_socket_knows_it_in_every_guise() -> None:
    with pair("mptcp", "tcp") as (here, there):
        wrapped = socket.socket(fileno=os.dup(there.fileno()))
        with wrapped:
            assert transport(wrapped).reason is Reason.CLIENT
        assert transport(here.fileno()).reason is Reason.NOT_REQUESTED


def test_a_socket_from_elsewhere_makes_no_claims() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as here:
            assert transport(here).reason is Reason.TCP_SOCKET


def test_what_is_no_tcp_socket_is_an_error() -> None:
    one, two = socket.socketpair()
    with one, two, pytest.raises(OSError):
        transport(one)
    with pytest.raises(OSError) as caught:
        transport(one)
    assert caught.value.errno == 9
    with open(os.devnull) as file, pytest.raises(OSError):
        transport(file)
    for nonsense in (-1, -2, 2**31 - 1):
        with pytest.raises(OSError):
            transport(nonsense)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_either_family(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with create_server((host, 0), family=family) as listener:
        with create_connection(listener.getsockname()[:2]) as here:
            assert here.family == family and here.getpeername() == listener.getsockname()


def test_what_looks_like_an_address_is_resolved_as_ever() -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # Of two numbers, in hexadecimal digits, a port by its digits: the resolver takes them all.
        for host, number in (("127.1", port), ("0x7f.0.0.1", port), ("127.0.0.1", str(port))):
            with create_connection((host, number)) as here:
                assert here.getpeername() == ("127.0.0.1", port)
        for host in ("1.2.3.4.5", "1nvalid.invalid", "999.1.1.1"):
            with pytest.raises(socket.gaierror):
                create_connection((host, port))
        with pytest.raises(socket.gaierror):
            create_connection(("127.0.0.1", port), family=socket.AF_INET6)


def test_a_dual_stack_listener_takes_both_families() -> None:
    with create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        for host in ("127.0.0.1", "::1"):
            with create_connection((host, listener.getsockname()[1])) as here:
                with listener.accept()[0] as there:
                    assert transport(here).is_mptcp
                    assert transport(there).paths[0].remote == here.getsockname()[:2]
    with create_server(("::1", 0), family=socket.AF_INET6) as listener:
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_link_local_addresses_have_scopes() -> None:
    # Loopback has no such address; the interface's number is what must arrive.
    with pytest.raises(OSError) as caught:
        create_connection(("fe80::1%lo", 9), timeout=1)
    assert not isinstance(caught.value, TimeoutError) and caught.value.errno != 22, caught.value


def test_errors_are_those_of_the_standard_library() -> None:
    for connect in (socket.create_connection, create_connection):
        with pytest.raises(ConnectionRefusedError) as caught:
            connect(("127.0.0.1", 9))
        assert str(caught.value) == "[Errno 111] Connection refused"
        with pytest.raises(socket.gaierror):
            connect(("no-such-host.invalid", 80))
        with pytest.raises(BlockingIOError):
            connect(("127.0.0.1", 9), timeout=0)
        with pytest.raises(OSError) as caught:
            connect(("127.0.0.1", 9), source_address=("192.0.2.1", 0))
        assert caught.value.errno == 99
    with create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(OSError, match="another program listens") as caught:
            create_server(listener.getsockname())
        assert caught.value.errno == 98


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_all_errors() -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: F821
        create_connection(("127.0.0.1", 9), all_errors=True)
    assert all(isinstance(error, ConnectionRefusedError) for error in caught.value.exceptions)


def test_timeouts(silent: tuple[str, int]) -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match="timed out"):
        create_connection(silent, timeout=0.3)
    assert 0.25 < time.monotonic() - begun < 5
    socket.setdefaulttimeout(0.2)
    try:
        with pytest.raises(TimeoutError):
            create_connection(silent)
        with pair() as (here, _):
            assert here.gettimeout() == 0.2
    finally:
        socket.setdefaulttimeout(None)
    with create_server(("127.0.0.1", 0)) as listener:
        with create_connection(listener.getsockname(), timeout=7) as here:
            assert here.gettimeout() == 7


def test_source_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        with create_connection(listener.getsockname(), source_address=("127.0.0.9", 0)) as here:
            assert here.getsockname()[0] == "127.0.0.9"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with create_connection(listener.getsockname(), source_address=("", port)) as here:
            assert here.getsockname()[1] == port
        # A name of both families serves peers of either.
        both = [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.8", 0))]
        original = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda h, *a: both if h == "both" else original(h, *a))
        with create_connection(listener.getsockname(), source_address=("both", 0)) as here:
            assert here.getsockname()[0] == "127.0.0.8"
        with create_connection(listener.getsockname(), interface="lo") as here:
            assert transport(here).is_mptcp
        with pytest.raises(OSError):
            create_connection(listener.getsockname(), interface="no-such-if")


def test_the_gil_is_free_while_it_connects(silent: tuple[str, int]) -> None:
    turns = 0
    done = threading.Event()

    def count() -> None:
        nonlocal turns
        while not done.wait(0.01):
            turns += 1

    counting = threading.Thread(target=count)
    counting.start()
    with pytest.raises(TimeoutError):
        create_connection(silent, timeout=0.5)
    done.set()
    counting.join()
    assert turns > 10


def test_control_c_ends_it(silent: tuple[str, int]) -> None:
    begun = time.monotonic()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        create_connection(silent, timeout=60)
    assert time.monotonic() - begun < 10


def test_a_signal_handler_that_returns_does_not(silent: tuple[str, int]) -> None:
    got = []
    before = signal.signal(signal.SIGUSR1, lambda *_: got.append(time.monotonic()))
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(TimeoutError):
            create_connection(silent, timeout=0.8)
        assert got and time.monotonic() - got[0] > 0.2, "it ran while the connect went on"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_tls(tls: Any, tls_site: Site) -> None:
    with create_connection(("localhost", tls_site.port)) as plain:
        with tls.client.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(b"GET /5 HTTP/1.0\r\n\r\n")
            assert secure.recv(99).startswith(b"HTTP/1.1 200")
            assert transport(secure).is_mptcp


def test_a_forked_child_can_use_connect_and_judge() -> None:
    with pair() as (here, there):
        # Both have been used before the fork: their locks and the memory must not go along.
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException), pair() as (mine, _):
                if transport(mine).is_mptcp and transport(here).is_mptcp:
                    here.sendall(b"from the child")
                    code = 0
            os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert there.recv(99) == b"from the child"


def test_what_is_asked_for_wrongly_is_an_error() -> None:
    with pytest.raises(ValueError):
        create_server(("", 0), family=socket.AF_UNIX)
    with pytest.raises(ValueError):
        create_server(("", 0), dualstack_ipv6=True)
    with pytest.raises(OSError):
        stream_socket(socket.AF_UNIX)
    with pytest.raises(ValueError):
        create_connection(("127.0.0.1", 9), protocol="sctp")
    for bad in (-1, float("nan"), float("inf"), 1e300, 1e19):
        with pytest.raises((ValueError, OverflowError)):
            create_connection(("127.0.0.1", 9), timeout=bad)


def test_descriptors_are_not_lost(silent: tuple[str, int]) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for _ in range(20):
        with pair():
            pass
        with contextlib.suppress(OSError):
            create_connection(("127.0.0.1", 9))
        with contextlib.suppress(OSError):
            create_connection(silent, timeout=0.02)
    assert count() == before
