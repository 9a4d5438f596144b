"""Downloads a URL with one of the clients, and says as JSON what came of it: ``download.py CLIENT URL [PROTOCOL]``.

Run by the lab's harness on a host with two links.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

CHUNK = 1 << 16


class Download:
    """What has come, and the transport: live, the last time that anybody looked."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.bytes = 0
        self.transport: Any = None

    def take(self, chunk: bytes) -> None:
        self.hash.update(chunk)
        self.bytes += len(chunk)

    def look(self, ask: Callable[[], Any]) -> None:
        seen = ask()
        if seen is not None:
            self.transport = seen


def pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while chunk := read(CHUNK):
        yield chunk


def http_client(got: Download, url: str, protocol: Any) -> None:
    from mphttp.client import HTTPConnection

    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, protocol=protocol, timeout=60)
    connection.request("GET", parts.path)
    response = connection.getresponse()
    for chunk in pieces(response.read):
        got.take(chunk)
    got.look(lambda: response.transport)
    connection.close()


def urllib(got: Download, url: str, protocol: Any) -> None:
    from mphttp.request import urlopen

    with urlopen(url, protocol=protocol, timeout=60) as response:
        for chunk in pieces(response.read):
            got.take(chunk)
    got.look(lambda: response.transport)


def requests(got: Download, url: str, protocol: Any) -> None:
    from mphttp.requests import Session, transport

    with Session(protocol=protocol) as session:
        response = session.get(url, stream=True, timeout=60)
        for chunk in response.iter_content(CHUNK):
            got.take(chunk)
        got.look(lambda: transport(response))


def httpx(got: Download, url: str, protocol: Any) -> None:
    import httpx

    from mphttp.httpx import HTTPTransport, transport

    with httpx.Client(transport=HTTPTransport(protocol=protocol), timeout=60) as client:
        with client.stream("GET", url) as response:
            for chunk in response.iter_bytes():
                got.take(chunk)
        got.look(lambda: transport(response))


def httpx_async(got: Download, url: str, protocol: Any) -> None:
    import httpx

    from mphttp.httpx import AsyncHTTPTransport, transport

    async def main() -> None:
        async with httpx.AsyncClient(transport=AsyncHTTPTransport(protocol=protocol), timeout=60) as client:
            async with client.stream("GET", url) as response:
                async for chunk in response.aiter_bytes():
                    got.take(chunk)
            got.look(lambda: transport(response))

    asyncio.run(main())


def aiohttp(got: Download, url: str, protocol: Any) -> None:
    from mphttp.aiohttp import ClientSession, transport

    async def main() -> None:
        async with ClientSession(protocol=protocol) as session, session.get(url) as response:
            async for chunk in response.content.iter_any():
                got.take(chunk)
            got.look(lambda: transport(response))

    asyncio.run(main())


def niquests(got: Download, url: str, protocol: Any) -> None:
    from mphttp.niquests import Session, transport

    with Session(protocol=protocol) as session:
        response = session.get(url, stream=True, timeout=60)
        for chunk in response.iter_content(CHUNK):
            got.look(lambda: transport(response))
            got.take(chunk)


def streams(got: Download, url: str, protocol: Any) -> None:
    from mphttp import asyncio as mptcp

    async def main() -> None:
        parts = urlsplit(url)
        reader, writer = await mptcp.open_connection(parts.hostname, parts.port, protocol=protocol)
        writer.write(f"GET {parts.path} HTTP/1.0\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while chunk := await reader.read(CHUNK):
            got.take(chunk)
            got.look(lambda: mptcp.transport(writer))
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())


def installed(got: Download, url: str, protocol: Any) -> None:
    """A program that makes and connects its sockets itself, and knows nothing of this."""
    import socket

    import mphttp

    mphttp.install(protocol)
    parts = urlsplit(url)
    with socket.socket() as sock:
        sock.settimeout(60)
        sock.connect((parts.hostname, parts.port))
        sock.sendall(f"GET {parts.path} HTTP/1.0\r\n\r\n".encode())
        with sock.makefile("rb") as file:
            while file.readline().strip():
                pass
            for chunk in pieces(file.read):
                got.take(chunk)
                got.look(lambda: mphttp.transport(sock))


class Sink:
    """A file object for :func:`mphttp.download`."""

    def __init__(self, got: Download) -> None:
        self.write = got.take


def download(got: Download, url: str, protocol: Any) -> None:
    import mphttp

    done = mphttp.download(url, Sink(got), protocol=protocol)
    got.look(lambda: done.transport)


def download_async(got: Download, url: str, protocol: Any) -> None:
    from mphttp import asyncio as mptcp

    done = asyncio.run(mptcp.download(url, Sink(got), protocol=protocol))
    got.look(lambda: done.transport)


CLIENTS = [
    http_client,
    urllib,
    requests,
    httpx,
    httpx_async,
    aiohttp,
    niquests,
    streams,
    installed,
    download,
    download_async,
]


def main() -> None:
    name, url, *rest = sys.argv[1:]
    client = next(client for client in CLIENTS if client.__name__ == name)
    got = Download()
    begun = time.monotonic()
    error = None
    try:
        client(got, url, rest[0] if rest else None)
    except Exception as caught:
        chain: list[str] = []
        link: BaseException | None = caught
        while link is not None:
            chain.append(type(link).__name__)
            link = link.__cause__ or link.__context__
        error = {"chain": chain, "text": str(caught)}
    said = {
        "bytes": got.bytes,
        "sha256": got.hash.hexdigest(),
        "seconds": time.monotonic() - begun,
        "error": error,
        "transport": None if got.transport is None else got.transport.as_dict(),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
