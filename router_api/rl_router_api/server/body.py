"""Reads a request's body, with a size limit and a read timeout, and decompresses it."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope

from ..content_coding import compression_of, decoded
from ..errors import ApiError, ClientGoneError, bad_request
from ..timing import Until
from .client import Client
from .scope import header

_CODINGS = ("gzip", "deflate")
_READ_TIMEOUT = 30.0
"""Seconds to wait for the next bytes of the body."""


async def read_body(
    scope: Scope, client: Client, receive: Receive, limit: int, *, read_timeout: float = _READ_TIMEOUT
) -> bytes:  # fmt: skip
    """Returns the decompressed bytes of the JSON body, at most `limit`. `read_timeout` is in seconds.

    Raises ApiError (408, 413, 415) and, if the client disconnects, ClientGoneError.
    """
    declared = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if declared != "application/json":
        actual = f"not `{declared}`" if declared else "which is missing"
        message = f"The body requires the header `Content-Type: application/json`, {actual}."
        raise ApiError(415, message, code="unsupported_media_type")
    coding = _coding_of(scope)
    length = header(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    whole = client.whole_body()
    if whole is None:
        whole = await _read_parts(receive, limit, read_timeout)
    elif len(whole) > limit:
        raise _too_large(limit)
    return whole if coding is None else await _decompressed(whole, coding, limit)


def _coding_of(scope: Scope) -> str | None:
    """Returns the compression of the body; None if it is plain. Raises ApiError (415) if it is not supported."""
    name = header(scope, b"content-encoding")
    if name is None or name.strip().lower() in ("", "identity"):
        return None
    coding = compression_of(name.encode("latin-1"))
    if coding not in _CODINGS:
        accepted = ", ".join(_CODINGS)
        message = f"The body has `Content-Encoding: {name}`, but only {accepted} and plain bodies are accepted."
        raise ApiError(415, message, code="unsupported_media_type", headers={"accept-encoding": accepted})
    return coding


async def _decompressed(body: bytes, coding: str, limit: int) -> bytes:
    """Returns the body without its coding. Decodes it in a thread, because that may take half a second."""
    try:
        plain = await asyncio.to_thread(decoded, body, coding, limit)
    except ValueError as error:
        raise bad_request(f"The body is not valid {coding}: {error}. Send it again, or send it plain.") from None
    if plain is None:
        raise _too_large(limit)
    return plain


async def _read_parts(receive: Receive, limit: int, read_timeout: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await _next_message(receive, read_timeout)
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _next_message(receive: Receive, read_timeout: float) -> Message:
    try:
        with Until(asyncio.get_running_loop().time() + read_timeout):
            return await receive()
    except TimeoutError:
        message = f"No data of the request body was received for {read_timeout:g} s. Send the body without pauses."
        raise ApiError(408, message, code="request_timeout") from None


def _too_large(limit: int) -> ApiError:
    message = f"The request body is larger than the limit of {limit} bytes. Shorten the request."
    return ApiError(413, message, code="request_too_large")
