"""Bodies to download, from servers on loopback that keep to the rules, and from some that don't."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

BODY = bytes(n % 251 ^ n // 65536 % 256 for n in range(1_500_000))
SHA256 = hashlib.sha256(BODY).hexdigest()


#: What is at ``/changes`` from the second request on.
OTHER = BODY[::-1]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``BODY`` with ranges.

    ``/cut`` ends each connection after 400,000 bytes, ``/slow`` takes its time, ``/stalls`` stops after 400,000 bytes,
    ``/plain`` knows no ranges and ends the first connection early, ``/changes`` does so and is another body from then on,
    ``/moved`` leads to ``/file``.
    """

    protocol_version = "HTTP/1.1"
    #: How often each path was asked for.
    asked: collections.Counter[str] = collections.Counter()

    def once(self, head: list[tuple[str, str]], body: bytes) -> None:
        """The whole body, unless it is the first time."""
        self.send_response(200)
        for name, value in head:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        first = self.asked[self.path] == 1
        self.wfile.write(body[:400_000] if first else body)
        self.close_connection = first

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/plain":
            self.once([], BODY)
            return
        if self.path.startswith("/changes"):
            first = self.asked[self.path] == 1
            self.once([("ETag", '"1"' if first else '"2"')], BODY if first else OTHER)
            return
        if self.path == "/none":
            self.send_error(404)
            return
        first = 0
        wanted = self.headers.get("Range")
        if wanted and self.headers.get("If-Range") == '"1"':
            low, high = wanted.removeprefix("bytes=").split("-")
            first, last = int(low), int(high or len(BODY) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(BODY)}")
        else:
            last = len(BODY) - 1
            self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("X-Header", self.headers.get("X-Header", ""))
        self.end_headers()
        content = BODY[first : last + 1]
        if self.path == "/cut" and len(content) > 400_000:
            self.wfile.write(content[:400_000])
            self.close_connection = True
            return
        if self.path == "/stalls":
            self.wfile.write(content[: max(400_000 - first, 0)])
            # Until the client has had enough.
            self.connection.recv(1)
            self.close_connection = True
            return
        for start in range(0, len(content), 50_000):
            self.wfile.write(content[start : start + 50_000])
            if self.path == "/slow":
                time.sleep(0.05)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A server on loopback, by its URL, until the block ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    Handler.asked.clear()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
