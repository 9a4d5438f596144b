"""aiohttp's server takes a listening socket."""

import sys

from aiohttp import web

import mphttp
from mphttp.socket import create_server


async def index(request: web.Request) -> web.Response:
    return web.Response(text=f"You are using {mphttp.transport(request.transport)}.\n")


app = web.Application()
app.router.add_get("/", index)
web.run_app(app, sock=create_server(("", int(sys.argv[1]))))
