"""Tornado takes listening sockets."""

import asyncio
import sys

import tornado.httpserver
import tornado.web

import mphttp
from mphttp.socket import create_server


class Index(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(f"You are using {mphttp.transport(self.request.connection.stream.socket)}.\n")


async def main() -> None:
    listener = create_server(("", int(sys.argv[1])))
    listener.setblocking(False)
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Index)]))
    server.add_socket(listener)
    await asyncio.Event().wait()


asyncio.run(main())
