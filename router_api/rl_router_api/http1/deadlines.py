"""Closes a connection if the client does not send a request in time, or reads nothing of a response for too long."""

from __future__ import annotations

import asyncio


class Deadlines:
    """The two timers of a connection: one closes the connection at the time `due`, and one checks if the client reads.

    All timeouts of the class `Deadlines` are in seconds. The attribute `due` is the time on the event loop's clock at
    which the connection will be closed unless a request starts first. Without such a time, `due` is 0.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        headers_timeout: float,
        write_timeout: float,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._headers_timeout = headers_timeout
        self._write_timeout = write_timeout
        self.due = 0.0
        self.in_headers = False
        """Whether the headers timeout is running. Further bytes of the headers do not extend the headers timeout."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._write_timer: asyncio.TimerHandle | None = None

    def expect_headers(self) -> None:
        """Closes the connection unless the client completes a request's headers within the headers timeout."""
        self.expect_request(self._headers_timeout)
        self.in_headers = True

    def expect_request(self, seconds: float) -> None:
        """Closes the connection after `seconds` seconds, unless a request starts or a new deadline is set first."""
        self.in_headers = False
        self.due = self._loop.time() + seconds
        # A timer that fires too early reschedules itself, which takes less CPU time than a new timer for each request.
        if self._timer is None or self._timer_at > self.due:
            self._set_timer()

    def stop(self) -> None:
        """Removes the deadline `due`, because a request has started."""
        self.due, self.in_headers = 0.0, False

    def close_connection(self) -> None:
        """Closes the connection after the client has read the buffered bytes.

        Aborts the connection if the client reads no buffered bytes within the write timeout.
        """
        self._transport.close()
        if self._write_timer is None and self._transport.get_write_buffer_size():
            self.expect_reader()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(self.due, self._check_due), self.due

    def _check_due(self) -> None:
        self._timer = None
        if self.due > self._loop.time():
            self._set_timer()
        elif self.due:
            self.close_connection()

    def expect_reader(self) -> None:
        """Until `reader_caught_up` is called, aborts the connection if the client reads nothing for `write_timeout`."""
        unread = self._transport.get_write_buffer_size()
        self._write_timer = self._loop.call_later(self._write_timeout, self._check_reader, unread)

    def _check_reader(self, unread_before: int) -> None:
        """Aborts the connection if the client has read nothing since the timer was started, because the request might
        otherwise never end. If the client has read some bytes, starts the timer again."""
        if self._transport.get_write_buffer_size() < unread_before:
            self.expect_reader()
        else:
            self._transport.abort()

    def reader_caught_up(self) -> None:
        """Cancels the write timeout, because the client has read enough of its response or the connection is closed.

        While the connection closes, the write timeout applies until the client has read everything.
        """
        self._cancel_write_timer()
        if self._transport.is_closing() and self._transport.get_write_buffer_size():
            self.expect_reader()

    def _cancel_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def close(self) -> None:
        """Cancels both timers of the connection."""
        self._cancel_write_timer()
        if self._timer is not None:
            self._timer.cancel()
