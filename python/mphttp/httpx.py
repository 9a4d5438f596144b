"""httpx, with the socket protocol a choice.

::

    import httpx
    from mphttp.httpx import HTTPTransport, transport

    with httpx.Client(transport=HTTPTransport(protocol="mptcp")) as client:
        with client.stream("GET", "http://server:8000/") as response:
            print(transport(response))

``AsyncHTTPTransport`` is the same for ``httpx.AsyncClient``, on asyncio and on trio. Both stand on httpx's interface for
transports and on httpcore's for networks (:mod:`mphttp.httpcore`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpcore
import httpx

from . import _mphttp
from ._words import ProtocolLike
from .httpcore import TRANSPORT, AsyncBackend, Backend

__all__ = ["AsyncHTTPTransport", "HTTPTransport", "transport"]


@contextlib.contextmanager
def _translated(request: httpx.Request | None = None) -> Iterator[None]:
    """httpcore's exceptions as httpx's, which have the same names."""
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            # Only httpcore's: h11's, for one, has a ProtocolError too.
            if getattr(httpcore, kind.__name__, None) is kind and hasattr(httpx, kind.__name__):
                raise getattr(httpx, kind.__name__)(str(error), request=request) from error
        raise


class _Stream(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._stream

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _proxy(proxy: httpx.Proxy | httpx.URL | str) -> httpcore.Proxy:
    if not isinstance(proxy, httpx.Proxy):
        proxy = httpx.Proxy(url=proxy)
    return httpcore.Proxy(
        _url(proxy.url), auth=proxy.raw_auth, headers=proxy.headers.raw, ssl_context=proxy.ssl_context
    )


def _request(request: httpx.Request) -> httpcore.Request:
    return httpcore.Request(
        method=request.method,
        url=_url(request.url),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class _Pooled:
    """What the two transports have in common: the keywords of httpx's own, for one of httpcore's pools."""

    _pools: Any
    _backends: Any

    def __init__(
        self,
        verify: Any = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _LIMITS,
        proxy: Any = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[tuple[Any, ...]] | None = None,
        *,
        protocol: ProtocolLike = None,
    ) -> None:
        self._pool: Any = self._pools(
            ssl_context=httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env),
            proxy=None if proxy is None else _proxy(proxy),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http1=http1,
            http2=http2,
            uds=uds,
            local_address=local_address,
            retries=retries,
            socket_options=socket_options,
            network_backend=self._backends(protocol),
        )


class HTTPTransport(_Pooled, httpx.BaseTransport):
    """``httpx.HTTPTransport`` with the keyword ``protocol``; through a proxy it is that of the way there."""

    _pools = httpcore.ConnectionPool
    _backends = Backend

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _translated(request):
            response = self._pool.handle_request(_request(request))
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Stream(response.stream),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class AsyncHTTPTransport(_Pooled, httpx.AsyncBaseTransport):
    """``httpx.AsyncHTTPTransport`` with the keyword ``protocol``; through a proxy it is that of the way there."""

    _pools = httpcore.AsyncConnectionPool
    _backends = AsyncBackend

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _translated(request):
            response = await self._pool.handle_async_request(_request(request))
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_AsyncStream(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


def transport(response: httpx.Response) -> _mphttp.Transport | None:
    """What the connection of a response speaks: live, and the last state once it is closed.

    ``None`` for a response that did not come through a transport of this module.
    """
    stream = response.extensions.get("network_stream")
    answer: _mphttp.Transport | None = None if stream is None else stream.get_extra_info(TRANSPORT)
    return answer
