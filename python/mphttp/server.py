"""``http.server``, with Multipath TCP on by default and an off switch.

::

    from mphttp.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    with ThreadingHTTPServer(("", 8000), SimpleHTTPRequestHandler, mptcp=True) as server:
        server.serve_forever()

``python -m mphttp.server`` takes every option of this Python's ``http.server``, and ``--mptcp``, ``--no-mptcp`` or
``--mptcp-only``. See :mod:`mphttp.socketserver` for what ``mptcp`` means and for ``request_transport()``.
"""

from __future__ import annotations

import http.server as _server
import socketserver as _socketserver
import sys
from typing import Any

from .socketserver import RequestTransport, TCPServer, request_transport

__all__ = [
    "BaseHTTPRequestHandler",
    "HTTPServer",
    "SimpleHTTPRequestHandler",
    "ThreadingHTTPServer",
    "request_transport",
    *(
        name
        for name in ("CGIHTTPRequestHandler", "HTTPSServer", "ThreadingHTTPSServer")
        if hasattr(_server, name)
    ),
]


def __getattr__(name: str) -> Any:
    # What else a version of http.server has.
    return getattr(_server, name)


class BaseHTTPRequestHandler(RequestTransport, _server.BaseHTTPRequestHandler):
    """``http.server.BaseHTTPRequestHandler`` with ``request_transport()``."""


class SimpleHTTPRequestHandler(RequestTransport, _server.SimpleHTTPRequestHandler):
    """``http.server.SimpleHTTPRequestHandler`` with ``request_transport()``."""


if sys.version_info < (3, 15):

    class CGIHTTPRequestHandler(RequestTransport, _server.CGIHTTPRequestHandler):
        """``http.server.CGIHTTPRequestHandler`` with ``request_transport()``."""


class HTTPServer(TCPServer, _server.HTTPServer):
    """``http.server.HTTPServer`` with the keyword and class attribute ``mptcp``."""


class ThreadingHTTPServer(_socketserver.ThreadingMixIn, HTTPServer):
    """``http.server.ThreadingHTTPServer`` with the keyword and class attribute ``mptcp``."""

    daemon_threads = True


if sys.version_info >= (3, 14):

    class HTTPSServer(HTTPServer, _server.HTTPSServer):
        """``http.server.HTTPSServer`` with the keyword and class attribute ``mptcp``."""

    class ThreadingHTTPSServer(_socketserver.ThreadingMixIn, HTTPSServer):
        """``http.server.ThreadingHTTPSServer`` with the keyword and class attribute ``mptcp``."""

        daemon_threads = True


if __name__ == "__main__":
    from mphttp._serve import main

    sys.exit(main())
