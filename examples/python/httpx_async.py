"""httpx, asynchronously."""

import asyncio
import sys

import httpx

from mphttp.httpx import AsyncHTTPTransport, transport


async def main() -> None:
    async with httpx.AsyncClient(transport=AsyncHTTPTransport(protocol="mptcp")) as client:
        response = await client.get(sys.argv[1])
        print(f"{len(response.content)} bytes, {transport(response)}")


asyncio.run(main())
