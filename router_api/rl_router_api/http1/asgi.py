"""Types for ASGI applications, and protocols for the parts of uvicorn's server that a connection uses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class ServerConfig(Protocol):
    """The part of the class `uvicorn.Config` that a connection uses."""

    timeout_keep_alive: int
    """The number of seconds for which an idle connection stays open after a response."""

    @property
    def loaded_app(self) -> App:
        """The ASGI application."""


class ServerState(Protocol):
    """The part of the class `uvicorn.server.ServerState` that a connection uses."""

    total_requests: int
    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    default_headers: list[tuple[bytes, bytes]]
    """The headers that every response of the ASGI application has. uvicorn's server replaces the list `default_headers`
    every second, because the list contains the current time."""
