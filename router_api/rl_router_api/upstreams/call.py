"""Makes one call to an upstream and returns the complete answer of the upstream.

The call's ledger entry is closed with the cost of the call, even if the call fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ..accounting.ledger import Entry
from ..conversation.answer import Answer, Chunk, output_bytes, text_of
from ..dialects import sse
from ..errors import BrokenAnswerError, UnusableAnswerError
from ..timing import Until
from .attempt import Attempt, begin_attempt
from .transport import Transport, read_whole
from .upstream import Upstream

MAX_ANSWER = 32 * 1024 * 1024
"""The maximum number of bytes of an answer. A call with a larger answer fails."""


async def complete(
    upstream: Upstream,
    transport: Transport,
    body: bytes,
    entry: Entry,
    *,
    traceparent: str | None = None,
    within: float | None = None,
) -> Answer:
    """Makes one call to an upstream and returns the complete answer. Raises CallFailedError if the call fails.

    The parameter `within` is the maximum duration of the call in seconds (None if unlimited).
    """
    attempt = begin_attempt(upstream, entry)
    with attempt:
        reading = _read_answer(attempt, transport, body, traceparent)
        if within is None:
            received = await reading
        else:
            with Until(asyncio.get_running_loop().time() + within):
                received = await reading
        # From here on, `received_bytes` counts only the generated text, and not the JSON syntax around the text.
        entry.received_bytes = 0
        is_stream = sse.is_event_stream(received)
        answer = _assembled(upstream, received) if is_stream else upstream.dialect.read_answer(received)
        _record_answer(attempt, answer)
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


def _assembled(upstream: Upstream, body: bytes) -> Answer:
    """Returns the answer of a server that sent a stream although the request did not ask for a stream.

    Raises BrokenAnswerError if the stream is incomplete or contains an error.
    """
    parser = sse.Parser(MAX_ANSWER)
    events = parser.feed(body) + parser.end()
    is_whole = sse.DONE in events
    chunks = _readable(upstream.dialect.read_chunks(events[: events.index(sse.DONE)] if is_whole else events))
    is_finished = any(chunk.finished for chunk in chunks)
    for chunk in chunks:
        if chunk.error is not None and not (chunk.is_notice and is_finished):
            message = "the upstream's stream contains an error"
            raise UnusableAnswerError(message, text=chunk.error, usage=bytes(chunk.usage))
    if not is_whole and not is_finished:
        raise BrokenAnswerError("the upstream's stream ended before the answer was complete")
    return upstream.dialect.whole_of([chunk for chunk in chunks if not chunk.is_notice])


def _readable(chunks: Iterator[Chunk]) -> list[Chunk]:
    """Returns the chunks of a stream without the damaged events after the end of every choice.

    Raises BrokenAnswerError if an earlier event is damaged.
    """
    read = list[Chunk]()
    while True:
        try:
            for chunk in chunks:
                read.append(chunk)
        except BrokenAnswerError:
            begun = {choice.index for chunk in read for choice in chunk.choices}
            if not begun or begun.difference(*[chunk.finished for chunk in read]):
                raise
        else:
            return read


def _record_answer(attempt: Attempt, answer: Answer) -> None:
    entry = attempt.entry
    entry.response = text_of(answer.first)
    attempt.report(answer.usage, answer.service_tier)
    if entry.read_usage is None or not entry.read_usage.output:
        entry.received_bytes = sum(output_bytes(choice.message) for choice in answer.choices if choice.message)
