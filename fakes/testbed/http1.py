"""Runs ASGI applications with the router API's HTTP/1.1 implementation, and provides clients that send any bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from rl_router_api.server.connection import ApiConnection

from fakes.testbed.waiting import until

_BUFFER = 32 * 1024
"""The size in bytes of the server's send buffers and the clients' receive buffers.

With larger buffers, an application would have to send more data before the server notices that a client does not read.
"""


class RawClient:
    """A client that sends any bytes over one connection.

    Each read has a timeout of 10 s, except for the read of the body in `answer`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Returns the status and the body of the next response. The response must have a Content-Length."""
        head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.strip().split("\r\n")[1:])
        return int(head.split(" ")[1]), await self._reader.readexactly(int(headers["content-length"]))

    async def read(self, size: int) -> bytes:
        """Reads and returns exactly `size` bytes."""
        return await asyncio.wait_for(self._reader.readexactly(size), 10)

    async def close_sending_side(self) -> None:
        """Tells the server that the client sends no more bytes.

        After `close_sending_side`, the client can still receive bytes.
        """
        self._writer.write_eof()

    def close(self) -> None:
        """Closes both sides of the connection."""
        self._writer.close()

    async def leave(self) -> None:
        """Aborts the connection between the client and the server."""
        self._writer.transport.abort()

    async def rest(self) -> bytes:
        """Waits until the server closes the connection, and returns all bytes that were not read before."""
        return await asyncio.wait_for(self._reader.read(), 10)

    @property
    def ended(self) -> bool:
        """Returns whether the server has closed the connection and the client has read all data."""
        return self._reader.at_eof()

    async def until_closed(self) -> None:
        """Waits until the server closes the connection.

        Fails if the server sends data before the connection is closed.
        """
        assert await self.rest() == b""


@asynccontextmanager
async def http1_server(
    connection_class: type[ApiConnection], app: Any
) -> AsyncIterator[Callable[[], Awaitable[RawClient]]]:
    """Runs the ASGI application `app` in a server that uses the class `connection_class` for each connection.

    Yields a function that connects a client to the server.
    """
    config = uvicorn.Config(app, http=connection_class, ws="none", lifespan="off", log_config=None)
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: connection_class(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    listening.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    address, writers = listening.sockets[0].getsockname(), list[asyncio.StreamWriter]()

    async def connect() -> RawClient:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        client.setblocking(False)
        await loop.sock_connect(client, address)
        reader, writer = await asyncio.open_connection(sock=client, limit=_BUFFER)
        writers.append(writer)
        return RawClient(reader, writer)

    yield connect
    for writer in writers:
        writer.transport.abort()
    await until(lambda: not state.connections, "the end of every connection")
    listening.close()
