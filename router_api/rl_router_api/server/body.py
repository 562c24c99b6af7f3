"""Reads a request's body within limits of size, memory and time, and decompresses the body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import Message, Receive, Scope

from ..config import RequestHandlingConfig
from ..content_coding import compression_of, decoded
from ..errors import ApiError, ClientGoneError, bad_request
from ..runtime.load import Load
from ..timing import Until
from .client import Client
from .scope import header

T = TypeVar("T")
_JSON = "application/json"
_CODINGS = ("gzip", "deflate")
_DECODERS = ThreadPoolExecutor(2, thread_name_prefix="decode")
"""The two threads of a process that decode large bodies and compressed bodies. With two threads, at most two of these
bodies use memory for decoding in the process at the same time."""
LARGE_BODY = 256 * 1024
"""The number of bytes above which an uncompressed request body is decoded in a thread, so that decoding does not delay
other requests."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits of a request's body.

    The field `deadline` is the time, on the event loop's clock, by which the body must be complete. The field
    `duration` is the number of seconds from the start of the request's handling to the deadline.
    """

    server: RequestHandlingConfig
    load: Load
    deadline: float
    duration: float
    read_timeout: float = 30.0
    """The maximum number of seconds for which no data of the request body is received."""
    key: str | None = None
    """The name of the client's API key if the server has several API keys, and otherwise None."""


def whole_body(scope: Scope, client: Client, limit: int) -> bytes | None:
    """Returns the JSON body as received, perhaps compressed, or None if the caller must call `read_parts`.

    Raises ApiError with status 413 if the body or its declared length is too large, and with status 415 if the body is
    not declared as JSON.
    """
    declared = header(scope, b"content-type") or ""
    if declared != _JSON and (media_type := declared.partition(";")[0].strip().lower()) != _JSON:
        actual = f"not `{media_type}`" if media_type else "which is missing"
        message = f"The body requires the header `Content-Type: {_JSON}`, {actual}."
        raise ApiError(415, message, code="unsupported_media_type")
    whole = client.whole_body()
    if _length(scope) > limit if whole is None else len(whole) > limit:
        raise _too_large(limit)
    return whole


def _length(scope: Scope) -> int:
    """Returns the length in bytes that the request's headers declare for the body, or 0 if they declare no length."""
    length = header(scope, b"content-length")
    return int(length) if length is not None and length.isdigit() else 0


def coding_of(scope: Scope) -> str | None:
    """Returns the name of the compression of the body, or None if the body is not compressed.

    Raises ApiError with status 415 if the server does not support the compression.
    """
    name = header(scope, b"content-encoding")
    if name is None or name.strip().lower() in ("", "identity"):
        return None
    coding = compression_of(name.encode("latin-1"))
    if coding not in _CODINGS:
        accepted = ", ".join(_CODINGS)
        message = (
            f"The body has `Content-Encoding: {name}`, but the server accepts only {accepted} and uncompressed bodies. "
            "Send the body without compression."
        )
        raise ApiError(415, message, code="unsupported_media_type", headers={"accept-encoding": accepted})
    return coding


async def read_in_thread(read: Callable[[bytes], T], body: bytes, coding: str | None, limit: int) -> tuple[T, int]:
    """Decompresses the body if `coding` is not None, calls `read` with the body, and returns the result of `read`.

    The second returned value is the size in bytes of the body that `read` gets. The decompression and `read` together
    can take half a second. One of two threads runs them, so that the process decodes at most two large or compressed
    bodies at the same time. Raises ApiError with status 400 if the body is not valid for `coding`, with status
    413 if the decompressed body has more than `limit` bytes, and any error that `read` raises.
    """
    return await asyncio.get_running_loop().run_in_executor(_DECODERS, _read, read, body, coding, limit)


def _read(read: Callable[[bytes], T], body: bytes, coding: str | None, limit: int) -> tuple[T, int]:
    plain = body if coding is None else decompressed(body, coding, limit)
    return read(plain), len(plain)


def decompressed(body: bytes, coding: str, limit: int) -> bytes:
    """Returns the decompressed body.

    Raises ApiError with status 400 if the body is not valid for `coding`, and with status 413 if the decompressed body
    has more than `limit` bytes.
    """
    try:
        plain = decoded(body, coding, limit)
    except ValueError as error:
        raise bad_request(f"The body is not valid {coding}: {error}. Send the body without compression.") from None
    if plain is None:
        raise _too_large(limit)
    return plain


async def read_parts(receive: Receive, limits: BodyLimits) -> bytes:
    """Receives a request body in parts, and returns the bytes of the whole body.

    Raises ApiError with status 413 if the body is too large, with status 429 if `Load.hold` finds too many pending
    bytes of the server or of the API key, and with status 408 or 504 if the client is too slow. Raises ClientGoneError
    if the client disconnects.
    """
    server, load = limits.server, limits.load
    # If a body arrives in parts of a few bytes, a list of these parts could take twenty times the memory of the body.
    body = bytearray()
    size = 0
    try:
        while True:
            message = await _next_message(receive, limits)
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            load.hold(len(part), server, limits.key)
            if size > server.max_body_bytes:
                raise _too_large(server.max_body_bytes)
            body += part
            if not message.get("more_body"):
                return bytes(body)
    finally:
        load.release(size, limits.key)


async def _next_message(receive: Receive, limits: BodyLimits) -> Message:
    loop = asyncio.get_running_loop()
    try:
        with Until(min(loop.time() + limits.read_timeout, limits.deadline)):
            return await receive()
    except TimeoutError:
        if loop.time() >= limits.deadline:
            message = (
                f"The request body was not complete within the deadline of {limits.duration:g} s. "
                "Send the body faster, or raise the server's `routing.deadline`."
            )
            raise ApiError(504, message, code="deadline_exceeded", retryable=False) from None
        message = f"No data of the request body was received for {limits.read_timeout:g} s."
        raise ApiError(408, f"{message} Send the body without pauses.", code="request_timeout") from None


def _too_large(limit: int) -> ApiError:
    message = f"The request body is larger than the limit of {limit} bytes. Shorten the request."
    return ApiError(413, message, code="request_too_large")
