"""The application for clients."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Receive, Scope, Send

from ..errors import ApiError
from ..runtime.runtime import Runtime
from .chat_completions import ChatCompletion
from .endpoints import endpoints
from .exchange import Exchange
from .openapi import COMPLETIONS, ROUTE
from .responses import refuse
from .route import RoutePreview
from .scope import credentials, route

_EXCHANGES: dict[str, type[Exchange]] = {COMPLETIONS: ChatCompletion, ROUTE: RoutePreview}
"""What costs money. These are plain ASGI, which costs a third less than FastAPI."""
_WITHOUT_KEY = ("/health", "/ready")


class Public:
    """Everything, with a key if keys are configured. `/health` and `/ready` need none."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._endpoints = endpoints(runtime, lambda: runtime.admission.open)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = route(scope)
        exchange = _EXCHANGES.get(path) if scope["method"] == "POST" else None
        if exchange is not None:
            # It checks the key itself, so that a refused request is recorded too.
            return exchange(self._runtime, scope, receive, send).run()
        if path not in _WITHOUT_KEY:
            try:
                self._runtime.admission.authenticate(credentials(scope))
            except ApiError as error:
                return refuse(scope, receive, send, error)
        return self._endpoints(scope, receive, send)
