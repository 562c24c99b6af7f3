"""Protects a server against DNS rebinding if the server listens on a loopback address and requires no API key.

In DNS rebinding, a website maps its own name to 127.0.0.1, so that the browser lets the website read the responses of a
server on the user's machine. During DNS rebinding, the Host header of the browser's requests contains the name of the
website. The name of a website contains a dot, so a name without a dot, such as the name of a container, is allowed.
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
    """An ASGI application that rejects requests with a forbidden Host header, and passes other requests on to `app`.

    While the function `needs_check` returns true, only loopback names, loopback addresses and names without a dot are
    allowed in the Host header. The argument `remedy` is the sentence of the error message that explains how to allow
    other names in the Host header.
    """

    def __init__(self, app: ASGIApp, needs_check: Callable[[], bool], remedy: str) -> None:
        self._app = app
        self._needs_check = needs_check
        self._remedy = remedy

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and self._needs_check():
            name = header(scope, b"host")
            # Browsers always send the Host header, but HTTP/1.0 clients may omit it.
            if name is not None and not is_local_name(name):
                return refuse(scope, receive, send, self._error(name))
        return self._app(scope, receive, send)

    def _error(self, name: str) -> ApiError:
        message = (
            f"The Host header is `{name[:100]}`, but this server accepts only loopback names, loopback addresses and"
            " names without a dot, because the server listens on a loopback address and requires no API key. Send"
            " requests to localhost or 127.0.0.1."
            f" {self._remedy}"
        )
        return ApiError(403, message, code="host_not_allowed", retryable=False)


@lru_cache(maxsize=16)
def is_local_name(host: str) -> bool:
    """Returns whether a Host header contains a loopback name or address, or a name that no website can have."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    words = name.rstrip(".").lower()
    has_dot = "." in words or ":" in words
    return not has_dot or is_loopback(name) or words.endswith(".localhost")
