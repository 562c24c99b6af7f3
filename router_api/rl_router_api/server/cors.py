"""Adds CORS headers for the allowed origins to responses, and answers preflight requests.

A reload of the configuration may change the allowed origins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_EXPOSED = ("x-request-id", "x-router-model", "x-router-cost", "retry-after")


class Cors:
    """An ASGI application that answers preflight requests, and adds CORS headers for allowed origins to responses."""

    def __init__(self, app: ASGIApp, origins: Callable[[], Sequence[str]]) -> None:
        self._app = app
        self._origins = origins
        self._allowed: Sequence[str] = ()
        self._wrapped = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if (origins := self._origins()) != self._allowed:
            self._allowed, self._wrapped = origins, self._wrap(origins)
        return self._wrapped(scope, receive, send)

    def _wrap(self, origins: Sequence[str]) -> ASGIApp:
        if not origins:
            return self._app
        return CORSMiddleware(
            self._app, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"],
            expose_headers=_EXPOSED,
        )  # fmt: skip
