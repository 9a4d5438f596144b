"""asyncio's streams: a server and a client in one program."""

import asyncio

from mphttp import asyncio as mptcp


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"You are using {mptcp.transport(writer)}.\n".encode())
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    async with await mptcp.start_server(serve, None, 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await mptcp.open_connection("localhost", port, protocol="mptcp")
        print((await reader.read()).decode().strip())
        writer.close()
        await writer.wait_closed()


asyncio.run(main())
