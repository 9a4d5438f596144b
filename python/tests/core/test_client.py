"""``mphttp.client``, and what stands on it: urllib.request and xmlrpc.client."""

from __future__ import annotations

import gc
import http.client
import json
import os
import socket
import threading
import urllib.request
import warnings
import xmlrpc.server
from typing import Any

import pytest

import mphttp
from conftest import BIG, Handler, Site, serving
from mphttp import NotMptcpError, Reason
from mphttp.client import HTTPConnection, HTTPResponse, HTTPSConnection
from mphttp.request import build_opener, urlopen
from mphttp.server import ThreadingHTTPServer


def fetch(connection: Any, path: str = "/transport") -> Any:
    connection.request("GET", path)
    return connection.getresponse()


@pytest.mark.parametrize(
    ("protocol", "spoken"),
    [
        ("tcp", "tcp"),
        ("mptcp", "mptcp"),
        ("mptcp-only", "mptcp"),
        (None, "mptcp"),
        (socket.IPPROTO_TCP, "tcp"),
        (socket.IPPROTO_MPTCP, "mptcp"),
        (mphttp.Protocol.MPTCP, "mptcp"),
    ],
)
def test_both_ends_say_what_is_spoken(site: Site, protocol: Any, spoken: str) -> None:
    connection = HTTPConnection(site.host, site.port, protocol=protocol)
    assert connection.transport is None, "there is no connection yet"
    response = fetch(connection)
    assert isinstance(response, http.client.HTTPResponse) and isinstance(response, HTTPResponse)
    assert response.transport.protocol == connection.transport.protocol == spoken
    assert json.load(response)["protocol"] == spoken
    connection.close()


def test_the_transport_outlives_the_connection(site: Site) -> None:
    connection = HTTPConnection(site.host, site.port)
    response = fetch(connection, f"/{BIG}")
    assert len(response.read()) == BIG
    connection.close()
    for seen in (response.transport, connection.transport):
        assert seen.is_mptcp and seen.bytes_received > BIG
    # A body that ends with the connection, and none at all.
    connection.request("POST", "/", body=b"abc")
    response = connection.getresponse()
    assert response.will_close and response.read() == b"abc"
    assert response.transport.is_mptcp and response.transport.bytes_sent > 3
    response = fetch(connection, "/0")
    connection.close()
    assert response.read() == b"" and response.transport.is_mptcp


def test_a_kept_connection_is_one_connection(site: Site) -> None:
    connection = HTTPConnection(site.host, site.port)
    first = fetch(connection)
    local = json.load(first)["paths"][0]["remote"]
    assert json.load(fetch(connection))["paths"][0]["remote"] == local
    assert first.transport.is_mptcp
    connection.close()


def test_the_signature_is_that_of_the_standard_library(site: Site) -> None:
    connection = HTTPConnection(site.host, site.port, 5, ("127.0.0.3", 0), 4096, protocol="mptcp")
    assert (connection.timeout, connection.blocksize) == (5, 4096)
    assert json.load(fetch(connection))["paths"][0]["remote"].startswith("127.0.0.3:")
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    connection.close()
    with pytest.raises(TypeError):
        HTTPConnection("x", nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError):
        HTTPConnection("x", protocol="nonsense")
    assert issubclass(HTTPSConnection, http.client.HTTPSConnection)


def test_everything_of_the_module_is_there() -> None:
    import mphttp.client

    for name in http.client.__all__:
        assert hasattr(mphttp.client, name), name
    assert mphttp.client.RemoteDisconnected is http.client.RemoteDisconnected
    assert issubclass(mphttp.client.HTTPConnection, http.client.HTTPConnection)


def test_demanded_and_not_to_be_had(tcp_site: Site) -> None:
    connection = HTTPConnection(tcp_site.host, tcp_site.port, protocol="mptcp-only")
    with pytest.raises(NotMptcpError) as caught:
        fetch(connection)
    assert caught.value.reason is Reason.PEER_OR_PATH
    connection = HTTPConnection(tcp_site.host, tcp_site.port)
    assert fetch(connection).transport.reason is Reason.PEER_OR_PATH
    connection.close()


def test_https(tls: Any, tls_site: Site) -> None:
    connection = HTTPSConnection("localhost", tls_site.port, context=tls.client, protocol="mptcp-only")
    response = fetch(connection)
    assert json.load(response)["protocol"] == "mptcp" and response.transport.is_mptcp
    connection.close()
    assert response.transport.is_mptcp and connection.transport.is_mptcp


def relay(one: socket.socket, two: socket.socket) -> None:
    while data := one.recv(65536):
        two.sendall(data)
    two.shutdown(socket.SHUT_WR)


def test_a_tunnel_through_a_proxy(tls: Any, tls_site: Site) -> None:
    class Proxy(Handler):
        def do_CONNECT(self) -> None:
            host, port = self.path.split(":")
            self.send_response(200)
            self.end_headers()
            with socket.create_connection((host, int(port))) as onward:
                there = threading.Thread(target=relay, args=(self.connection, onward))
                there.start()
                relay(onward, self.connection)
                there.join()
            self.close_connection = True

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Proxy)) as proxy:
        connection = HTTPSConnection(proxy.host, proxy.port, context=tls.client, protocol="mptcp")
        connection.set_tunnel("localhost", tls_site.port)
        response = fetch(connection)
        # The stretch to the proxy is ours, the next one is the proxy's.
        assert response.transport.is_mptcp
        assert json.load(response)["why_tcp"] == "client"
        connection.close()


def test_ipv6() -> None:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    with serving(Server(("::1", 0), Handler)) as site:
        connection = HTTPConnection("::1", site.port)
        assert json.load(fetch(connection))["protocol"] == "mptcp"
        connection.close()


def test_a_fallback_under_way_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # That the kernel says so is shown in the lab; what follows from it, here.
    from mphttp import FellBackError, _record

    connection = HTTPConnection(site.host, site.port)
    response = fetch(connection, f"/{BIG}")
    response.read(1000)
    monkeypatch.setattr(_record, "_speaks_mptcp", lambda sock: False)
    with pytest.raises(FellBackError, match="start again with the protocol tcp"):
        response.read()
    connection.close()
    # From the first byte on: that is plain TCP, and harmless.
    connection = HTTPConnection(site.host, site.port)
    assert fetch(connection, "/5").read() == b"xxxxx"
    connection.close()


def test_urlopen(site: Site, tls: Any, tls_site: Site) -> None:
    for protocol in ("tcp", "mptcp"):
        with urlopen(f"{site.url}/transport", protocol=protocol, timeout=9) as response:
            assert json.load(response)["protocol"] == protocol
            assert response.transport.protocol == protocol
    with urlopen(f"{tls_site.url}/transport", context=tls.client) as response:
        assert json.load(response)["protocol"] == "mptcp" and response.transport.is_mptcp
    with urlopen(f"{site.url}/", data=b"posted") as response:
        assert response.read() == b"posted"


def test_openers_are_kept() -> None:
    from mphttp import request

    assert request._opener(mphttp.Protocol.TCP) is request._opener(mphttp.Protocol.TCP)
    assert request._opener(mphttp.Protocol.TCP) is not request._opener(mphttp.Protocol.MPTCP)


def test_a_scheme_is_a_scheme_in_any_case() -> None:
    from mphttp.xmlrpc import SafeTransport, ServerProxy, Transport

    assert type(ServerProxy("HTTPS://localhost:1/")("transport")) is SafeTransport
    assert type(ServerProxy("Http://localhost:1/")("transport")) is Transport
    with pytest.raises(OSError):
        ServerProxy("ftp://localhost:1/")


def test_a_response_does_not_keep_a_dropped_connection_open(site: Site) -> None:
    with warnings.catch_warnings():
        # What is dropped without being closed is worth a warning, as it always was.
        warnings.simplefilter("ignore", ResourceWarning)
        responses = []
        for protocol in ("tcp", "mptcp"):
            connection = HTTPConnection(site.host, site.port, protocol=protocol)
            responses.append(fetch(connection, "/5"))
            assert responses[-1].read() == b"xxxxx"
            fd = connection.sock.fileno()
            del connection
            gc.collect()
            with pytest.raises(OSError):
                os.fstat(fd)
    assert responses[0].transport.reason is Reason.NOT_REQUESTED


def test_a_response_class_of_ones_own(site: Site) -> None:
    class Mine(HTTPResponse):
        pass

    class Foreign(http.client.HTTPResponse):
        pass

    for kind in (Mine, Foreign):
        for protocol in ("tcp", "mptcp"):
            connection = HTTPConnection(site.host, site.port, protocol=protocol)
            connection.response_class = kind
            response = fetch(connection)
            assert type(response) is kind and json.load(response)["protocol"] == protocol
            connection.close()
    connection = HTTPConnection(site.host, site.port, protocol="tcp")
    assert isinstance(fetch(connection), HTTPResponse)
    connection.close()


def test_an_opener_with_handlers_of_its_own(site: Site) -> None:
    class Adds(urllib.request.BaseHandler):
        def http_request(self, request: Any) -> Any:
            request.add_header("X-Added", "yes")
            return request

    opener = build_opener(Adds(), protocol="tcp")
    with opener.open(f"{site.url}/transport") as response:
        assert json.load(response)["protocol"] == "tcp"
    # A handler for the scheme itself is used in place of ours.
    opener = build_opener(urllib.request.HTTPHandler)
    with opener.open(f"{site.url}/transport") as response:
        assert json.load(response)["why_tcp"] == "client"


@pytest.mark.parametrize("protocol", ["tcp", "mptcp"])
def test_xmlrpc(protocol: str) -> None:
    from mphttp.socketserver import MPTCPServerMixin, request_transport
    from mphttp.xmlrpc import ServerProxy

    class Server(MPTCPServerMixin, xmlrpc.server.SimpleXMLRPCServer):
        pass

    server = Server(("127.0.0.1", 0), logRequests=False, allow_none=True)
    server.register_function(lambda: request_transport().protocol, "spoken")
    server.register_function(lambda: None, "nothing")
    with serving(server) as site:
        with ServerProxy(f"http://127.0.0.1:{site.port}/", protocol=protocol, allow_none=True) as proxy:
            assert proxy.spoken() == protocol
            assert proxy.nothing() is None


def test_xmlrpc_over_tls(tls: Any) -> None:
    from mphttp.socketserver import MPTCPServerMixin, request_transport
    from mphttp.xmlrpc import ServerProxy

    class Server(MPTCPServerMixin, xmlrpc.server.SimpleXMLRPCServer):
        pass

    server = Server(("127.0.0.1", 0), logRequests=False)
    server.socket = tls.server.wrap_socket(server.socket, server_side=True)
    server.register_function(lambda: request_transport().protocol, "spoken")
    with serving(server) as site:
        with ServerProxy(f"https://localhost:{site.port}/", context=tls.client) as proxy:
            assert proxy.spoken() == "mptcp"
