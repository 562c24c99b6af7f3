"""A request's headers and body, read within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from ..errors import ApiError, ClientGoneError
from ..http1.asgi import Receive
from ..http1.cycle import EXTENSION
from ..timing import Until

_SILENCE = 30.0
"""Seconds that may pass without a byte of the body."""


def header(scope: MutableMapping[str, Any], name: bytes) -> str | None:
    """A header's value."""
    for key, value in scope["headers"]:
        if key == name:
            given: bytes = value
            return given.decode("latin-1")
    return None


async def read_body(
    scope: MutableMapping[str, Any], receive: Receive, limit: int, *, silence: float = _SILENCE
) -> bytes:  # fmt: skip
    """The JSON body, at most `limit` bytes, without `silence` seconds in it. Raises ApiError (408, 413, 415),
    ClientGoneError."""
    declared = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if declared != "application/json":
        words = f"The body must be declared `Content-Type: application/json`, not `{declared or 'nothing'}`."
        raise ApiError(415, words, code="unsupported_media_type")
    length = header(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    cycle = scope.get("extensions", {}).get(EXTENSION)
    whole: bytes | None = cycle.whole_body() if cycle is not None else None
    if whole is None:
        return await _parts(receive, limit, silence)
    if len(whole) > limit:
        raise _too_large(limit)
    return whole


async def _parts(receive: Receive, limit: int, silence: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await _next(receive, silence)
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _next(receive: Receive, silence: float) -> MutableMapping[str, Any]:
    try:
        with Until(asyncio.get_running_loop().time() + silence):
            return await receive()
    except TimeoutError:
        raise ApiError(408, f"No byte of the body came for {silence:g} s.", code="request_timeout") from None


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The body is larger than {limit} bytes.", code="request_too_large")
