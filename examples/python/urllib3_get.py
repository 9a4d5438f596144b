"""urllib3: a pool manager of ours."""

import sys

from mphttp.urllib3 import PoolManager, transport

with PoolManager(protocol="mptcp") as http:
    response = http.request("GET", sys.argv[1])
    print(f"{len(response.data)} bytes, {transport(response)}")
