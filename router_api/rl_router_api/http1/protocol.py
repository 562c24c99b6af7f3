"""HTTP/1.1 towards clients, by httptools: a connection in uvicorn's server, with bounds on slow and endless clients.

uvicorn's own protocol has no such bounds, and costs twice the CPU time of this one (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections import deque
from typing import Any, ClassVar, cast

import httptools
import uvicorn
from uvicorn.server import ServerState

from .cycle import CYCLE, Cycle, Scope

_MAX_OVERHEAD = 64 * 1024
"""Bytes that may come without a byte of a body among them: a request's headers, or the sizes, the extensions and the
trailers of chunks."""
_MAX_PIPELINED = 100
"""Requests that may wait for the reply to the one before them."""
_MOST_WAITING = 64 * 1024
"""Bytes of a body that may wait for their reader before no more are taken from the client."""
_BODY = b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":"%s"}}'
_ASGI = {"version": "3.0", "spec_version": "2.3"}


class _RefusedError(Exception):
    """Ends the parsing of a request."""


class BoundedProtocol(asyncio.Protocol):
    """Headers of at most 64 KiB, whole within 30 seconds of their first byte; of an answer that waits for its reader
    something is taken within 60. A body is framed with at most 64 KiB at a time, and its trailers are dropped."""

    headers_within: ClassVar[float] = 30.0
    taken_within: ClassVar[float] = 60.0

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn gives it
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app = config.loaded_app
        self._keep_alive = config.timeout_keep_alive
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = self._made_parser()
        self._transport: asyncio.Transport
        self._addresses: dict[str, Any] = {}
        self._cycle: Cycle | None = None
        """The latest request's, whose body comes."""
        self._running: Cycle | None = None
        self._waiting: deque[tuple[Cycle, Scope]] = deque()
        """Requests that came before the reply to the one under way."""
        self._in_headers = True
        """Whether a request's headers, or nothing, come next. False from the end of the headers to that of the body."""
        self._overhead = 0
        """Bytes since the last byte of a body, or since the last request ended, but for those in the same segment."""
        self._segment = self._span = 0
        """Bytes of the segment that is being parsed, and of all segments that the latest request's headers are in."""
        self._is_over = False
        """Whether nothing more is read: what came last is no request, and the replies before it are still to go out."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = False
        self._reading_paused = False
        self._in_hurry = False
        """Whether headers are waited for, so that each further byte of them gives no new time."""
        self._due = 0.0
        """When the connection is given up, by the loop's clock; 0 while a request is under way."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    # What uvicorn's server and the cycles need.

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return self._state.default_headers

    def shutdown(self) -> None:
        """The server stops: what is under way is the last request."""
        if self._cycle is None or self._cycle.complete:
            self._transport.close()
        else:
            self._cycle.keep_alive = False

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def drained(self) -> None:
        """Waits until the client has taken enough of what was written."""
        if self._drained is None:
            self._drained = self._loop.create_future()
        await asyncio.shield(self._drained)

    def resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def replied(self, *, keep_alive: bool) -> None:
        """The reply is written to its end."""
        self._state.total_requests += 1
        if not keep_alive:
            self._transport.close()
        elif self._waiting:
            self._begin(*self._waiting.popleft())
        elif self._is_over:
            self._transport.close()
        else:
            self.resume_reading()
            self._in_hurry = False
            if self._in_headers and self._overhead:
                self._expect_headers()
            else:
                self._expect_within(self._keep_alive)

    def abort(self) -> None:
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._state.connections.add(self)  # type: ignore[arg-type]
        server, client = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        self._addresses = {"server": server and server[:2], "client": client and client[:2]}
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        self._state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        for cycle in (self._running, *(cycle for cycle, _ in self._waiting)):
            if cycle is not None:
                cycle.leave()
        self.resume_writing()
        self._let_go()

    def _let_go(self) -> None:
        """Drops what refers back to this connection, whose memory then comes free without the garbage collector."""
        del self._parser
        self._cycle = self._running = None
        self._waiting.clear()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._wait_for_reader()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._stop_waiting_for_reader()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._segment = len(data)
        self._overhead += self._segment
        self._span += self._segment
        try:
            while data:
                data = self._parsed(data)
        except httptools.HttpParserError:
            self._refuse_bytes()
            return
        if self._overhead > _MAX_OVERHEAD and not self._transport.is_closing():
            self._refuse_overhead()
        elif self._in_headers and self._overhead and not self._in_hurry and self._is_idle:
            self._expect_headers()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url, self._headers, self._expects_continue = b"", [], False
        self._in_headers = True
        self._overhead = self._overhead or 1
        self._span = self._segment

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers:
            # A trailer: none means anything to this server, and it must not pass for a header (RFC 9110, 6.5.1).
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._span > _MAX_OVERHEAD and self._size_of_headers() > _MAX_OVERHEAD:
            self._overhead = self._size_of_headers()
            raise _RefusedError
        if self._parser.should_upgrade():
            return  # `_parsed` hears of it next.
        is_next, scope = self._is_idle, self._scope()
        if len(self._waiting) >= _MAX_PIPELINED:
            raise _RefusedError
        self._in_headers, self._overhead, self._in_hurry = False, 0, False
        self._cycle = cycle = Cycle(
            self,
            scope["method"],
            scope["http_version"],
            keep_alive=scope["http_version"] != "1.0" and self._parser.should_keep_alive(),
            expects_continue=self._expects_continue,
        )
        scope[CYCLE] = cycle
        if is_next:
            self._begin(cycle, scope)
        else:
            self._waiting.append((cycle, scope))
            self._pause_reading()

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        cycle = self._cycle
        if cycle is not None and not cycle.complete:
            cycle.take(body)
            if cycle.held > _MOST_WAITING:
                self._pause_reading()

    def on_message_complete(self) -> None:
        self._in_headers, self._overhead = True, 0
        if self._cycle is not None:
            self._cycle.end_body()

    def _made_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # What follows a request with `Connection: close` is no reason to leave that request unanswered.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _parsed(self, data: bytes) -> bytes:
        """Has the parser read this, and returns what is to be read after it. Raises HttpParserError."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._without_upgrade(data[upgrade.args[0] :])
        return b""

    def _without_upgrade(self, rest: bytes) -> bytes:
        """Returns the request without its offer of another protocol (Java's client offers h2c), and the `rest` of the
        segment: the parser takes a body for a part of that protocol. Raises HttpParserError for a tunnel."""
        headers = [name + b": " + value for name, value in self._headers if name != b"upgrade"]
        if len(headers) == len(self._headers):
            raise httptools.HttpParserError("CONNECT offers nothing else")
        request_line = b"%b %b HTTP/%b" % (
            self._parser.get_method(),
            self._url,
            self._parser.get_http_version().encode(),
        )
        self._parser = self._made_parser()
        return b"\r\n".join([request_line, *headers, b"", rest])

    def _scope(self) -> Scope:
        url = httptools.parse_url(self._url)
        path = url.path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": self._parser.get_http_version(),
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self._headers,
            **self._addresses,
        }

    def _begin(self, cycle: Cycle, scope: Scope) -> None:
        self._due, self._running = 0.0, cycle
        cycle.task = task = self._loop.create_task(cycle.run(self._app, scope))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    # Bounds.

    def _size_of_headers(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self._headers)

    def _expect_headers(self) -> None:
        self._in_hurry = True
        self._expect_within(self.headers_within)

    def _expect_within(self, seconds: float) -> None:
        """Gives the connection up unless a request comes to its headers' end within so many seconds.

        A timer that runs already is left to find out by itself that it is to wait for longer.
        """
        self._due = self._loop.time() + seconds
        if self._timer is None or self._timer_at > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._timer_at = self._loop.call_at(self._due, self._look_at_time), self._due

    def _look_at_time(self) -> None:
        self._timer = None
        if self._due > self._loop.time():
            self._expect_within(self._due - self._loop.time())
        elif self._due:
            self._transport.close()

    @property
    def _is_idle(self) -> bool:
        """Whether every request that came so far was answered."""
        return self._cycle is None or self._cycle.complete

    def _wait_for_reader(self) -> None:
        waiting = self._transport.get_write_buffer_size()
        self._reader_timer = self._loop.call_later(self.taken_within, self._look_at_reader, waiting)

    def _stop_waiting_for_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _look_at_reader(self, waited_before: int) -> None:
        """A client that takes nothing would hold its request, and what waits for it, for ever."""
        if self._transport.get_write_buffer_size() < waited_before:
            self._wait_for_reader()
        else:
            self._transport.abort()

    def _refuse_bytes(self) -> None:
        if self._overhead > _MAX_OVERHEAD:
            self._refuse_overhead()
        else:
            logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
            self._refuse(b"400 Bad Request", _BODY % (b"Invalid HTTP request received.", b"invalid_http"))

    def _refuse_overhead(self) -> None:
        if self._in_headers:
            message = b"The headers are larger than %d bytes." % _MAX_OVERHEAD
            self._refuse(b"431 Request Header Fields Too Large", _BODY % (message, b"headers_too_large"))
        else:
            message = b"More than %d bytes of chunk sizes, chunk extensions or trailers came at once." % _MAX_OVERHEAD
            self._refuse(b"400 Bad Request", _BODY % (message, b"invalid_http"))

    def _refuse(self, status: bytes, body: bytes) -> None:
        """Ends the connection, with an error if the client would take it for the reply to what is wrong.

        Requests that came whole before that are still answered.
        """
        if self._in_headers and not self._is_idle:
            self._is_over = True
            return
        if self._owes_reply:
            if self._running is not None:
                self._running.leave()
            head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            self._transport.write(head % (status, len(body)) + body)
        self._transport.close()

    @property
    def _owes_reply(self) -> bool:
        """Whether the next reply is the one to the request whose bytes come, and has not begun."""
        running = self._running
        return self._in_headers or (running is not None and running is self._cycle and not running.begun)
