"""The libcurl that `cargo xtask bench situations` compares with: fetches one URL into a file over Multipath TCP, by the
one means that libcurl offers for it (CURLOPT_OPENSOCKETFUNCTION, as `curl --mptcp` does), and prints the fields of
`mphttp get --json` that libcurl can know. It sets no limit of time: how long libcurl waits by itself is measured too.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import pycurl

IPPROTO_MPTCP = 262
SOL_MPTCP = 284
MPTCP_INFO = 1

made: list[socket.socket] = []


def open_socket(_purpose: int, address: Any) -> socket.socket:
    try:
        opened = socket.socket(address.family, address.socktype, IPPROTO_MPTCP)
    except OSError:
        # A host without MPTCP.
        opened = socket.socket(address.family, address.socktype, address.protocol)
    # libcurl works on a duplicate, so that what it speaks can be asked here.
    made.append(opened)
    return opened


def speaks_mptcp(connection: socket.socket) -> bool:
    try:
        # Refused on a plain TCP socket, and on an MPTCP socket that fell back.
        connection.getsockopt(SOL_MPTCP, MPTCP_INFO, 64)
    except OSError:
        return False
    return True


def main(url: str, output: str) -> None:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.FAILONERROR, True)
    curl.setopt(pycurl.OPENSOCKETFUNCTION, open_socket)
    with open(output, "wb") as file:
        curl.setopt(pycurl.WRITEDATA, file)
        curl.perform()
    found = {
        "url": url,
        "status": curl.getinfo(pycurl.RESPONSE_CODE),
        "bytes": curl.getinfo(pycurl.SIZE_DOWNLOAD_T),
        "seconds": curl.getinfo(pycurl.TOTAL_TIME),
        "connect_seconds": curl.getinfo(pycurl.CONNECT_TIME),
        "protocol": "mptcp" if made and speaks_mptcp(made[-1]) else "tcp",
    }
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except pycurl.error as error:
        sys.exit(f"curl: {error.args[1]}")
