"""Makes one call to an upstream and returns its whole answer.

The call's ledger entry is closed with the cost of the call, even if the call fails.
"""

from __future__ import annotations

import asyncio

from ..accounting.ledger import Entry
from ..conversation.answer import Answer, output_bytes, text_of
from ..timing import Until
from .attempt import Attempt, begin_attempt
from .transport import Transport, read_whole
from .upstream import Upstream

MAX_ANSWER = 32 * 1024 * 1024
"""Maximum bytes of an answer. A larger answer is an error."""


async def complete(
    upstream: Upstream,
    transport: Transport,
    body: bytes,
    entry: Entry,
    *,
    traceparent: str | None = None,
    within: float | None = None,
) -> Answer:
    """Returns a whole answer. `within` is the maximum number of seconds (None if unlimited). Raises CallFailedError."""
    attempt = begin_attempt(upstream, entry)
    with attempt:
        reading = _read_answer(attempt, transport, body, traceparent)
        if within is None:
            received = await reading
        else:
            with Until(asyncio.get_running_loop().time() + within):
                received = await reading
        # From here on, only the answer itself counts, and not the JSON around it.
        entry.received_bytes = 0
        answer = upstream.dialect.read_answer(received)
        _record_answer(upstream, answer, entry)
    attempt.succeeded()
    return answer


async def _read_answer(attempt: Attempt, transport: Transport, body: bytes, traceparent: str | None) -> bytes:
    response = await attempt.send(transport, body, traceparent)

    def count(size: int) -> None:
        attempt.entry.received_bytes = size

    try:
        return await read_whole(response, MAX_ANSWER, count)
    finally:
        response.close()


def _record_answer(upstream: Upstream, answer: Answer, entry: Entry) -> None:
    entry.response = text_of(answer.first)
    if answer.usage:
        entry.report(upstream.dialect.read_usage(answer.usage), answer.usage)
    if entry.read_usage is None or not entry.read_usage.output:
        entry.received_bytes = sum(output_bytes(choice.message) for choice in answer.choices if choice.message)
