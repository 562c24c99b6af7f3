"""Reads a request's body within limits of size, memory and time, and decompresses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import Message, Receive, Scope

from ..config import RequestHandlingConfig
from ..content_coding import compression_of, decoded
from ..errors import ApiError, ClientGoneError, bad_request
from ..runtime.load import Load
from ..timing import Until
from .client import Client
from .scope import header

T = TypeVar("T")
_CODINGS = ("gzip", "deflate")
_DECODERS = ThreadPoolExecutor(2, thread_name_prefix="decode")
"""The threads that decode large and compressed bodies. Their number limits the memory of bodies that are decoded."""
LARGE_BODY = 256 * 1024
"""The number of bytes above which a body is decoded in a thread, so that other requests are handled meanwhile."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits of a request's body. `deadline` is a time of the event loop's clock, `read_timeout` is in seconds."""

    server: RequestHandlingConfig
    load: Load
    deadline: float
    read_timeout: float = 30.0
    """Maximum seconds without further bytes of the body."""


def whole_body(scope: Scope, client: Client, limit: int) -> bytes | None:
    """Returns the bytes of the JSON body as the client sent them; None if the body is not complete yet.

    Raises ApiError (413, 415) if the headers or the complete body are not accepted.
    """
    declared = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if declared != "application/json":
        actual = f"not `{declared}`" if declared else "which is missing"
        message = f"The body requires the header `Content-Type: application/json`, {actual}."
        raise ApiError(415, message, code="unsupported_media_type")
    length = header(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    whole = client.whole_body()
    if whole is not None and len(whole) > limit:
        raise _too_large(limit)
    return whole


def coding_of(scope: Scope) -> str | None:
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


def in_thread(decode: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """Calls a function that decodes a body in one of the two threads for decoding."""
    return asyncio.get_running_loop().run_in_executor(_DECODERS, decode, *arguments)


async def decompressed(body: bytes, coding: str, limit: int) -> bytes:
    """Returns the body without its coding. Decodes it in a thread, because that may take half a second.

    Raises ApiError (400, 413).
    """
    try:
        plain = await in_thread(decoded, body, coding, limit)
    except ValueError as error:
        raise bad_request(f"The body is not valid {coding}: {error}. Send it again, or send it plain.") from None
    if plain is None:
        raise _too_large(limit)
    return plain


async def read_parts(receive: Receive, limits: BodyLimits) -> bytes:
    """Returns the bytes of a body that was not complete when its request began.

    Raises ApiError (408, 413, 429, 504) and, if the client disconnects, ClientGoneError.
    """
    server, load = limits.server, limits.load
    # A list of parts could take twenty times the memory of a body that arrives in parts of a few bytes.
    body = bytearray()
    size = 0
    try:
        while True:
            message = await _next_message(receive, limits)
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            load.hold(len(part), server)
            if size > server.max_body_bytes:
                raise _too_large(server.max_body_bytes)
            body += part
            if not message.get("more_body"):
                return bytes(body)
    finally:
        load.release(size)


async def _next_message(receive: Receive, limits: BodyLimits) -> Message:
    loop = asyncio.get_running_loop()
    try:
        with Until(min(loop.time() + limits.read_timeout, limits.deadline)):
            return await receive()
    except TimeoutError:
        if loop.time() >= limits.deadline:
            message = (
                "The deadline passed before the request body was complete. "
                "Send the body faster, or raise the server's `routing.deadline`."
            )
            raise ApiError(504, message, code="deadline_exceeded", retryable=False) from None
        message = f"No data of the request body was received for {limits.read_timeout:g} s."
        raise ApiError(408, f"{message} Send the body without pauses.", code="request_timeout") from None


def _too_large(limit: int) -> ApiError:
    message = f"The request body is larger than the limit of {limit} bytes. Shorten the request."
    return ApiError(413, message, code="request_too_large")
