"""The kinds of requests that run.py, sustained_load.py and start.py in the folder bench send to the servers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_TEXT = (
    "Which mountain is the tallest on Earth, and does it depend on whether one measures from sea level or the base? "
)
_MESSAGES = [
    {"role": "system", "content": "You are a patient teacher of geography. Answer in two sentences, with figures."},
    {"role": "user", "content": _TEXT},
]
_LONG = [{"role": ("user", "assistant")[turn % 2], "content": _TEXT * 7} for turn in range(41)]
_NEVER, _BUFFERED = {"router": {"review": "never"}}, {"router": {"review": "buffered"}}


@dataclass(frozen=True)
class Case:
    """A kind of request.

    The attribute `goal`, if set, is the maximum CPU time that the router should use for a request, in microseconds,
    with 64 connections.
    """

    name: str
    fields: dict[str, Any] = field(hash=False)
    goal: float | None = None

    @property
    def body(self) -> bytes:
        defaults = {"messages": _MESSAGES, "temperature": 0.2, "max_tokens": 400}
        return json.dumps({**defaults, **self.fields}, separators=(",", ":")).encode()


PINNED = Case("pinned model", {"model": "small"}, 250)
TWO_HOPS = Case("routed, two hops", {"model": "router", **_NEVER}, 400)
THREE_HOPS = Case("routed, three hops", {"model": "router", **_BUFFERED})
PINNED_STREAM = Case("pinned stream of 50 chunks", {"model": "small", "stream": True}, 500)
COMMITTED_STREAM = Case("committed stream of 50 chunks", {"model": "router", "stream": True}, 700)
PACED_STREAM = Case("pinned stream, a chunk every 10 ms", {"model": "paced", "stream": True})
LONG = Case("routed, two hops, 32 kB of text", {"model": "router", "messages": _LONG, **_NEVER})

ALL = (PINNED, TWO_HOPS, THREE_HOPS, PINNED_STREAM, COMMITTED_STREAM, PACED_STREAM, LONG)
