"""Other people's clients, each by its own extension points, each over both protocols and with TLS."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import mphttp
from conftest import BIG, Handler, Site, serving
from mphttp import NotMptcpError, Reason
from mphttp.server import ThreadingHTTPServer

#: What a client is asked to do: (url, protocol, the authority's file or None) -> (body, transport).
Fetch = Callable[[str, str, Any], tuple[bytes, Any]]


def by_requests(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    from mphttp.requests import Session, transport

    with Session(protocol=protocol) as session:
        response = session.get(url, verify=str(authority) if authority else True)
    return response.content, transport(response)


def by_urllib3(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    from mphttp.urllib3 import PoolManager, transport

    with PoolManager(
        protocol=protocol, ca_certs=str(authority) if authority else None, retries=False
    ) as http:
        response = http.request("GET", url)
        seen = transport(response)
    return response.data, seen


def context(authority: Any) -> Any:
    import ssl

    return ssl.create_default_context(cafile=authority) if authority else True


def by_httpx(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    import httpx

    from mphttp.httpx import HTTPTransport, transport

    ours = HTTPTransport(protocol=protocol, verify=context(authority))
    with httpx.Client(transport=ours) as client:
        response = client.get(url)
        return response.content, transport(response)


def by_httpx_with_http2(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    import httpx

    from mphttp.httpx import HTTPTransport, transport

    ours = HTTPTransport(protocol=protocol, verify=context(authority), http2=True)
    with httpx.Client(transport=ours) as client:
        response = client.get(url)
        return response.content, transport(response)


async def httpx_async(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    import httpx

    from mphttp.httpx import AsyncHTTPTransport, transport

    ours = AsyncHTTPTransport(protocol=protocol, verify=context(authority))
    async with httpx.AsyncClient(transport=ours) as client:
        response = await client.get(url)
        return response.content, transport(response)


def by_async_httpx(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    return asyncio.run(httpx_async(url, protocol, authority))


def by_async_httpx_on_uvloop(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    import uvloop

    return uvloop.run(httpx_async(url, protocol, authority))


def by_async_httpx_on_trio(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    import trio

    return trio.run(httpx_async, url, protocol, authority)


async def aiohttp_async(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    from mphttp.aiohttp import ClientSession, transport

    async with ClientSession(protocol=protocol) as session:
        async with session.get(url, ssl=context(authority)) as response:
            return await response.read(), transport(response)


def by_aiohttp(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    return asyncio.run(aiohttp_async(url, protocol, authority))


def by_aiohttp_on_uvloop(url: str, protocol: str, authority: Any) -> tuple[bytes, Any]:
    import uvloop

    return uvloop.run(aiohttp_async(url, protocol, authority))


CLIENTS = [
    by_requests,
    by_urllib3,
    by_httpx,
    by_httpx_with_http2,
    by_async_httpx,
    by_async_httpx_on_uvloop,
    by_async_httpx_on_trio,
    by_aiohttp,
    by_aiohttp_on_uvloop,
]
every_client = pytest.mark.parametrize("fetch", CLIENTS, ids=lambda fetch: fetch.__name__)


@every_client
@pytest.mark.parametrize("protocol", ["tcp", "mptcp", "mptcp-only"])
def test_both_ends_say_what_is_spoken(fetch: Fetch, protocol: str, site: Site) -> None:
    body, seen = fetch(f"{site.url}/transport", protocol, None)
    spoken = protocol.removesuffix("-only")
    assert json.loads(body)["protocol"] == spoken == seen.protocol


@every_client
def test_tls(fetch: Fetch, tls: Any, tls_site: Site) -> None:
    body, seen = fetch(f"{tls_site.url}/transport", "mptcp", tls.authority)
    assert json.loads(body)["protocol"] == "mptcp" == seen.protocol


@every_client
def test_a_large_body_is_whole(fetch: Fetch, site: Site) -> None:
    body, seen = fetch(f"{site.url}/{BIG}", "mptcp", None)
    assert body == b"x" * BIG
    assert seen.is_mptcp


@every_client
def test_it_falls_back_with_the_reason(fetch: Fetch, tcp_site: Site) -> None:
    body, seen = fetch(f"{tcp_site.url}/transport", "mptcp", None)
    assert json.loads(body)["protocol"] == "tcp"
    assert seen.reason is Reason.PEER_OR_PATH


@every_client
def test_a_host_without_mptcp(fetch: Fetch, mptcp_off: None, tcp_site: Site) -> None:
    body, seen = fetch(f"{tcp_site.url}/5", "mptcp", None)
    assert body == b"xxxxx" and seen.reason is Reason.DISABLED


@every_client
def test_demanded_and_not_to_be_had(fetch: Fetch, tcp_site: Site) -> None:
    with pytest.raises(Exception) as caught:
        fetch(f"{tcp_site.url}/5", "mptcp-only", None)
    chain: BaseException | None = caught.value
    told = []
    while chain is not None:
        told.append(chain)
        chain = chain.__cause__ or chain.__context__
    assert any(isinstance(error, NotMptcpError) for error in told)
    assert "answered without Multipath TCP" in str(caught.value), "without digging, too"


@every_client
def test_the_environment_is_heeded(fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPHTTP_PROTOCOL", "tcp")
    body, _ = fetch(f"{site.url}/transport", None, None)  # type: ignore[arg-type]
    assert json.loads(body)["why_tcp"] == "client"


@every_client
def test_no_library_starves_mptcp_with_a_small_buffer(
    fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SO_RCVBUF switches the kernel's own sizing off, and what arrives out of order on all paths must fit into it.
    set_to = []
    original = socket.socket.setsockopt

    def spy(self: socket.socket, *arguments: Any) -> Any:
        if arguments[:2] == (socket.SOL_SOCKET, socket.SO_RCVBUF) and self.family != socket.AF_UNIX:
            set_to.append(arguments[2])
        return original(self, *arguments)

    monkeypatch.setattr(socket.socket, "setsockopt", spy, raising=False)
    fetch(f"{site.url}/5", "mptcp", None)
    assert not set_to


def test_a_closed_port_is_each_librarys_own_error() -> None:
    import aiohttp
    import httpx
    import requests
    import urllib3

    url = "http://127.0.0.1:9/"
    with pytest.raises(requests.ConnectionError):
        by_requests(url, "mptcp", None)
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        by_urllib3(url, "mptcp", None)
    with pytest.raises(httpx.ConnectError) as caught:
        by_httpx(url, "mptcp", None)
    assert str(caught.value.request.url) == url
    with pytest.raises(httpx.ConnectError):
        by_async_httpx(url, "mptcp", None)
    with pytest.raises(aiohttp.ClientConnectorError):
        by_aiohttp(url, "mptcp", None)
    for fetch, error in ((by_requests, requests.ConnectionError), (by_httpx, httpx.ConnectError)):
        with pytest.raises(error):
            fetch("http://no-such-host.invalid/", "mptcp", None)


def test_a_timeout_is_each_librarys_own_error(silent: tuple[str, int]) -> None:
    import httpx
    import requests
    import urllib3

    from mphttp.httpx import AsyncHTTPTransport, HTTPTransport
    from mphttp.requests import Session
    from mphttp.urllib3 import PoolManager

    url = f"http://127.0.0.1:{silent[1]}/"
    with Session() as session, pytest.raises(requests.exceptions.ConnectTimeout):
        session.get(url, timeout=0.2)
    with PoolManager() as http, pytest.raises(urllib3.exceptions.ConnectTimeoutError):
        http.request("GET", url, timeout=0.2, retries=False)
    with httpx.Client(transport=HTTPTransport(), timeout=0.2) as client, pytest.raises(httpx.ConnectTimeout):
        client.get(url)

    async def main() -> None:
        async with httpx.AsyncClient(transport=AsyncHTTPTransport(), timeout=0.2) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(url)

    asyncio.run(main())


def test_a_choice_made_twice_is_an_error() -> None:
    import aiohttp

    from mphttp.aiohttp import ClientSession, TCPConnector

    async def main() -> None:
        with pytest.raises(TypeError):
            TCPConnector(socket_factory=lambda address: socket.socket())
        connector = aiohttp.TCPConnector()
        with pytest.raises(TypeError):
            ClientSession(connector=connector, protocol="tcp")
        await connector.close()
        async with ClientSession(connector=None, protocol="tcp") as session:
            assert isinstance(session.connector, TCPConnector)

    asyncio.run(main())


def test_a_family_that_urllib3_is_kept_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib3

    monkeypatch.setattr(urllib3.util.connection, "allowed_gai_family", lambda: socket.AF_INET6)
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        by_urllib3(f"http://localhost:{site.port}/5", "mptcp", None)


def test_a_unix_socket_through_httpx(tmp_path: Any) -> None:
    import socketserver

    import httpx

    from mphttp.httpx import HTTPTransport

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    path = str(tmp_path / "socket")
    with socketserver.UnixStreamServer(path, Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with httpx.Client(transport=HTTPTransport(uds=path)) as client:
            assert client.get("http://anything/").text == "hello"
        thread.join()


def test_a_cancelled_connect_on_trio_leaves_nothing_behind(silent: tuple[str, int]) -> None:
    import trio

    from mphttp.httpcore import AsyncBackend

    async def main() -> None:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            with trio.move_on_after(0.02):
                await AsyncBackend().connect_tcp(*silent)
        with trio.move_on_after(5):
            while len(os.listdir("/proc/self/fd")) > before:
                await trio.sleep(0.02)
        assert len(os.listdir("/proc/self/fd")) <= before

    trio.run(main)


def test_kept_connections_are_used_again(site: Site) -> None:
    import httpx

    from mphttp.httpx import HTTPTransport
    from mphttp.requests import Session

    def port(text: str) -> Any:
        return json.loads(text)["paths"][0]["remote"]

    with Session(protocol="mptcp") as session:
        assert port(session.get(f"{site.url}/transport").text) == port(
            session.get(f"{site.url}/transport").text
        )
    with httpx.Client(transport=HTTPTransport()) as client:
        assert port(client.get(f"{site.url}/transport").text) == port(
            client.get(f"{site.url}/transport").text
        )


def test_socket_options_are_applied_as_far_as_mptcp_takes_them(site: Site) -> None:
    import httpx
    import urllib3

    from mphttp.httpx import HTTPTransport
    from mphttp.urllib3 import PoolManager

    options = [
        *urllib3.connection.HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000),
        (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0"),
    ]
    for protocol in ("mptcp", "tcp"):
        with PoolManager(protocol=protocol, socket_options=options) as http:
            response = http.request("GET", f"{site.url}/5", preload_content=False)
            sock = response.connection.sock
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            if protocol == "tcp":
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
            response.read()
        with httpx.Client(transport=HTTPTransport(protocol=protocol, socket_options=options)) as client:
            assert client.get(f"{site.url}/5").content == b"xxxxx"


def test_an_adapter_of_requests_survives_pickling_and_mounts(site: Site) -> None:
    import requests

    from mphttp.requests import HTTPAdapter, transport

    adapter = pickle.loads(pickle.dumps(HTTPAdapter(protocol="tcp", max_retries=3)))
    with requests.Session() as session:
        session.mount("http://", adapter)
        response = session.get(f"{site.url}/transport")
        assert response.json()["protocol"] == "tcp" == transport(response).protocol
        with requests.Session() as stock:
            assert transport(stock.get(f"{site.url}/5")) is None


class Proxy(Handler):
    """A forward proxy for plain requests and for tunnels, over TCP onwards."""

    def do_GET(self) -> None:
        import urllib.request

        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.path) as response:
            body = response.read()
        self.send_response(200)
        self.send_header("Via-Proxy", str(mphttp.transport(self.connection).protocol))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        host, port = self.path.split(":")
        self.send_response(200)
        self.send_header("Via-Proxy", str(mphttp.transport(self.connection).protocol))
        self.end_headers()
        with socket.create_connection((host, int(port))) as onward:

            def relay(one: socket.socket, two: socket.socket) -> None:
                while data := one.recv(65536):
                    two.sendall(data)
                two.shutdown(socket.SHUT_WR)

            there = threading.Thread(target=relay, args=(self.connection, onward))
            there.start()
            relay(onward, self.connection)
            there.join()
        self.close_connection = True


def test_through_a_proxy_the_choice_is_that_of_the_way_there(site: Site, tls: Any, tls_site: Site) -> None:
    import httpx

    from mphttp.httpx import HTTPTransport
    from mphttp.requests import Session, transport

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Proxy)) as proxy:
        for protocol in ("mptcp", "tcp"):
            with Session(protocol=protocol) as session:
                session.trust_env = False
                session.proxies = {"http": proxy.url, "https": proxy.url}
                response = session.get(f"{site.url}/transport")
                assert response.headers["Via-Proxy"] == protocol == transport(response).protocol
                assert response.json()["protocol"] == "tcp"
                response = session.get(f"{tls_site.url}/transport", verify=str(tls.authority))
                assert response.json()["protocol"] == "tcp" and transport(response).protocol == protocol
            ours = HTTPTransport(protocol=protocol, proxy=proxy.url, verify=tls.client)
            with httpx.Client(transport=ours) as client:
                assert client.get(f"{site.url}/transport").headers["Via-Proxy"] == protocol
                assert client.get(f"{tls_site.url}/transport").json()["why_tcp"] == "client"


def test_websockets_take_a_socket() -> None:
    import websockets.asyncio.client
    import websockets.asyncio.server
    import websockets.sync.client

    from mphttp import asyncio as mptcp
    from mphttp.socket import create_connection, create_server

    async def handler(connection: Any) -> None:
        await connection.send(str(mphttp.transport(connection.transport)))

    async def main() -> None:
        listener = create_server(("127.0.0.1", 0))
        async with websockets.asyncio.server.serve(handler, sock=listener) as server:
            host, port = server.sockets[0].getsockname()
            sock = await mptcp.connect(host, port)
            async with websockets.asyncio.client.connect(
                f"ws://{host}:{port}/", sock=sock, proxy=None
            ) as client:
                assert await client.recv() == "MPTCP over 1 path"
                assert mphttp.transport(client.transport).is_mptcp

            def blocking() -> str:
                sock = create_connection((host, port), protocol="tcp")
                with websockets.sync.client.connect(f"ws://{host}:{port}/", sock=sock, proxy=None) as client:
                    return str(client.recv())

            said = await asyncio.to_thread(blocking)
            assert said == f"TCP: {Reason.CLIENT.explanation}"

    asyncio.run(main())
