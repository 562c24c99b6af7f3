"""ASGI's types, and the parts of uvicorn's server that the protocol uses."""

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
    """The part of `uvicorn.Config` that the protocol uses."""

    timeout_keep_alive: int

    @property
    def loaded_app(self) -> App:
        """The application."""


class ServerState(Protocol):
    """The part of `uvicorn.server.ServerState` that the protocol uses."""

    total_requests: int
    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    default_headers: list[tuple[bytes, bytes]]
    """Headers of every response. The server replaces the list each second for the new date."""
