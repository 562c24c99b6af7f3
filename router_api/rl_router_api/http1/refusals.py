"""The errors that a connection itself sends, before the application sees a request."""

from __future__ import annotations

import http
from dataclasses import dataclass

MAX_OVERHEAD = 64 * 1024
"""The maximum of bytes without body bytes between them: headers, or chunk sizes, extensions and trailers."""


@dataclass(frozen=True)
class Refusal:
    """An error: its HTTP status, a message for people, and a code for programs."""

    status: int
    message: str
    code: str


INVALID = Refusal(
    400,
    "The bytes received are not a valid HTTP/1.1 request. Check the client, or a proxy in front of the server.",
    "invalid_http",
)
LARGE_HEADERS = Refusal(
    431,
    f"The request headers are larger than {MAX_OVERHEAD} bytes. Send fewer or shorter headers.",
    "headers_too_large",
)
LARGE_FRAMING = Refusal(
    400,
    f"More than {MAX_OVERHEAD} bytes of chunk sizes, extensions or trailers in a row. Send larger chunks.",
    "invalid_http",
)


def response(refusal: Refusal, body: bytes) -> bytes:
    """Returns the bytes of a response that closes the connection. `body` is JSON."""
    status = http.HTTPStatus(refusal.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
