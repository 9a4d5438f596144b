"""niquests: a session of ours. The transport is to be asked while the body is still to come."""

import sys

from mphttp.niquests import Session, transport

with Session(protocol="mptcp") as session:
    response = session.get(sys.argv[1], stream=True)
    seen = transport(response)
    print(f"{len(response.content)} bytes, {seen}")
