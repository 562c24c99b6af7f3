"""The ASGI application of the admin port."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from ..errors import ApiError
from ..runtime.runtime import Runtime
from .endpoints import endpoints
from .openapi import COMPLETIONS, ROUTE
from .responses import refuse
from .route import RoutePreviewHandler
from .scope import as_get, route


class Admin:
    """Serves every endpoint except completions. It requires no key, and `/health` reports all details."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._endpoints = endpoints(runtime, lambda: True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = route(scope) if scope["type"] == "http" else None
        if path == COMPLETIONS:
            await refuse(
                scope, receive, send, ApiError(404, "The admin port serves no completions. Send them to the API port.")
            )
        elif path == ROUTE and scope["method"] == "POST":
            await RoutePreviewHandler(self._runtime, scope, receive, send, needs_key=False).run()
        else:
            await self._endpoints(as_get(scope), receive, send)
