"""Reads and writes server-sent events in the form that OpenAI's API uses."""

from __future__ import annotations

import re

from ..errors import EventTooLargeError

DONE = b"[DONE]"
_BOM = b"\xef\xbb\xbf"
_END_OF_EVENT = re.compile(rb"(?:\r\n|\r(?!\n)|\n)(?:\r\n|\r|\n)")
"""The pattern of the end of a server-sent event: two line ends, each of which may be CRLF, LF or CR."""
_SEAM = 3


# The operator `in` finds an integer in bytes several times faster than a bytes object of one byte.
_LF, _CR = b"\n\r"
_FIELD = re.compile(rb"\s*(?:data|event|id|retry|error)?:")
_COMMENTS = re.compile(rb"(?:\s|:[^\r\n]*(?:[\r\n]|\Z))*")
"""The pattern of the white space and the comments at the start of a body."""


class ErrorData(bytes):
    """The data of an event with the name `error`, or of a line `error:`, which old versions of llama.cpp send."""


def is_event_stream(body: bytes) -> bool:
    """Returns whether a body begins like a stream of server-sent events, and not like JSON."""
    return body[:1] != b"{" and _FIELD.match(body.removeprefix(_BOM)) is not None


def is_json(body: bytes) -> bool:
    """Returns whether a body begins like a JSON object or list, and not like a stream of server-sent events."""
    return body.removeprefix(_BOM).lstrip()[:1] in (b"{", b"[")


def without_comments(body: bytes) -> bytes:
    """Returns a body without a byte order mark, white space and comments at its start.

    OpenRouter sends comments such as `: OPENROUTER PROCESSING` while a request waits.
    """
    body = body.removeprefix(_BOM)
    comments = _COMMENTS.match(body)
    return body[comments.end() :] if comments else body


class Parser:
    """A parser that splits a stream of bytes into server-sent events and returns the data of the events.

    The parser skips comments and events without data. The data of an event with the name `error` have the type
    ErrorData. The parameter `limit` is the maximum number of bytes of an event.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._held: list[bytes] = []
        """The pieces of an incomplete event that were received after the bytes in `_rest`. The parser joins the pieces
        only once, because a long event may have thousands of pieces."""
        self._held_size = 0
        self._seam = b""
        """The last three bytes that were received. With the last three bytes, the parser recognizes the end of an event
        even if two received pieces each contain a part of the end."""
        self._is_first = True
        """True until the first event is complete, because a byte order mark may precede the first event."""

    def feed(self, received: bytes) -> list[bytes]:
        """Returns the data of the events that the received bytes complete.

        Raises EventTooLargeError if an event has more than `limit` bytes.
        """
        seam, self._seam = self._seam, (self._seam + received[-_SEAM:])[-_SEAM:]
        if received.find(b"\n\n") < 0 and not _END_OF_EVENT.search(seam + received):
            return self._hold(received)
        whole = self._take_rest(received)
        if (plain := _plain(whole)) and len(whole) <= self._limit:
            return plain
        *ended, self._rest = whole.split(b"\n\n") if _CR not in whole else _END_OF_EVENT.split(whole)
        if max(map(len, ended), default=0) > self._limit or len(self._rest) > self._limit:
            raise EventTooLargeError(f"an event of the upstream's stream has more than {self._limit} bytes")
        if _CR not in whole:
            return [data for event in ended if (data := _line(event) if _LF not in event else _data(event))]
        return [data for event in ended if (data := _data(event))]

    def _hold(self, received: bytes) -> list[bytes]:
        self._held.append(received)
        self._held_size += len(received)
        if len(self._rest) + self._held_size > self._limit:
            raise EventTooLargeError(f"an event of the upstream's stream has more than {self._limit} bytes")
        return []

    def _take_rest(self, received: bytes = b"") -> bytes:
        """Returns the stored bytes of the incomplete event, followed by `received`, and clears the stored bytes.

        The first call omits a byte order mark at the beginning.
        """
        whole = b"".join([self._rest, *self._held, received])
        self._rest, self._held, self._held_size = b"", [], 0
        if self._is_first:
            self._is_first = False
            return whole.removeprefix(_BOM)
        return whole

    def end(self) -> list[bytes]:
        """Returns a list with the data of the last event if the server omitted the blank line after this event.

        Returns an empty list if the stream ended with a complete event.
        """
        data = _data(self._take_rest())
        return [] if data is None else [data]


def _plain(whole: bytes) -> list[bytes] | None:
    """Returns the data of the events in `whole`, or None if an event is incomplete or has an unusual form.

    Nearly all events have one line, which begins with `data: `. The function `_plain` is fast, because the function
    does not run a Python statement for each event.
    """
    if not whole.startswith(b"data: ") or not whole.endswith(b"\n\n") or _CR in whole or whole.find(b"[DONE] ") >= 0:
        return None
    data = whole[6:-2].split(b"\n\ndata: ")
    return data if whole.count(b"\n") == 2 * len(data) and b"" not in data else None


def _line(event: bytes) -> bytes | None:
    """Returns the data of an event with one line. The result is empty or None if the event has no data."""
    return event[5:].strip() if event.startswith(b"data:") else _data(event)


def _data(event: bytes) -> bytes | None:
    lines = event.splitlines()
    data = b"\n".join([line[5:].strip() for line in lines if line.startswith(b"data:")])
    if not data:
        error = b"\n".join([line[6:].strip() for line in lines if line.startswith(b"error:")])
        return ErrorData(error) if error else None
    return ErrorData(data) if b"event: error" in lines or b"event:error" in lines else data


def event(data: bytes) -> bytes:
    """Returns the bytes of a server-sent event that contains `data`."""
    return b"data: " + data + b"\n\n"
