"""Server-sent events, as OpenAI streams them."""

from __future__ import annotations

import re

from ..errors import EventTooLargeError

DONE = b"[DONE]"
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_SEAM = 3


class Parser:
    """Takes bytes as they come and gives the data of each whole event; comments and empty events are passed over."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._held: list[bytes] = []
        """Pieces of an event that has not ended, put together once: a long one comes in thousands of them."""
        self._held_size = 0
        self._seam = b""
        """The last bytes before those that come, for an end of an event that comes in two pieces."""

    def feed(self, received: bytes) -> list[bytes]:
        """The events that are whole now. Raises EventTooLargeError where one has more than `limit` bytes."""
        across, self._seam = self._seam + received, (self._seam + received[-_SEAM:])[-_SEAM:]
        if b"\n\n" not in received and not _END_OF_EVENT.search(across):
            return self._hold(received)
        whole = self._taken() + received
        if (plain := _plain(whole)) and len(whole) <= self._limit:
            return plain
        *ended, self._rest = whole.split(b"\n\n") if b"\r" not in whole else _END_OF_EVENT.split(whole)
        if max(map(len, ended), default=0) > self._limit or len(self._rest) > self._limit:
            raise EventTooLargeError
        if b"\r" not in whole:
            return [data for event in ended if (data := _line(event) if b"\n" not in event else _data(event))]
        return [data for event in ended if (data := _data(event))]

    def _hold(self, received: bytes) -> list[bytes]:
        self._held.append(received)
        self._held_size += len(received)
        if len(self._rest) + self._held_size > self._limit:
            raise EventTooLargeError
        return []

    def _taken(self) -> bytes:
        """What is not yet an event."""
        taken = b"".join([self._rest, *self._held])
        self._rest, self._held, self._held_size = b"", [], 0
        return taken

    def end(self) -> list[bytes]:
        """The last event where no blank line stood behind it, which servers forget."""
        data = _data(self._taken())
        return [] if data is None else [data]


def _plain(whole: bytes) -> list[bytes] | None:
    """The data of whole events of one line each, as nearly all are: without a step for each of them."""
    if not whole.startswith(b"data: ") or not whole.endswith(b"\n\n") or b"\r" in whole or b" \n" in whole:
        return None
    found = whole[6:-2].split(b"\n\ndata: ")
    return found if whole.count(b"\n") == 2 * len(found) and b"" not in found else None


def _line(event: bytes) -> bytes | None:
    """The data of an event of one line, as nearly all are."""
    return event[5:].strip() if event.startswith(b"data:") else None


def _data(event: bytes) -> bytes | None:
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) or None


def event(data: bytes) -> bytes:
    """An event on the wire."""
    return b"data: " + data + b"\n\n"
