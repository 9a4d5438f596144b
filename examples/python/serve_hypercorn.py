"""hypercorn takes descriptors.

It asks the kernel for the socket's label, which is not that of TCP, so that asyncio doesn't switch TCP_NODELAY on; the
listener hands it on to what it accepts.
"""

import asyncio
import socket
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config
from serve_uvicorn import app

from mphttp.socket import create_server

listener = create_server(("", int(sys.argv[1])))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
config = Config()
config.bind = [f"fd://{listener.detach()}"]
asyncio.run(serve(app, config))
