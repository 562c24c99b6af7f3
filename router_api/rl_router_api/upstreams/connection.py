"""An HTTP/1.1 connection to an upstream. The connection sends requests and returns the bytes of responses."""

from __future__ import annotations

import asyncio
import select
from typing import cast

import httptools

from ..content_coding import MAX_CODINGS, compressions_of
from ..errors import FaultKind, TransportError
from .idle_timer import IdleTimer

_MAX_OVERHEAD = 64 * 1024
"""The maximum number of consecutive bytes that do not belong to a response body: bytes of headers, interim responses,
chunk sizes, chunk extensions and trailers."""
_MAX_WAITING = 256 * 1024
"""The number of unread body bytes above which the connection stops reading from the upstream until the caller reads."""
_MAX_JOINED = 256 * 1024
"""The maximum size, in bytes, of a request body that is sent in one write with the request's headers."""


class _SurplusError(Exception):
    """An exception that stops the parser at bytes that follow a complete response."""


class _UnknownCodingError(Exception):
    """An exception that stops the parser at an unsupported Transfer-Encoding or at too many compressions."""


class Connection(asyncio.Protocol):
    """An HTTP/1.1 client connection that parses responses with the library httptools.

    The attributes `status` and `headers` are the status and the headers (with names in lower case) of the latest
    response.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = _new_parser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._idle = IdleTimer()
        self._expects_response = self._keeps_alive = self.closed = False
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """A future that is done when the connection is closed."""
        self.unread = select.poll()
        """The poll object that reports whether the kernel has received bytes that the event loop has not read yet. The
        poll object also reports the end of the connection."""
        self.opened = self._loop.time()
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        """Resets the state of the connection before the next response."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.compressions: list[str] = []
        """The known content codings of the response body, in the order in which the server applied them."""
        self._is_doubtful = False
        """Whether the response has both headers Transfer-Encoding and Content-Length. Such a response is read as
        chunked (RFC 9112, section 6.3), and the connection is not reused after the response."""
        self._overhead = 0
        """The number of bytes that have been received since the latest of these events: the request was sent, the
        headers ended, or a part of the response body arrived."""
        self._has_head = self._complete = False
        self._idle.is_paused = False
        self.has_received = False
        """Whether any byte of the response has arrived."""
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._fault: tuple[FaultKind, str] | None = None
        """The arguments of the `TransportError` that ends the response, or None if no error has occurred. The exception
        itself is not stored, because the traceback of the exception would refer to the connection."""

    @property
    def reusable(self) -> bool:
        """Whether the whole response was read and the connection can send another request."""
        return self._complete and self._keeps_alive and not self.closed and not self._pieces

    @property
    def transport(self) -> asyncio.Transport:
        """The asyncio transport. Raises TransportError if the connection was never made or was lost as TLS began."""
        if self._transport is None:
            raise TransportError("reset", "the connection to the upstream was lost")
        return self._transport

    async def send(self, head: bytes, idle_timeout: float, body: bytes = b"") -> None:
        """Sends a request and waits for the response headers. Raises TransportError if no valid headers arrive.

        The parameter `idle_timeout` is the maximum time without data, in seconds.
        """
        self._reset()
        self._expects_response = True
        self._idle.start(idle_timeout, self._fail)
        _write(self.transport, head, body)
        while not self._has_head:
            await self._wait()

    async def read(self) -> bytes:
        """Returns the next bytes of the response body, or b"" at the end of the body.

        Raises TransportError if the connection fails or the body is invalid.
        """
        while not self._pieces and not self._complete:
            await self._wait()
        received = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._waiting_bytes = [], 0
        if self._idle.is_paused:
            self._idle.is_paused, self._idle.last_data = False, self._loop.time()
            self.transport.resume_reading()
        return received

    def abort(self) -> None:
        """Closes the connection at once."""
        self.closed = True
        self._idle.cancel()
        if self._transport is not None:
            self._transport.abort()

    def reset_parser(self) -> None:
        """Replaces the parser after a proxy's response to CONNECT, so that the upstream's response can be parsed."""
        self._idle.cancel()
        self._parser = _new_parser(self)

    def set_transport(self, transport: asyncio.Transport) -> None:
        """Replaces the asyncio transport when TLS starts inside a proxy's tunnel."""
        self._transport = transport

    async def _wait(self) -> None:
        """Waits for the next event, such as the arrival of data. Raises TransportError if the response has failed."""
        if self._fault is not None:
            raise TransportError(*self._fault)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: FaultKind, message: str) -> None:
        if not self._complete and self._fault is None:
            self._fault = kind, message
        self.abort()
        self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.unread.register(transport.get_extra_info("socket"), select.POLLIN)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.lost.done():
            self.lost.set_result(None)
        if self._has_head and exc is None and not _is_framed(self.headers):
            # A response without a length ends when the connection is closed.
            self.on_message_complete()
        elif self._has_head:
            self._fail("broken", "the connection was closed before the response was complete")
        else:
            self._fail("reset", f"the connection to the upstream was lost: {type(exc).__name__ if exc else 'closed'}")
        # The parser refers back to this connection. After the parser is deleted, no garbage collection is needed.
        del self._parser

    def data_received(self, data: bytes) -> None:
        if not self._expects_response or self._complete:
            # If the connection were kept, the next request would take the unexpected bytes for its response.
            self.abort()
            return
        self._idle.last_data = self._loop.time()
        self._overhead += len(data)
        self.has_received = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("broken", f"the response is not valid HTTP/1.1: {type(error).__name__}. Check base_url")
        if self._overhead > _MAX_OVERHEAD and not self._complete:
            part = "chunk sizes, chunk extensions or trailers in a row" if self._has_head else "headers"
            self._fail("broken", f"the response has more than {_MAX_OVERHEAD} bytes of {part}")
        self._wake()

    def on_message_begin(self) -> None:
        if self._complete:
            # Bytes that follow a complete response in the same segment must not become part of the response.
            raise _SurplusError

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            # This is an interim response such as 100 Continue. The final response follows.
            self.headers = []
            return
        self._has_head, self._overhead = True, 0
        values = dict(self.headers)
        if b"content-encoding" in values:
            self.compressions = compressions_of(self.headers)
            if len(self.compressions) > MAX_CODINGS:
                self._fail("broken", f"the response has more than {MAX_CODINGS} compressions. Disable the compression")
                raise _UnknownCodingError
        if (coding := values.get(b"transfer-encoding")) is not None:
            if coding.rstrip().lower() != b"chunked" or (
                len(values) < len(self.headers) and _is_repeated(self.headers)
            ):
                self._fail("broken", "unsupported Transfer-Encoding. Make the upstream send only one, `chunked`")
                raise _UnknownCodingError
            self._is_doubtful = b"content-length" in values

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        self._pieces.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > _MAX_WAITING and not self._idle.is_paused:
            self._idle.is_paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._has_head:
            return
        self._complete, self._expects_response = True, False
        self._idle.suspend()
        self._keeps_alive = not self.closed and not self._is_doubtful and bool(self._parser.should_keep_alive())
        self._wake()


def _write(transport: asyncio.Transport, head: bytes, body: bytes) -> None:
    if len(body) <= _MAX_JOINED:
        transport.write(head + body)
    else:
        # A copy of a large body would use memory until the response headers arrive.
        transport.write(head)
        transport.write(body)


def _new_parser(connection: Connection) -> httptools.HttpResponseParser:
    """Returns a parser that, like other clients, tolerates some deviations from HTTP/1.1, such as folded headers."""
    parser = httptools.HttpResponseParser(connection)
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_version=True,
        lenient_chunked_length=True,
        lenient_spaces_after_chunk_size=True,
    )
    return parser


def _is_framed(headers: list[tuple[bytes, bytes]]) -> bool:
    """Returns whether the headers of a response define where the response ends."""
    # The parser accepts white space after the name `Content-Length`.
    return any(name.strip() in (b"content-length", b"transfer-encoding") for name, _ in headers)


def _is_repeated(headers: list[tuple[bytes, bytes]]) -> bool:
    """Returns whether a response has several Transfer-Encoding headers."""
    return [name for name, _ in headers].count(b"transfer-encoding") > 1
