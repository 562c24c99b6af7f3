"""Serves the endpoint /health on the admin port of all simulated pods.

The endpoint /health either reports a healthy router API or never responds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rl_router_operator.objects.naming import ADMIN_PORT

ADDRESS = "127.88.0.1"
"""The IP address of all simulated pods. The address must equal the `podIP` in stages.yaml."""
_OK = {"state": "ok"}
_HEALTHY = {"status": "ok", "configuration": _OK, "router_model": _OK, "targets": {"demo": _OK}}


class Pods:
    """A server of the endpoint /health on the address of all simulated pods.

    If `unresponsive` is true, the server accepts connections and never responds.
    """

    def __init__(self) -> None:
        self.unresponsive = False
        self.requested = 0
        self.open = 0
        self.max_open = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handles one connection to the server with one request for /health."""
        self.requested += 1
        self.open += 1
        self.max_open = max(self.max_open, self.open)
        try:
            await reader.readuntil(b"\r\n\r\n")
            if self.unresponsive:
                await reader.read()
            else:
                writer.write(_response())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


def _response() -> bytes:
    body = json.dumps(_HEALTHY).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


@asynccontextmanager
async def serving() -> AsyncIterator[Pods]:
    """Runs the server of all simulated pods until the context ends, and yields the server."""
    pods = Pods()
    async with await asyncio.start_server(pods.answer, ADDRESS, ADMIN_PORT, backlog=4096):
        yield pods
        while pods.open:  # The operator has closed its connections, so the handlers of the connections end soon.
            await asyncio.sleep(0.01)
