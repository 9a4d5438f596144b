"""urllib.request: for one request, or as the default of the whole program."""

import sys
import urllib.request

from mphttp.request import build_opener, urlopen

with urlopen(sys.argv[1], protocol="mptcp") as response:
    body = response.read()
    print(f"{len(body)} bytes, {response.transport}")

urllib.request.install_opener(build_opener(protocol="mptcp"))
with urllib.request.urlopen(sys.argv[1]) as response:
    body = response.read()
    print(f"{len(body)} bytes, {response.transport}")
