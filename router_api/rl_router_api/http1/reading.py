"""Pauses the reading from a client while earlier requests are handled, and notices if the client leaves meanwhile."""

from __future__ import annotations

import asyncio
import select

from .deadlines import Deadlines
from .half_close import waits_for_response
from .pipeline import Pipeline
from .reader import RequestReader


class Reading:
    """Pauses and resumes the reading of bytes from a client.

    asyncio reports the end of a connection only while it reads. While the reading is paused because of pipelined
    requests, an epoll object reports the end of the connection. Only Linux has epoll. On other systems, the end of the
    connection is reported when the reading is resumed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        deadlines: Deadlines,
        pipeline: Pipeline,
        reader: RequestReader,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._pipeline = pipeline
        self._reader = reader
        self._deadlines = deadlines
        self._is_paused = False
        self._epoll: select.epoll | None = None

    @property
    def is_behind(self) -> bool:
        """Whether received requests have not started yet, or received bytes have not been parsed yet."""
        return bool(self._reader.unread or self._pipeline.waiting)

    def pause(self) -> None:
        """Pauses the reading."""
        if self._transport.is_closing():
            return
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        if self.is_behind and self._epoll is None and hasattr(select, "epoll"):
            self._epoll = select.epoll(1)
            connected = self._transport.get_extra_info("socket").fileno()
            # Each change is reported once (EPOLLET). EPOLLERR and EPOLLHUP are always reported.
            self._epoll.register(connected, select.EPOLLRDHUP | select.EPOLLET)
            self._loop.add_reader(self._epoll.fileno(), self._check_client)

    def resume(self) -> None:
        """Resumes the reading, unless received requests or bytes still wait (`is_behind`)."""
        if self._is_paused and not self.is_behind and not self._transport.is_closing():
            self._is_paused = False
            self.close()
            self._transport.resume_reading()

    def close(self) -> None:
        """Closes the epoll object, so that it no longer reports the end of the connection."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _check_client(self) -> None:
        """Closes the connection if the client has closed it, unless the client may still wait for a response."""
        events = 0
        for _, event in self._epoll.poll(0) if self._epoll is not None else ():
            events |= event
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self._transport.abort()
        elif events and not waits_for_response(self._loop, self._pipeline, self._transport.write, is_last=False):
            self._deadlines.close_connection()
