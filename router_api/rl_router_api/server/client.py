"""Defines the interface through which a handler gets a request's body and detects a disconnect of the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import Message, Receive, Scope, Send

from ..http1.request_response import EXTENSION


class Client(Protocol):
    """An interface to the client of a request. The attribute `task` is the asyncio task that handles the request.

    The attribute `disconnected` is true after a disconnect of the client was detected. If the attribute `body_complete`
    is true, the whole body has been received, and the method `whole_body` returns the unread part of the body.
    """

    task: asyncio.Task[Any] | None
    disconnected: bool
    body_complete: bool

    def whole_body(self) -> bytes | None:
        """Returns the unread part of the request's body, or None if the caller must read the body with the callable
        `receive`."""

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Calls the function `on_disconnect` if the client disconnects before the response is complete.

        The whole request body must have been received before the method `watch` is called.
        """

    def unwatch(self) -> None:
        """Cancels the callback that the method `watch` registered."""


def client_of(scope: Scope, receive: Receive, send: Send) -> tuple[Client, Send]:
    """Returns the client of a request and the callable that sends messages to the client.

    If an object of the class `HttpConnection` received the request, the returned client is an object of the class
    `RequestResponseCycle`. If another ASGI server received the request, the returned client is an object of the class
    `AsgiClient`.
    """
    cycle: Client | None = (scope.get("extensions") or {}).get(EXTENSION)
    if cycle is not None:
        return cycle, send
    client = AsgiClient(receive, send)
    return client, client.send


class AsgiClient:
    """The client of a request that was received by an ASGI server other than the router API's own server."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.task: asyncio.Task[Any] | None = asyncio.current_task()
        self.disconnected = self.body_complete = False
        self._on_disconnect: Callable[[], None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def whole_body(self) -> bytes | None:
        return None

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        self._on_disconnect = on_disconnect
        self._watcher = asyncio.create_task(self._wait_for_disconnect())

    def unwatch(self) -> None:
        self._on_disconnect = None
        if self._watcher is not None:
            self._watcher.cancel()

    async def send(self, message: Message) -> None:
        """Sends an ASGI message to the client, or drops the message if the client has disconnected."""
        if self.disconnected:
            return
        try:
            await self._send(message)
        except OSError:
            # Since version 2.4 of ASGI's specification, servers raise OSError after the client has disconnected.
            self._disconnect()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnect()

    def _disconnect(self) -> None:
        self.disconnected = True
        if self._on_disconnect is not None:
            self._on_disconnect()
