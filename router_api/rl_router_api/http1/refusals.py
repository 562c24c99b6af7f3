"""The errors that the protocol itself sends, before any application sees a request."""

from __future__ import annotations

import http
from dataclasses import dataclass

MAX_OVERHEAD = 64 * 1024
"""Bytes that may come without a byte of a body among them: a request's headers, or the sizes, the extensions and the
trailers of chunks."""


@dataclass(frozen=True)
class Refusal:
    """An error: its HTTP status, a message, and a code for programs."""

    status: int
    message: str
    code: str


INVALID = Refusal(400, "Invalid HTTP request received.", "invalid_http")
LARGE_HEADERS = Refusal(431, f"The headers are larger than {MAX_OVERHEAD} bytes.", "headers_too_large")
LARGE_FRAMING = Refusal(
    400, f"More than {MAX_OVERHEAD} bytes of chunk sizes, chunk extensions or trailers came at once.", "invalid_http"
)


def response(refusal: Refusal, body: bytes) -> bytes:
    """Returns the whole response, which ends the connection; `body` is JSON."""
    status = http.HTTPStatus(refusal.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
