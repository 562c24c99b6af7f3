"""Runs HTTP servers that send any bytes, even if the bytes are not valid HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def raw_server(handle: Handler) -> AsyncIterator[str]:
    """Runs a server and yields the server's URL. The server closes a connection when the function `handle` returns."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await handle(reader, writer)
        writer.transport.abort()

    async with await asyncio.start_server(tracked, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    await asyncio.gather(*(task for task in tasks if task))
    await asyncio.sleep(0)


@asynccontextmanager
async def sending(*responses: bytes, then_close: bool = False) -> AsyncIterator[tuple[str, list[int]]]:
    """Runs a server that sends the bytes in `responses`, one item for each received request.

    Yields the server's URL, and a list whose only item is the number of connections that the server has accepted.
    """
    left, connections = list(responses), [0]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        while await reader.read(65_536) and left:
            writer.write(left.pop(0))
            await writer.drain()
            if then_close:
                writer.close()
                await writer.wait_closed()
                break

    async with raw_server(answer) as url:
        yield url, connections


@asynccontextmanager
async def recording_heads() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Runs a server that answers the first request on each connection with the status 200.

    Yields the server's URL, and a list of the heads (request line and headers) of the answered requests.
    """
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        await reader.read()

    async with raw_server(answer) as url:
        yield url, heads
