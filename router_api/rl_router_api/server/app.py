"""The router API as an ASGI application, which any ASGI server can run.

For example, the command `uvicorn --factory rl_router_api.server.app:create` serves the application with uvicorn.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rl_router_process.standard_streams import open_closed_streams
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..accounting.log import set_up
from ..errors import SetupError
from ..runtime.active_configuration import check_keys
from ..runtime.runtime import Runtime, SharedState
from ..runtime.source import LoadedConfiguration, Source
from ..upstreams.transport import HttpTransport
from .admin import Admin
from .cors import Cors
from .public import Public
from .start_errors import report


def create() -> App:
    """Returns the ASGI application of the router API, configured by environment variables and an optional file.

    The environment variable RL_ROUTER_CONFIG contains the path of the configuration file. Sends the log of the process
    to standard error, as JSON. Ends the process with an exit code of the enum `ExitCode` if no valid configuration is
    available, or if the function `check_keys` rejects the configuration.
    """
    open_closed_streams()
    source = Source.from_environment()
    try:
        loaded = source.start()
        check_keys(loaded.configuration)
    except SetupError as error:
        sys.exit(report(error))
    set_up(loaded.configuration.server.log_level)
    return App(loaded, source)


class App:
    """The ASGI application with which one process serves the router API.

    After the start of this application, the attribute `admin` is the ASGI application that serves the admin port.
    """

    def __init__(
        self, loaded: LoadedConfiguration, source: Source | None = None, *, shared: SharedState | None = None
    ) -> None:
        self._arguments = (loaded, source, shared)
        self._lifespan = Router(lifespan=self._running)
        self._public: ASGIApp = self._start_and_serve
        self.admin: Admin
        self.runtime: Runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._public(scope, receive, send)
        else:
            await self._lifespan(scope, receive, send)

    def drain(self) -> None:
        """Makes the endpoint `/ready` return HTTP status 503 from now on, because the server is stopping."""
        self.runtime.draining = True

    @asynccontextmanager
    async def _running(self, _: object) -> AsyncIterator[None]:
        await self._start()
        yield
        await self.runtime.stop()

    async def _start(self) -> None:
        """Starts a new `Runtime`, and creates the applications of both ports. Requires a running event loop."""
        loaded, source, shared = self._arguments
        self.runtime = runtime = Runtime(loaded, HttpTransport(), source, shared)
        self.admin = Admin(runtime)
        self._public = Cors(Public(runtime), lambda: runtime.configuration.server.cors_origins)
        await runtime.start()

    async def _start_and_serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starts the runtime and handles the first request.

        The method `_start_and_serve` is used only if the ASGI server sends no lifespan events.
        """
        await self._start()
        await self._public(scope, receive, send)
