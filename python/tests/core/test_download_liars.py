"""``mphttp.download`` from servers that lie: a few cases of ``crates/http-cases``, as Python meets them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import threading
from collections.abc import Iterator

import pytest

import mphttp

HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: "v"\r\n\r\n0123456789'
OTHER = b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: "w"\r\n\r\nABCDEFGHIJKLMNOPQRST'
PART = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 10-19/20\r\n"

#: What is odd, the answers to one request after the other (the last one to all others), and what is raised.
REFUSED: list[tuple[str, list[bytes], type[Exception], str]] = [
    (
        "shorter than its length",
        [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789"],
        mphttp.DownloadError,
        "after 10 bytes of 20",
    ),
    (
        "digest of another body",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
            b"Repr-Digest: sha-256=:2SmKENGwc1g33EvYXaxkGw887yekfl1TpU8vP1svz/o=:\r\n\r\nhello"
        ],
        mphttp.ChecksumError,
        "not what it should be",
    ),
    (
        "redirect into file:",
        [b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"],
        mphttp.DownloadError,
        "only http and https are followed",
    ),
    (
        "redirect in circles",
        [b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"],
        mphttp.DownloadError,
        "more than 10 redirects",
    ),
    ("no HTTP", [b"220 mail.example ESMTP\r\n"], mphttp.DownloadError, "valid HTTP"),
    ("endless head", [b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000], mphttp.DownloadError, "headers"),
]

#: The lie in place of the rest of a body; the whole of another version comes after it.
MIXED = [
    PART + b'ETag: "w"\r\n\r\nKLMNOPQRST',
    PART + b"\r\nKLMNOPQRST",
    PART.replace(b"10-19", b"0-9") + b'ETag: "v"\r\n\r\nKLMNOPQRST',
    PART.replace(b"Length: 10", b"Length: 20") + b'ETag: "v"\r\n\r\nABCDEFGHIJKLMNOPQRST',
]


@contextlib.contextmanager
def answering(answers: list[bytes]) -> Iterator[str]:
    """A server that gives these answers, one to a connection, whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = list(answers)

    def serve() -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            with stream, contextlib.suppress(OSError):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    byte = stream.recv(1)
                    if not byte:
                        break
                    head += byte
                else:
                    stream.sendall(left.pop(0) if len(left) > 1 else left[0])
                    stream.shutdown(socket.SHUT_WR)
                    while stream.recv(65536):
                        pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


@pytest.mark.parametrize(
    ("answers", "error", "text"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_a_lie_is_an_error_and_leaves_no_file(
    answers: list[bytes], error: type[Exception], text: str, tmp_path: pathlib.Path
) -> None:
    with answering(answers) as site, pytest.raises(error, match=text):
        mphttp.download(site + "/file", tmp_path / "got")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("lie", MIXED, ids=["other version", "no version", "other place", "other length"])
def test_versions_are_never_mixed(lie: bytes, tmp_path: pathlib.Path) -> None:
    with answering([HALF, lie, OTHER]) as site:
        mphttp.download(site + "/file", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"ABCDEFGHIJKLMNOPQRST"
