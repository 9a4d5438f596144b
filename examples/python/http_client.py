"""http.client: the protocol as a keyword, and what came of it."""

import sys
from urllib.parse import urlsplit

from mphttp.client import HTTPConnection

url = urlsplit(sys.argv[1])
connection = HTTPConnection(url.hostname, url.port, protocol="mptcp", timeout=30)
connection.request("GET", url.path)
response = connection.getresponse()
body = response.read()
connection.close()
print(f"{len(body)} bytes, {response.transport}")
