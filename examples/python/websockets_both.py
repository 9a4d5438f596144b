"""websockets takes sockets, at both ends: nothing more is needed."""

import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from mphttp import asyncio as mptcp
from mphttp import transport
from mphttp.socket import create_server


async def handler(connection: ServerConnection) -> None:
    await connection.send(f"You are using {transport(connection.transport)}.")


async def main() -> None:
    listener = create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serve(handler, sock=listener):
        sock = await mptcp.connect("127.0.0.1", port, protocol="mptcp")
        async with connect(f"ws://127.0.0.1:{port}/", sock=sock) as client:
            print(await client.recv())


asyncio.run(main())
