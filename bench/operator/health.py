"""The admin port of every pretended pod: answers /health as a well API does, or keeps silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rl_router_operator.objects.naming import ADMIN_PORT

ADDRESS = "127.88.0.1"
"""The podIP in stages.yaml."""
_OK = {"state": "ok"}
_WELL = {"status": "ok", "configuration": _OK, "router_model": _OK, "targets": {"demo": _OK}}


class Pods:
    """While `silent`, a connection is taken and nothing said on it, so that whoever asks waits for its own limit."""

    def __init__(self) -> None:
        self.silent = False
        self.asked = 0
        self.waiting = 0
        self.most_waiting = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer."""
        self.asked += 1
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await reader.readuntil(b"\r\n\r\n")
            if self.silent:
                await reader.read()
            else:
                writer.write(_response())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.waiting -= 1
            writer.close()


def _response() -> bytes:
    body = json.dumps(_WELL).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


@asynccontextmanager
async def answering() -> AsyncIterator[Pods]:
    """The pods, from now on."""
    pods = Pods()
    async with await asyncio.start_server(pods.answer, ADDRESS, ADMIN_PORT, backlog=4096):
        yield pods
        while pods.waiting:  # Who asked is gone; what was said to nobody ends now.
            await asyncio.sleep(0.01)
