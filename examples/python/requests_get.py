"""requests: a session of ours, or an adapter for one that exists."""

import sys

import requests

from mphttp.requests import HTTPAdapter, Session, transport

with Session(protocol="mptcp") as session:
    response = session.get(sys.argv[1])
    print(f"{len(response.content)} bytes, {transport(response)}")

with requests.Session() as session:
    session.mount("http://", HTTPAdapter(protocol="mptcp"))
    session.mount("https://", HTTPAdapter(protocol="mptcp"))
    response = session.get(sys.argv[1])
    print(f"{len(response.content)} bytes, {transport(response)}")
