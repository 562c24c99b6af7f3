"""Server-sent events, as OpenAI streams them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

DONE = b"[DONE]"
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class EventTooLargeError(Exception):
    """An event that is larger than any chunk may be."""


async def events(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """The data of each event; comments and events without data are passed over.

    Raises EventTooLargeError where one event has more than `limit` bytes. A last event without a blank line behind it
    counts, since servers forget it.
    """
    rest = b""
    async for chunk in chunks:
        whole, rest = _split(rest + chunk if rest else chunk)
        for event in whole:
            data = _data(event)
            if data is not None:
                yield data
        if len(rest) > limit:
            raise EventTooLargeError
    data = _data(rest)
    if data is not None:
        yield data


def _split(received: bytes) -> tuple[list[bytes], bytes]:
    *whole, rest = received.split(b"\n\n") if b"\r" not in received else _END_OF_EVENT.split(received)
    return whole, rest


def _data(event: bytes) -> bytes | None:
    if event.startswith(b"data:") and b"\n" not in event and b"\r" not in event:
        return event[5:].strip() or None
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) or None


def event(data: bytes) -> bytes:
    """An event on the wire."""
    return b"data: " + data + b"\n\n"
