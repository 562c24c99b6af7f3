"""A request's body, read within bounds."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope

from ..errors import ApiError, ClientGoneError
from ..timing import Until
from .client import Client
from .scope import header

_READ_TIMEOUT = 30.0
"""Seconds that may pass without a byte of the body."""


async def read_body(
    scope: Scope, client: Client, receive: Receive, limit: int, *, read_timeout: float = _READ_TIMEOUT
) -> bytes:  # fmt: skip
    """Returns the JSON body of at most `limit` bytes. No `read_timeout` seconds may pass without a byte of it.

    Raises ApiError (408, 413, 415), ClientGoneError.
    """
    declared = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if declared != "application/json":
        words = f"The body must be declared `Content-Type: application/json`, not `{declared or 'nothing'}`."
        raise ApiError(415, words, code="unsupported_media_type")
    length = header(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    whole = client.whole_body()
    if whole is None:
        return await _parts(receive, limit, read_timeout)
    if len(whole) > limit:
        raise _too_large(limit)
    return whole


async def _parts(receive: Receive, limit: int, read_timeout: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await _next(receive, read_timeout)
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _next(receive: Receive, read_timeout: float) -> Message:
    try:
        with Until(asyncio.get_running_loop().time() + read_timeout):
            return await receive()
    except TimeoutError:
        raise ApiError(408, f"No byte of the body came for {read_timeout:g} s.", code="request_timeout") from None


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The body is larger than {limit} bytes.", code="request_too_large")
