"""The API as an ASGI application, for any server: `uvicorn --factory rl_router_api.server.app:create`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..accounting.log import set_up
from ..errors import SetupError
from ..runtime.runtime import Runtime, Shares
from ..runtime.setup import check_keys
from ..runtime.source import Loaded, Source
from ..upstreams.transport import HttpTransport
from .admin import Admin
from .cors import Cors
from .public import Public
from .start_errors import report


def create() -> App:
    """Returns the application with the configuration that RL_ROUTER_CONFIG and the environment give.

    Sends the log of the process to standard error, as JSON. Ends the process if the configuration cannot be used.
    """
    source = Source.from_environment()
    try:
        loaded = source.start()
        check_keys(loaded.configuration)
    except SetupError as error:
        sys.exit(report(error))
    set_up(loaded.configuration.server.log_level)
    return App(loaded, source)


class App:
    """The application of one process. `admin`, the application of the admin port, is there once it has started."""

    def __init__(self, loaded: Loaded, source: Source | None = None, *, shares: Shares | None = None) -> None:
        self._start_with = (loaded, source, shares)
        self._lifespan = Router(lifespan=self._running)
        self._public: ASGIApp = self._start_and_answer
        self.admin: Admin
        self.runtime: Runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._public(scope, receive, send)
        else:
            await self._lifespan(scope, receive, send)

    def drain(self) -> None:
        """The server was told to stop: `/ready` says so from now on."""
        self.runtime.draining = True

    @asynccontextmanager
    async def _running(self, _: object) -> AsyncIterator[None]:
        await self._start()
        yield
        await self.runtime.stop()

    async def _start(self) -> None:
        """Opens the connections, for which an event loop must run."""
        loaded, source, shares = self._start_with
        self.runtime = runtime = Runtime(loaded, HttpTransport(), source, shares)
        self.admin = Admin(runtime)
        self._public = Cors(Public(runtime), lambda: runtime.configuration.server.cors_origins)
        await runtime.start()

    async def _start_and_answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the first request under a server, or a test client, that sends no lifespan events."""
        await self._start()
        await self._public(scope, receive, send)
