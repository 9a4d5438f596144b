"""httpx: a transport of ours."""

import sys

import httpx

from mphttp.httpx import HTTPTransport, transport

with httpx.Client(transport=HTTPTransport(protocol="mptcp")) as client:
    response = client.get(sys.argv[1])
    print(f"{len(response.content)} bytes, {transport(response)}")
