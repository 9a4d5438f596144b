"""uvicorn takes listening sockets."""

import sys

import uvicorn

from mphttp.socket import create_server


async def app(scope, receive, send):  # any ASGI application
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"Hello\n"})


if __name__ == "__main__":
    listener = create_server(("", int(sys.argv[1])))
    uvicorn.Server(uvicorn.Config(app, lifespan="off")).run(sockets=[listener])
