"""Defines a request to a scripted upstream, and the connection on which a script sends the response."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Body = dict[str, Any]

_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


@dataclass
class Exchange:
    """A request that an upstream received, and the connection on which a script sends the response."""

    path: str
    headers: dict[str, str]
    """A mapping from the lower-case name of each header of the request to the value of the header."""
    raw: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: int = 0
    """The number of bytes of the response that were sent."""
    dropped: bool = False
    """Whether the router closed the connection before the response ended."""

    @cached_property
    def body(self) -> Body:
        return dict(json.loads(self.raw))

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def offered(self) -> list[str]:
        """Returns the names of the functions that the request offers."""
        return [tool.get("function", {}).get("name", "") for tool in self.body.get("tools", ())]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def head(self, content_type: str, *, status: int = 200, length: int | None = None, **headers: str) -> None:
        """Sends the status line and the headers of the response.

        If `length` is None, the body of the response is chunked.
        """
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Some')}", f"Content-Type: {content_type}", framing]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def piece(self, data: bytes) -> None:
        """Sends `data` as one chunk of a chunked body."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        """Ends the chunked body of the response."""
        await self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        """Closes the connection with a TCP reset."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_dropped(self) -> None:
        """Sends nothing and waits until the router closes the connection."""
        await self.reader.read()
        self.dropped = True


Answer = Callable[[Exchange], Awaitable[None]]
"""The type of a script, which is a coroutine function that writes the response of an exchange."""


async def read_exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    """Reads and returns a request. Returns None if the connection ends before the request is complete."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Exchange(first.split(" ")[1], headers, raw, reader, writer)
