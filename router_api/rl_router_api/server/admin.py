"""Defines the ASGI application that serves the admin port."""

from __future__ import annotations

from collections.abc import Awaitable

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from ..runtime.runtime import Runtime
from .debug_tools import add_debug_tools
from .responses import answer_errors
from .scope import as_get
from .state import add_state


class Admin:
    """The ASGI application that serves the admin port.

    The admin port requires no API key and shows the configuration and the metrics. The admin port serves only GET and
    HEAD requests, and has no endpoint below `/v1`.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._endpoints = FastAPI(openapi_url=None, redirect_slashes=False)
        answer_errors(self._endpoints, "The admin port serves `/`, `/health`, `/ready`, `/metrics` and `/debug/tools`.")
        add_state(self._endpoints, runtime, lambda: True)
        add_debug_tools(self._endpoints, runtime)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._endpoints(as_get(scope), receive, send)
