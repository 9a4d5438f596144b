"""aiohttp's client: a session with our connector."""

import asyncio
import sys

from mphttp.aiohttp import ClientSession, transport


async def main() -> None:
    async with ClientSession(protocol="mptcp") as session, session.get(sys.argv[1]) as response:
        body = await response.read()
        print(f"{len(body)} bytes, {transport(response)}")


asyncio.run(main())
