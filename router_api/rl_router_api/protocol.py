"""uvicorn's HTTP protocol with bounds on slow and endless clients, which it lets pass, and errors as OpenAI's."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEADER_BYTES = 64 * 1024
_BODY = b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":"%s"}}'


class _HeadersTooLargeError(Exception):
    """Ends the parsing of a request."""


class BoundedProtocol(HttpToolsProtocol):
    """Headers of at most 64 KiB, whole within 30 seconds of their first byte; of an answer that waits for its reader
    something is taken within 60."""

    headers_within: ClassVar[float] = 30.0
    taken_within: ClassVar[float] = 60.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = True
        self._header_bytes = 0
        """Of headers that are not whole yet; what else came with them is counted too."""
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        self._stop_waiting_for_reader()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._header_bytes > _MOST_HEADER_BYTES and not self.transport.is_closing():
            self._refuse_headers()
        elif self._header_bytes and self._timer is None:
            self._expect_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = self._header_bytes or 1

    def on_headers_complete(self) -> None:
        if self._header_bytes > _MOST_HEADER_BYTES and self._size_of_headers() > _MOST_HEADER_BYTES:
            raise _HeadersTooLargeError
        self._in_headers, self._header_bytes = False, 0
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_headers = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says of anything that it cannot parse."""
        if self._header_bytes > _MOST_HEADER_BYTES:
            self._refuse_headers()
        else:
            self._refuse(b"400 Bad Request", _BODY % (msg.encode(), b"invalid_http"))

    def _size_of_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _expect_headers(self) -> None:
        self._timer = self.loop.call_later(self.headers_within, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _wait_for_reader(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._reader_timer = self.loop.call_later(self.taken_within, self._look_at_reader, waiting)

    def _stop_waiting_for_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _look_at_reader(self, waited_before: int) -> None:
        """A client that takes nothing would hold its request, and what waits for it, for ever."""
        if self.transport.get_write_buffer_size() < waited_before:
            self._wait_for_reader()
        else:
            self.transport.abort()

    def _refuse_headers(self) -> None:
        message = b"The headers are larger than %d bytes." % _MOST_HEADER_BYTES
        self._refuse(b"431 Request Header Fields Too Large", _BODY % (message, b"headers_too_large"))

    def _refuse(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
