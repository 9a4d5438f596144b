"""``mphttp.asyncio``, on asyncio's own loop and, where it is installed, on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import mphttp
from conftest import Site, counters
from mphttp import NotMptcpError, Reason
from mphttp import asyncio as mptcp

Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a loop of this kind."""
    if request.param == "asyncio":
        return asyncio.run
    uvloop = pytest.importorskip("uvloop", reason="uvloop has no wheel for this Python")
    runner: Run = uvloop.run
    return runner


handlers: set[asyncio.Task[None]] = set()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what is spoken, then echoes."""
    handlers.add(asyncio.current_task())
    writer.write(str(mphttp.transport(writer)).encode() + b"\n")
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(Exception):
        await writer.wait_closed()


async def served() -> None:
    """Waits for the handlers to end, so that their sockets don't outlive the loop."""
    await asyncio.gather(*handlers)
    handlers.clear()
    await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def echo(protocol: Any = "mptcp", host: Any = "127.0.0.1", **kwargs: Any) -> Any:
    server = await mptcp.start_server(serve, host, 0, protocol=protocol, **kwargs)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await served()


@pytest.mark.parametrize(
    ("server", "client", "there", "here"),
    [
        ("mptcp", "mptcp", "MPTCP over 1 path", None),
        ("mptcp", "tcp", f"TCP: {Reason.CLIENT.explanation}", Reason.NOT_REQUESTED),
        ("tcp", "mptcp", f"TCP: {Reason.NOT_REQUESTED.explanation}", Reason.PEER_OR_PATH),
    ],
)
def test_streams(run: Run, server: str, client: str, there: str, here: Reason | None) -> None:
    async def main() -> None:
        async with echo(server) as port:
            reader, writer = await mptcp.open_connection("127.0.0.1", port, protocol=client)
            assert (await reader.readline()).decode().strip() == there
            assert mptcp.transport(writer).reason is here
            writer.write(b"x" * 1_000_000)
            writer.write_eof()
            assert await reader.read() == b"x" * 1_000_000
            writer.close()
            await writer.wait_closed()

    run(main())


def test_nodelay_is_on(run: Run) -> None:
    async def main() -> None:
        async with echo() as port:
            _, writer = await mptcp.open_connection("127.0.0.1", port)
            sock = writer.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == 262
            writer.close()
            await writer.wait_closed()

    run(main())


def test_tls(run: Run, tls: Any) -> None:
    async def main() -> None:
        async with echo(ssl=tls.server) as port:
            reader, writer = await mptcp.open_connection(
                "localhost", port, ssl=tls.client, family=socket.AF_INET
            )
            assert await reader.readline() == b"MPTCP over 1 path\n"
            assert mptcp.transport(writer).is_mptcp
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    run(main())


def test_connections_and_sockets(run: Run, site: Site) -> None:
    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.seen = mphttp.transport(transport)

    async def main() -> None:
        transport, protocol = await mptcp.create_connection(
            Protocol, site.host, site.port, protocol="mptcp-only"
        )
        assert protocol.seen.is_mptcp
        transport.close()
        with await mptcp.connect(site.host, site.port, local_addr=("127.0.0.5", 0), interface="lo") as sock:
            assert sock.getsockname()[0] == "127.0.0.5" and sock.gettimeout() == 0
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, b"GET /3 HTTP/1.0\r\n\r\n")
            assert (await loop.sock_recv(sock, 999)).startswith(b"HTTP/1.1 200")

    run(main())


def test_servers_of_every_address(run: Run) -> None:
    async def says(port: int, host: str) -> None:
        reader, writer = await mptcp.open_connection(host, port)
        assert await reader.readline() == b"MPTCP over 1 path\n"
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        for hosts in (None, ["127.0.0.1", "::1"], "localhost"):
            server = await mptcp.start_server(serve, hosts)
            port = server.sockets[0].getsockname()[1]
            assert all(sock.getsockname()[1] == port for sock in server.sockets) and server.is_serving()
            async with server:
                families = {info[0] for info in await asyncio.get_running_loop().getaddrinfo("localhost", 0)}
                await says(port, "127.0.0.1")
                if hosts != "localhost" or socket.AF_INET6 in families:
                    await says(port, "::1")
                await served()
            with pytest.raises(OSError):
                await mptcp.open_connection("127.0.0.1", port)
        # serve_forever ends when it is cancelled, and closes.
        server = await mptcp.start_server(serve, "127.0.0.1", start_serving=False)
        task = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0.05)
        await says(server.sockets[0].getsockname()[1], "127.0.0.1")
        await served()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not server.is_serving()

    run(main())


def test_a_server_of_mptcp_only_turns_tcp_clients_away(run: Run, tls: Any) -> None:
    async def main() -> None:
        for context in (None, tls.server):
            client = None if context is None else tls.client
            async with echo("mptcp-only", ssl=context) as port:
                for _ in range(2):
                    reader, writer = await mptcp.open_connection(
                        "localhost", port, ssl=client, protocol="tcp", family=socket.AF_INET
                    )
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
                    writer.close()
                    with contextlib.suppress(Exception):
                        await writer.wait_closed()
                    reader, writer = await mptcp.open_connection(
                        "localhost", port, ssl=client, family=socket.AF_INET
                    )
                    assert await reader.readline() == b"MPTCP over 1 path\n"
                    writer.close()
                    with contextlib.suppress(Exception):
                        await writer.wait_closed()

    run(main())


def test_the_backlog_is_what_was_asked_for(run: Run) -> None:
    async def main() -> None:
        for asked, expected in (
            (77, 77),
            (None, min(4096, int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text()))),
        ):
            server = await mptcp.start_server(serve, "127.0.0.1", backlog=asked)
            listener = socket.socket(fileno=os.dup(server.sockets[0].fileno()))
            with listener:
                # Of a listener, tcp_info's tcpi_sacked is its limit.
                info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
                assert struct.unpack_from("I", info, 28)[0] == expected
            server.close()
            await server.wait_closed()

    run(main())


def test_race_keywords_of_asyncio_are_taken_and_ignored(run: Run, site: Site) -> None:
    async def main() -> None:
        _, writer = await mptcp.open_connection(
            site.host, site.port, happy_eyeballs_delay=0.1, interleave=1, all_errors=True
        )
        writer.close()
        await writer.wait_closed()
        with pytest.raises(OSError):
            mptcp.transport(writer)

    run(main())


def test_errors_are_those_of_asyncio(run: Run, tcp_site: Site, silent: tuple[str, int]) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await mptcp.open_connection("127.0.0.1", 9)
        with pytest.raises(socket.gaierror):
            await mptcp.open_connection("no-such-host.invalid", 80)
        with pytest.raises(NotMptcpError):
            await mptcp.open_connection(tcp_site.host, tcp_site.port, protocol="mptcp-only")
        with pytest.raises(TimeoutError):
            await mptcp.connect(*silent, timeout=0.2)
        with pytest.raises(ValueError):
            await mptcp.connect(*silent, protocol="sctp")
        with pytest.raises(OverflowError):
            await mptcp.connect(*silent, timeout=1e19)
        with pytest.raises(ValueError):
            await mptcp.start_server(serve, [])
        with pytest.raises(OSError):
            await mptcp.start_server(serve, "192.0.2.1")

    run(main())


def test_a_cancelled_connect_closes_what_it_had(run: Run, silent: tuple[str, int]) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def main() -> None:
        with contextlib.suppress(OSError):
            await mptcp.connect("127.0.0.1", 9)
        before = count()
        for _ in range(10):
            with pytest.raises((asyncio.TimeoutError, TimeoutError)):
                await asyncio.wait_for(mptcp.connect(*silent), 0.02)
        deadline = time.monotonic() + 5
        while count() > before and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert count() == before

    run(main())


def test_a_loop_that_ends_early_leaves_nothing_behind(run: Run, silent: tuple[str, int]) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(mptcp.connect(*silent, timeout=0.2))
        await asyncio.sleep(0.01)
        task.cancel()

    run(main())
    time.sleep(0.3)


def test_many_at_once(run: Run) -> None:
    async def one(port: int) -> None:
        reader, writer = await mptcp.open_connection("127.0.0.1", port, protocol="mptcp-only")
        await reader.readline()
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        before = counters()["MPTcpExtMPCapableSYNRX"]
        async with echo() as port:
            await asyncio.gather(*(one(port) for _ in range(200)))
        assert counters()["MPTcpExtMPCapableSYNRX"] >= before + 200

    run(main())


def test_a_forked_child_can_connect(run: Run) -> None:
    # The parent's runtime has a thread, which a child doesn't inherit.
    async def main() -> bool:
        async with echo() as port:
            reader, writer = await mptcp.open_connection("127.0.0.1", port)
            line = await reader.readline()
            writer.close()
            return line == b"MPTCP over 1 path\n"

    assert run(main())
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = 0 if run(asyncio.wait_for(main(), 20)) else 1
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


async def exchange(port: int, protocol: str, rounds: int) -> float:
    """Seconds for two small writes and a read, the median: the pattern that Nagle's algorithm punishes."""
    reader, writer = await mptcp.open_connection("127.0.0.1", port, protocol=protocol)
    await reader.readline()
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        writer.write(b"header ")
        await asyncio.sleep(0)
        writer.write(b"body\n")
        await reader.readline()
        times.append(time.perf_counter() - begun)
    writer.close()
    await writer.wait_closed()
    return statistics.median(times)


def test_two_writes_and_a_read_take_less_than_twice_tcps_time(run: Run) -> None:
    async def main() -> list[float]:
        ratios = []
        async with echo() as port:
            for _ in range(15):
                tcp, multi = await exchange(port, "tcp", 40), await exchange(port, "mptcp", 40)
                ratios.append(multi / tcp)
        return ratios

    # Without TCP_NODELAY the ratio is some hundreds.
    ratio = statistics.median(run(main()))
    print(f"two writes and a read, MPTCP against TCP: {ratio:.2f}")
    assert ratio < 2


ENDING = """
import socket, sys, threading, time, types
from mphttp import _connecting, _mphttp

listener = socket.create_server(("127.0.0.1", 0))
told = threading.Event()

def tell():
    told.set()
    time.sleep(0.3)

class LastToGo:
    def __del__(self, sleep=time.sleep):
        sleep(0.6)

sys.modules["other"] = types.ModuleType("other")
sys.modules["other"].last_to_go = LastToGo()
connecting = _mphttp.connect_async([listener.getsockname()], "tcp", tell)
assert told.wait(10)
"""


def test_the_interpreter_ends_while_a_connect_tells_of_itself() -> None:
    """The thread that tells must not want the GIL back from an interpreter that is gone: that would abort the process."""
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_nothing_begins_once_the_interpreter_is_ending() -> None:
    program = ENDING + "_mphttp.shutdown()\n"
    program += "_mphttp.connect_async([listener.getsockname()], 'tcp', tell)\n"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "RuntimeError: can't connect any more: the interpreter is shutting down" in ended.stderr
    assert ended.returncode == 1
