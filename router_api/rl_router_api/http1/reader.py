"""Parses a connection's bytes into requests with httptools, limits headers, and counts the bytes of body framing."""

from __future__ import annotations

import re
import urllib.parse
from functools import lru_cache
from typing import Any, Protocol

import httptools

from .asgi import Scope
from .pipeline import Pipeline
from .refusals import (
    INVALID,
    INVALID_HOST,
    LARGE_HEADERS,
    MAX_HEADERS,
    MAX_OVERHEAD,
    SEVERAL_AUTHORIZATIONS,
    UNKNOWN_CODING,
    UNKNOWN_VERSION,
    Refusal,
)
from .request_response import EXTENSION, HEADERS, CycleConnection, RequestResponseCycle

_SMALL = 2_500
"""The maximum size, in bytes, of a segment that is parsed in one step, and of a part that may contain several requests.
2,500 bytes contain at most 100 requests."""
_END = b"\r\n\r\n"
"""The bytes at the end of the headers, and at the end of a chunked body."""
_MAX_BUFFERED = 64 * 1024
"""The number of body bytes that the application has not read, above which the connection stops reading."""
_ASGI = {"version": "3.0", "spec_version": "2.3"}


_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:.%]+\])(?::\d*)?[ \t]*")
"""Roughly matches the values that RFC 9110, 7.2, allows for the Host header. Trailing white space is allowed too,
because httptools does not remove trailing white space."""
_UNREPEATABLE = {
    b"transfer-encoding": UNKNOWN_CODING,
    b"host": INVALID_HOST,
    b"authorization": SEVERAL_AUTHORIZATIONS,
}


class _RefusedError(Exception):
    """An exception that stops the httptools parser.

    The parser raises HttpParserError after any exception in a callback.
    """


class ReaderConnection(CycleConnection, Protocol):
    """The part of a connection that the reader uses."""

    def pause_reading(self) -> None: ...


class RequestReader:
    """Parses the bytes of a connection into requests, and passes the requests to the pipeline.

    The attribute `latest` is the request whose headers were completed last. The attribute `in_headers` is true until
    the end of a request's headers, and again after the request's end. The attribute `overhead` is the size, in bytes,
    of the segments after the last segment with a byte of a body, the end of headers or the end of a request. From
    the first byte of headers to their end, `overhead` is at least 1. The attribute `unread` contains unparsed bytes.
    """

    def __init__(self, connection: ReaderConnection, pipeline: Pipeline, addresses: dict[str, Any]) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._addresses = addresses
        self._parser = _new_parser(self)
        self.latest: RequestResponseCycle | None = None
        self.in_headers = True
        self.overhead = 0
        self._segment = self._span = 0
        """The size of the current segment, and the total size of the segments with the headers that are being received,
        both in bytes."""
        self._body_left = 0
        """The number of missing bytes of the current request's body. The number is at most 0 if the request has no
        Content-Length header."""
        self.unread = b""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self.refusal: Refusal | None = None
        """The error response for the headers that were received last, or None if no specific error response applies to
        these headers."""

    @property
    def is_idle(self) -> bool:
        """Whether the response to every parsed request is complete."""
        return self.latest is None or self.latest.response_complete

    def read(self, data: bytes) -> None:
        """Parses a segment of bytes from the client.

        Raises HttpParserError if the segment is invalid, has too many headers or completes too large headers. If the
        response to a request is not complete, a large segment is parsed only up to and including the part with the
        request's end, because parsed requests take much more memory than their bytes. The rest stays in `unread`.
        """
        size, start = len(data), 0
        if size <= _SMALL:
            self._parse(data)
            return
        view = memoryview(data)
        while start < size:
            if self.in_headers and not self.is_idle:
                self.unread = data[start:]
                if not self.overhead:
                    # Line breaks between requests are ignored (RFC 9112, 2.2), but not within headers.
                    self.unread = self.unread.lstrip(b"\r\n")
                if self.unread:
                    self._connection.pause_reading()
                return
            end = self._end_of_part(data, start)
            self._parse(view[start:end])
            start = end

    def take_unread(self) -> bytes:
        """Returns the bytes that were received but not parsed, and removes these bytes from the attribute `unread`."""
        data, self.unread = self.unread, b""
        return data

    def _end_of_part(self, data: bytes, start: int) -> int:
        """Returns the end of the next part of `data`: a possible end of a request, or the end of `data`."""
        if not self.in_headers and self._body_left > 0:
            return min(start + self._body_left, len(data))
        # A chunked body may consist of such ends, and each part costs a call of the parser, so a part contains as many
        # ends as fit into a small segment.
        end = data.rfind(_END, start, start + _SMALL)
        if end < 0:
            end = data.find(_END, start)
        return len(data) if end < 0 else end + len(_END)

    def _parse(self, data: bytes | memoryview) -> None:
        self._segment = size = len(data)
        self.overhead += size
        self._span += size
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade(data[upgrade.args[0] :])
            else:
                break
        if self.in_headers and len(self._headers) > MAX_HEADERS:
            self.refusal = LARGE_HEADERS
            raise httptools.HttpParserError("too many headers")

    def close(self) -> None:
        """Breaks the reference cycle between the reader and the connection, so that Python frees both without the
        garbage collector."""
        del self._parser, self._connection
        self.latest, self.unread = None, b""

    # The parser calls these methods.

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []
        self.in_headers = True
        self.overhead = self.overhead or 1
        self._span = self._segment

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_headers:
            # This line is a trailer, which must not become a header (RFC 9110, 6.5.1). The server ignores all trailers.
            return
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._span > MAX_OVERHEAD and self._header_bytes() > MAX_OVERHEAD:
            self.overhead = self._header_bytes()
            raise _RefusedError
        parser, headers = self._parser, self._headers
        # If a header is repeated, the dictionary contains the first value.
        values = dict(headers[::-1])
        version = parser.get_http_version()
        self.refusal = LARGE_HEADERS if len(headers) > MAX_HEADERS else _refusal_of(headers, values, version)
        if self.refusal is not None:
            raise _RefusedError
        if parser.should_upgrade():
            return  # The parser raises HttpParserUpgrade next, which `_parse` handles.
        # A length of more than 4,300 digits raises a ValueError, which the connection answers with an error.
        self._body_left = int(values.get(b"content-length", 0))
        is_next, scope, is_modern = self.is_idle, self._scope(version, values), version != "1.0"
        expected = values.get(b"expect")
        self.in_headers, self.overhead = False, 0
        self.latest = cycle = RequestResponseCycle(
            self._connection,
            scope["method"],
            scope["http_version"],
            keep_alive=is_modern and parser.should_keep_alive(),
            expects_continue=is_modern and expected is not None and expected.rstrip().lower() == b"100-continue",
        )
        scope["extensions"] = {EXTENSION: cycle}
        if is_next:
            self._pipeline.start(cycle, scope)
        else:
            self._pipeline.waiting.append((cycle, scope))
            self._connection.pause_reading()

    def on_body(self, body: bytes) -> None:
        self.overhead = 0
        self._body_left -= len(body)
        cycle = self.latest
        if cycle is not None and not cycle.response_complete:
            cycle.add_body(body)
            if cycle.buffered > _MAX_BUFFERED:
                self._connection.pause_reading()

    def on_message_complete(self) -> None:
        self.in_headers, self.overhead = True, 0
        if self.latest is not None:
            self.latest.end_body()

    def _without_upgrade(self, rest: bytes | memoryview) -> bytes:
        """Returns the bytes of the request's head without the `Upgrade` header, followed by `rest`, the bytes after the
        head.

        Java's HTTP client sends the `Upgrade` header to offer h2c, which is HTTP/2 without TLS. If the request kept the
        header `Upgrade`, the parser would treat the body as data of the protocol that the header names. Replaces
        the parser. Raises HttpParserError if the method is CONNECT.
        """
        headers = [name + b": " + value for name, value in self._headers if name != b"upgrade"]
        if len(headers) == len(self._headers):
            raise httptools.HttpParserError("CONNECT is not supported")
        version = self._parser.get_http_version().encode()
        request_line = b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, version)
        self._parser = _new_parser(self)
        return b"\r\n".join([request_line, *headers, b"", rest])

    def _scope(self, version: str, values: dict[bytes, bytes]) -> Scope:
        url = httptools.parse_url(self._url)
        if url.fragment is not None:
            raise _RefusedError
        # An absolute URL in the request line may have no path.
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.0" if version == "1.0" else "1.1",
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self._headers,
            HEADERS: values,
            **self._addresses,
        }

    def _header_bytes(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self._headers)


def _new_parser(reader: RequestReader) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(reader)
    # A request with `Connection: close` gets its response even if the client sends data after the request. The function
    # `_refusal_of` checks the HTTP version, because a minor version above 1 is read as HTTP/1.1 (RFC 9110, 2.5).
    parser.set_dangerous_leniencies(lenient_data_after_close=True, lenient_version=True)
    return parser


def _refusal_of(headers: list[tuple[bytes, bytes]], values: dict[bytes, bytes], version: str) -> Refusal | None:
    """Returns the error response for invalid or unsupported headers that httptools accepts, or None if all are valid.

    RFC 9112, 3.2 and 6.1, forbids some headers that httptools accepts. The argument `values` maps the name of each
    header to the first value of the header.
    """
    host, coding = values.get(b"host"), values.get(b"transfer-encoding")
    if coding is not None and coding.strip().lower() != b"chunked":
        return UNKNOWN_CODING
    if version != "1.1" and (refusal := _version_refusal(version, coding)):
        return refusal
    if not _is_host(host) if host is not None else version != "1.0":
        return INVALID_HOST
    return _repetition(headers) if len(values) < len(headers) else None


@lru_cache(maxsize=64)
def _is_host(value: bytes) -> bool:
    """Returns whether the value of a Host header is valid. The results are cached, because clients repeat the value."""
    return _HOST.fullmatch(value) is not None


def _version_refusal(version: str, coding: bytes | None) -> Refusal | None:
    """Returns the error response for an HTTP version other than 1.1, or None if the connection accepts the version.

    An HTTP/1.0 request must not have a Transfer-Encoding header (RFC 9112, 6.1).
    """
    if version == "0.9" or (version == "1.0" and coding is not None):
        return INVALID
    return None if version.startswith("1.") else UNKNOWN_VERSION


def _repetition(headers: list[tuple[bytes, bytes]]) -> Refusal | None:
    """Returns the error response for a repeated header that must not be repeated, or None if no such header is
    repeated."""
    names = [name for name, _ in headers]
    return next((refusal for name, refusal in _UNREPEATABLE.items() if names.count(name) > 1), None)
