"""One HTTP/1.1 connection to an upstream: a request out, its answer as bytes that come, then the next request."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

import httptools

from ..errors import FaultKind, TransportError
from .idle_timer import IdleTimer

_MAX_OVERHEAD = 64 * 1024
"""Bytes that may come without a byte of the body among them: headers, interim answers, and the sizes, extensions and
the trailers of chunks."""
_MAX_WAITING = 256 * 1024
"""Bytes of an answer that may wait for their reader before no more are taken from the upstream."""


class _SurplusError(Exception):
    """Ends the parsing of bytes that follow an answer."""


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 by httptools; `status` and `headers` (as they came) are those of the latest answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._idle = IdleTimer()
        self._asked = False
        self._keeps_alive = False
        self.closed = False
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done once nothing of the connection is left."""
        self.idle_since = 0.0
        self._forget()

    def _forget(self) -> None:
        """Makes ready for another answer."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._overhead = 0
        """Bytes since the last byte of the body, or since the request was sent."""
        self._has_head = self._complete = False
        self._idle.is_paused = False
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._fault: tuple[FaultKind, str] | None = None
        """What a `TransportError` is to say; the error itself would refer back to this connection by its traceback."""

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end and the connection can take a further request."""
        return self._complete and self._keeps_alive and not self.closed and not self._pieces

    @property
    def transport(self) -> asyncio.Transport:
        """What it speaks over. Raises TransportError where it was never connected."""
        if self._transport is None:
            raise TransportError("reset", "the connection was lost")
        return self._transport

    async def ask(self, request: bytes, idle_timeout: float) -> None:
        """Sends a request and waits for the headers; `idle_timeout` is the seconds that may pass without a byte.

        Raises TransportError.
        """
        self._forget()
        self._asked = True
        self._idle.start(idle_timeout, partial(self._fail, "timeout", "no byte in time"))
        self.transport.write(request)
        while not self._has_head:
            await self._news()

    async def read(self) -> bytes:
        """The next bytes of the body as they come; none at its end. Raises TransportError."""
        while not self._pieces and not self._complete:
            await self._news()
        read = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._waiting_bytes = [], 0
        if self._idle.is_paused:
            self._idle.is_paused, self._idle.heard = False, self._loop.time()
            self.transport.resume_reading()
        return read

    def abort(self) -> None:
        """Drops the connection."""
        self.closed = True
        self._idle.cancel()
        if self._transport is not None:
            self._transport.abort()

    def forget_parser(self) -> None:
        """Makes ready for another protocol's bytes: a tunnel's, behind the proxy's answer."""
        self._idle.cancel()
        self._parser = httptools.HttpResponseParser(self)

    def over(self, transport: asyncio.Transport) -> None:
        """From now on it speaks over this transport."""
        self._transport = transport

    async def _news(self) -> None:
        """Waits until something came. Raises TransportError."""
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

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.lost.done():
            self.lost.set_result(None)
        if self._has_head and not _is_framed(self.headers) and exc is None:
            # Without a length the end of the connection is the end of the answer.
            self.on_message_complete()
        elif self._has_head:
            self._fail("broken", "the answer cannot be read: it was cut")
        else:
            self._fail("reset", f"the connection was lost: {type(exc).__name__ if exc else 'closed'}")
        # The parser refers back to this connection, whose memory comes free without the garbage collector.
        del self._parser

    def data_received(self, data: bytes) -> None:
        if not self._asked or self._complete:
            # Bytes that nobody asked for would be taken for the next answer.
            self.abort()
            return
        self._idle.heard = self._loop.time()
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("broken", f"the answer cannot be read: {type(error).__name__}")
        if self._overhead > _MAX_OVERHEAD and not self._complete:
            what = "chunk sizes, chunk extensions or trailers" if self._has_head else "headers"
            self._fail("broken", f"the answer cannot be read: more than {_MAX_OVERHEAD} bytes of {what}")
        self._wake()

    def on_message_begin(self) -> None:
        if self._complete:
            # What follows a whole answer in its segment is nobody's answer, and must not become part of that one.
            raise _SurplusError

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            # 100 Continue and its like: the answer is still to come.
            self.headers = []
            return
        self._has_head, self._overhead = True, 0

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
        self._complete, self._asked = True, False
        self._idle.suspend()
        self._keeps_alive = not self.closed and bool(self._parser.should_keep_alive())
        self._wake()


def _is_framed(headers: list[tuple[bytes, bytes]]) -> bool:
    """Returns whether the answer says where it ends."""
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)
