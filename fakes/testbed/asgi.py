"""Runs the router API's application in an HTTP server of another project, or calls the application directly."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import hypercorn.asyncio
import hypercorn.config
from rl_router_api.server.app import App

from fakes.upstreams.exchange import Body

SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
    "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions", "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
}  # fmt: skip
"""The ASGI scope of a chat request, without the optional fields `client`, `server`, `root_path` and `state`."""


class AsgiClient:
    """A client that exchanges ASGI messages with an application.

    The client sends the request body `body`, and disconnects when the event `leave` is set.
    """

    def __init__(self, body: Body) -> None:
        self._messages = [{"type": "http.request", "body": json.dumps(body).encode()}]
        self.leave = asyncio.Event()
        self.received: list[Any] = []
        """The ASGI messages that the application sent to the client."""

    async def receive(self) -> Any:
        if self._messages:
            return self._messages.pop()
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.received.append(message)

    async def send_fails(self, message: Any) -> None:
        """Raises OSError, as servers with the ASGI `spec_version` 2.4 do after the client has disconnected."""
        raise OSError


@asynccontextmanager
async def calling(app: App, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Yields an httpx client that calls the application without an HTTP server and without ASGI lifespan events."""
    transport = httpx.ASGITransport(app, **options)
    async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
        yield client
        await app.runtime.stop()


@asynccontextmanager
async def run_hypercorn(app: App) -> AsyncIterator[str]:
    """Runs the application in the HTTP server hypercorn, in the event loop of the test, and yields the server's URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config, stop = hypercorn.config.Config(), asyncio.Event()
        config.bind = [f"fd://{listening.detach()}"]
        config.errorlog = None
    serving = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        assert (await client.get(f"{url}/ready")).status_code == 200
    yield url
    stop.set()
    await serving
