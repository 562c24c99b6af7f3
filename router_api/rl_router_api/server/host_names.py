"""Protects a server on a loopback address, which requires no API key, against websites (DNS rebinding).

A website can map its own name to 127.0.0.1. The browser then lets the website read the responses of this server. Such
requests have the website's name in the Host header.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from ..config import is_loopback
from ..errors import ApiError
from .responses import refuse
from .scope import header


class LoopbackNames:
    """Wraps an application. While `needs_check()` is true, requests must have a loopback name in the Host header.

    `remedy` is the sentence in the error that explains how to allow other names.
    """

    def __init__(self, app: ASGIApp, needs_check: Callable[[], bool], remedy: str) -> None:
        self._app = app
        self._needs_check = needs_check
        self._remedy = remedy

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and self._needs_check():
            name = header(scope, b"host")
            # Browsers always send the header. HTTP/1.0 clients may omit it.
            if name is not None and not is_loopback_name(name):
                return refuse(scope, receive, send, self._error(name))
        return self._app(scope, receive, send)

    def _error(self, name: str) -> ApiError:
        message = (
            f"The Host header is `{name[:100]}`, but this server is on a loopback address and requires no API key."
            f" Therefore it accepts only loopback names. Send requests to localhost or 127.0.0.1. {self._remedy}"
        )
        return ApiError(403, message, code="host_not_allowed", retryable=False)


@lru_cache(maxsize=16)
def is_loopback_name(host: str) -> bool:
    """Returns whether the value of a Host header names this machine: localhost, or a loopback address."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name) or name.rstrip(".").lower().endswith(".localhost")
