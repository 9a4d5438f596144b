"""What `cargo xtask bench python` measures: reads the name of a variant from each line of stdin, does it once, and prints
how many microseconds one request (or exchange) took.

All variants run in one process, so that whatever the process's luck is (memory layout, hash seeds) is the same for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import requests

import mphttp.asyncio
import mphttp.client
import mphttp.requests

URL, KEPT, NEW = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
PARTS = urlsplit(URL)


def connections(kind: Callable[..., http.client.HTTPConnection], kept: bool) -> tuple[int, float]:
    connection = kind(PARTS.hostname, PARTS.port)
    count = KEPT if kept else NEW
    begun = time.perf_counter()
    for _ in range(count):
        connection.request("GET", PARTS.path)
        response = connection.getresponse()
        assert len(response.read()) == 1000
        if not kept:
            connection.close()
    took = time.perf_counter() - begun
    connection.close()
    return count, took


def sessions(kind: Callable[[], requests.Session], kept: bool) -> tuple[int, float]:
    # Half as many: a request costs requests several times what it costs http.client.
    count = (KEPT if kept else NEW) // 2
    headers = {} if kept else {"Connection": "close"}
    with kind() as session:
        session.trust_env = False
        begun = time.perf_counter()
        for _ in range(count):
            assert len(session.get(URL, headers=headers).content) == 1000
        return count, time.perf_counter() - begun


class Echo:
    """A server of lines on a thread and a loop of its own."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.main()), daemon=True).start()
        self.ready.wait()

    async def main(self) -> None:
        server = await mphttp.asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await server.serve_forever()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def exchanges(open_connection: Callable[..., object]) -> tuple[int, float]:
    async def main() -> float:
        reader, writer = await open_connection("127.0.0.1", ECHO.port)
        begun = time.perf_counter()
        for _ in range(KEPT):
            writer.write(b"header ")
            await asyncio.sleep(0)
            writer.write(b"body\n")
            await reader.readline()
        took = time.perf_counter() - begun
        writer.close()
        await writer.wait_closed()
        return took

    return KEPT, asyncio.run(main())


ECHO = Echo()
http_kinds = {
    "http.client": http.client.HTTPConnection,
    "mphttp.client, tcp": functools.partial(mphttp.client.HTTPConnection, protocol="tcp"),
    "mphttp.client, mptcp": functools.partial(mphttp.client.HTTPConnection, protocol="mptcp-only"),
}
session_kinds = {
    "requests": requests.Session,
    "mphttp.requests, tcp": functools.partial(mphttp.requests.Session, protocol="tcp"),
    "mphttp.requests, mptcp": functools.partial(mphttp.requests.Session, protocol="mptcp-only"),
}
stream_kinds = {
    "asyncio": asyncio.open_connection,
    "mphttp.asyncio, tcp": functools.partial(mphttp.asyncio.open_connection, protocol="tcp"),
    "mphttp.asyncio, mptcp": functools.partial(mphttp.asyncio.open_connection, protocol="mptcp-only"),
}
VARIANTS: dict[str, Callable[[], tuple[int, float]]] = {}
for kept, suffix in ((True, "kept"), (False, "new")):
    for name, kind in http_kinds.items():
        VARIANTS[f"{name}, {suffix}"] = functools.partial(connections, kind, kept)
    for name, kind in session_kinds.items():
        VARIANTS[f"{name}, {suffix}"] = functools.partial(sessions, kind, kept)
for name, kind in stream_kinds.items():
    VARIANTS[name] = functools.partial(exchanges, kind)

for line in sys.stdin:
    count, took = VARIANTS[line.strip()]()
    print(took / count * 1e6, flush=True)
