"""The HTTP/1.1 connection handler for uvicorn's server.

The handler combines a request reader, a pipeline of requests and timeouts. uvicorn's own connection handler for
httptools has no timeouts for slow clients and no limits on headers. It also takes more CPU time than the connection
handler in this module (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, cast

import httptools

from .asgi import ServerConfig, ServerState
from .deadlines import Deadlines
from .half_close import waits_for_response
from .pipeline import Pipeline
from .reader import RequestReader
from .reading import Reading
from .refusals import INVALID, LARGE_FRAMING, LARGE_HEADERS, MAX_OVERHEAD, Refusal, response


class HttpConnection(asyncio.Protocol, ABC):
    """A client's HTTP/1.1 connection, implemented as an asyncio protocol.

    A request may have at most 256 headers, and at most 64 KiB of URL and headers. The headers of the first request must
    be complete within 30 seconds of the connection's start. The headers of a later request must be complete within 30
    seconds of their first byte, or of the previous response's end if this end is later. While the write buffer is full,
    a client must read a part of the response every 60 seconds. A body may have at most 64 KiB of framing (chunk sizes,
    extensions, trailers) in a row. The connection ignores the trailers of a body.
    """

    headers_timeout: ClassVar[float] = 30.0
    """The number of seconds that a client may take to complete the headers of a request."""
    write_timeout: ClassVar[float] = 60.0
    """The seconds for which a client may read nothing while the write buffer is full or the connection closes."""
    linger: ClassVar[float] = 2.0
    """The maximum number of seconds for which the connection receives and discards bytes after the last response."""

    write: Callable[[bytes], None]
    _transport: asyncio.Transport
    _deadlines: Deadlines
    _pipeline: Pipeline
    _reading: Reading
    _reader: RequestReader

    def __init__(
        self,
        config: ServerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn passes it
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._loop = _loop or asyncio.get_running_loop()
        self.state = server_state
        self.write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._is_over = False
        """Whether the connection ignores new bytes, because a request was invalid or the last response was sent."""

    @staticmethod
    @abstractmethod
    def error_body(refusal: Refusal) -> bytes:
        """Returns the JSON body of the error response `refusal`, which the connection itself sends."""

    # asyncio calls these methods.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.write = self._transport.write
        self.state.connections.add(self)
        server, client = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        addresses = {"server": server and server[:2], "client": client and client[:2]}
        self._deadlines = Deadlines(self._loop, self._transport, self.headers_timeout, self.write_timeout)
        self._pipeline = Pipeline(self._config.loaded_app, self.state, self._loop, self._deadlines)
        self._reader = RequestReader(self, self._pipeline, addresses)
        self._reading = Reading(self._loop, self._transport, self._deadlines, self._pipeline, self._reader)
        self._deadlines.expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it
        self.state.connections.discard(self)
        self._deadlines.close()
        self._reading.close()
        self._pipeline.disconnect()
        self.resume_writing()
        self._reader.close()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        reader = self._reader
        try:
            reader.read(data)
        except httptools.HttpParserError:
            self._refuse_bytes()
            return
        if reader.overhead > MAX_OVERHEAD and not self._transport.is_closing():
            self._refuse_overhead()
        elif reader.in_headers and reader.overhead and not self._deadlines.in_headers and reader.is_idle:
            self._deadlines.expect_headers()

    def eof_received(self) -> bool:
        """Returns whether the connection stays open after the client has closed the sending side of the connection."""
        return not self._reading.is_behind and waits_for_response(self._loop, self._pipeline, self.write, is_last=True)

    def pause_writing(self) -> None:
        self.write_paused = True
        self._deadlines.expect_reader()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._deadlines.reader_caught_up()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # uvicorn's server calls this method.

    def shutdown(self) -> None:
        """Closes the connection after the responses to all parsed requests, because the server stops."""
        latest = self._reader.latest
        if latest is None or latest.response_complete:
            self._deadlines.close_connection()
        else:
            latest.keep_alive = False

    # The reader and the `RequestResponseCycle` call these methods.

    def pause_reading(self) -> None:
        self._reading.pause()

    def resume_reading(self) -> None:
        self._reading.resume()

    async def drained(self) -> None:
        """Waits until the client has read enough of the response for the server to write more, or has disconnected."""
        if self._drained is None:
            self._drained = self._loop.create_future()
        await asyncio.shield(self._drained)

    def responded(self, *, keep_alive: bool) -> None:
        """After a complete response, starts the next request, waits for a new request, or closes the connection."""
        self.state.total_requests += 1
        if not keep_alive:
            self._end()
        elif self._pipeline.waiting:
            self._pipeline.start(*self._pipeline.waiting.popleft())
        elif self._is_over:
            self._deadlines.close_connection()
        elif self._reader.unread:
            unread = self._reader.take_unread()
            self.resume_reading()
            self.data_received(unread)
        else:
            self.resume_reading()
            if self._reader.in_headers and self._reader.overhead:
                self._deadlines.expect_headers()
            else:
                self._deadlines.expect_request(self._config.timeout_keep_alive)

    def abort(self) -> None:
        self._transport.abort()

    # These methods send the connection's own errors.

    def _refuse_bytes(self) -> None:
        if self._reader.overhead > MAX_OVERHEAD:
            self._refuse_overhead()
        else:
            refusal = self._reader.refusal or INVALID
            logging.getLogger("uvicorn.error").warning(refusal.message)
            self._refuse(refusal)

    def _refuse_overhead(self) -> None:
        self._refuse(LARGE_HEADERS if self._reader.in_headers else LARGE_FRAMING)

    def _refuse(self, refusal: Refusal) -> None:
        """Closes the connection, and first sends an error if the next response belongs to the invalid request.

        If the client awaits earlier responses when headers are invalid, the client gets these responses, but no error.
        """
        if self._reader.in_headers and not self._reader.is_idle:
            self._is_over = True
            return
        owes_response = self._owes_response
        if owes_response:
            if self._pipeline.running is not None:
                self._pipeline.running.disconnect()
            self.write(response(refusal, self.error_body(refusal)))
        if owes_response or self._reader.is_idle:
            self._end()
        else:
            self._deadlines.close_connection()

    def _end(self) -> None:
        """Closes the connection after the last response to the client.

        If the client may still be sending, the server first closes only its sending side and discards the
        received bytes for at most `linger` seconds. If the server closed both sides at once, the kernel would reset the
        connection at the next byte from the client, and the client could lose the response (RFC 9112, 9.6).
        """
        unread = self._reader.take_unread()
        is_received = self._reader.in_headers and not self._reader.overhead and not unread
        if is_received or self._transport.is_closing() or not self._transport.can_write_eof():
            self._deadlines.close_connection()
            return
        self._is_over = True
        self._transport.write_eof()
        self.resume_reading()
        self._deadlines.expect_request(self.linger)

    @property
    def _owes_response(self) -> bool:
        """Whether the next response belongs to the request that is being received, and has not started yet."""
        running = self._pipeline.running
        if self._reader.in_headers:
            return True
        return running is not None and running is self._reader.latest and not running.response_started
