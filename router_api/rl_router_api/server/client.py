"""What an exchange knows of its client besides ASGI's messages: a body that is here already, and when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import Message, Receive, Scope, Send

from ..http1.cycle import EXTENSION


class Client(Protocol):
    """`task` runs the exchange. `disconnected` says that the client has gone."""

    task: asyncio.Task[Any] | None
    disconnected: bool

    def whole_body(self) -> bytes | None:
        """Returns the request's body if all of it is here and none of it was received, else None."""

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Calls `on_disconnect` if the client goes before the response is complete. The body must be complete."""

    def unwatch(self) -> None:
        """Ends `watch`."""


def client_of(scope: Scope, receive: Receive, send: Send) -> tuple[Client, Send]:
    """Returns the client of a request, and how to send to it.

    Under our own HTTP/1.1 protocol the client is the request's cycle, elsewhere ASGI's messages tell of it.
    """
    cycle: Client | None = (scope.get("extensions") or {}).get(EXTENSION)
    if cycle is not None:
        return cycle, send
    messages = Messages(receive, send)
    return messages, messages.send


class Messages:
    """A client of whom only ASGI's messages tell."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.task: asyncio.Task[Any] | None = asyncio.current_task()
        self.disconnected = False
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
        """Sends as ASGI does, but a message that the client can no longer get is dropped."""
        if self.disconnected:
            return
        try:
            await self._send(message)
        except OSError:
            # So servers say since version 2.4 of ASGI's specification that the client has gone.
            self._disconnect()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnect()

    def _disconnect(self) -> None:
        self.disconnected = True
        if self._on_disconnect is not None:
            self._on_disconnect()
