"""Defines the ASGI application that serves the clients of the router API."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Receive, Scope, Send

from ..errors import ApiError
from ..runtime.runtime import Runtime
from .chat_completions import ChatCompletionHandler
from .endpoints import endpoints
from .handler import RequestHandler
from .openapi import COMPLETIONS, ROUTE
from .responses import refuse
from .route import RoutePreviewHandler
from .scope import as_get, credentials, route

_HANDLERS: dict[str, type[RequestHandler]] = {COMPLETIONS: ChatCompletionHandler, ROUTE: RoutePreviewHandler}
"""Maps the path of each endpoint that calls models to the handler of the endpoint. A plain ASGI handler takes a third
less CPU time for a request than FastAPI."""
_WITHOUT_KEY = ("/health", "/ready")


class Public:
    """The ASGI application that serves all endpoints for clients.

    If API keys are configured, every endpoint except `/health` and `/ready` requires an API key, `/` does not show the
    configuration, `/health` does not show the health of upstreams, and `/metrics` returns HTTP status 404.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._endpoints = endpoints(runtime, lambda: runtime.admission.open)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = route(scope)
        handler = _HANDLERS.get(path) if scope["method"] == "POST" else None
        if handler is not None:
            # The handler checks the key itself, so that a rejected request is recorded too.
            return handler(self._runtime, scope, receive, send).run()
        if path not in _WITHOUT_KEY:
            try:
                self._runtime.admission.authenticate(credentials(scope))
            except ApiError as error:
                return refuse(scope, receive, send, error)
        return self._endpoints(as_get(scope), receive, send)
