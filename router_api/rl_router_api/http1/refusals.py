"""The errors that a connection sends without the ASGI application, for invalid requests and exceeded limits."""

from __future__ import annotations

import http
from dataclasses import dataclass

MAX_OVERHEAD = 64 * 1024
"""The maximum number of consecutive bytes of URL and headers, or of chunk sizes, chunk extensions and trailers."""
MAX_HEADERS = 256
"""The maximum number of headers of a request. Even a header of 4 bytes takes more than 100 bytes of memory."""


@dataclass(frozen=True)
class Refusal:
    """An error response: its HTTP status, a message for people, and a code for programs."""

    status: int
    message: str
    code: str


INVALID = Refusal(
    400,
    "The received bytes are not a valid HTTP/1.1 request. Check the client and any proxy in front of the server.",
    "invalid_http",
)
INVALID_HOST = Refusal(
    400,
    "The Host header of the request is missing, invalid or repeated. Send exactly one valid Host header.",
    "invalid_http",
)
SEVERAL_AUTHORIZATIONS = Refusal(400, "The request has several Authorization headers. Send only one.", "invalid_http")
UNKNOWN_CODING = Refusal(
    501,
    "The request has a Transfer-Encoding other than chunked. Send the body chunked, or with a Content-Length.",
    "invalid_http",
)
UNKNOWN_VERSION = Refusal(505, "The request has an unsupported HTTP version. Use HTTP/1.1.", "invalid_http")
LARGE_HEADERS = Refusal(
    431,
    f"The request has more than {MAX_OVERHEAD} bytes of URL and headers, or more than {MAX_HEADERS} headers. "
    "Shorten the URL, or send fewer or shorter headers.",
    "headers_too_large",
)
LARGE_FRAMING = Refusal(
    400,
    f"The body has over {MAX_OVERHEAD} bytes of chunk sizes, extensions or trailers in a row. Shorten them.",
    "invalid_http",
)


def response(refusal: Refusal, body: bytes) -> bytes:
    """Returns the bytes of an error response with the header `Connection: close`. `body` is JSON."""
    status = http.HTTPStatus(refusal.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
