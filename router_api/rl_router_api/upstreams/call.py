"""Makes one attempt to call an upstream and returns the complete answer of the upstream.

The attempt's ledger entry is closed with the cost of the attempt, even if the attempt fails.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ..accounting.ledger import Entry
from ..conversation.answer import Answer, Chunk, output_bytes, text_of
from ..dialects import sse
from ..errors import BrokenAnswerError, UnusableAnswerError
from ..timing import Until
from .attempt import Attempt, begin_attempt
from .transport import Transport, read_whole
from .upstream import Upstream

MAX_ANSWER = 32 * 1024 * 1024
"""The maximum number of bytes of an answer. An attempt with a larger answer fails."""
_PIECE = 64 * 1024
"""The number of bytes of a stream that are parsed at once."""
_ASSEMBLER = ThreadPoolExecutor(1, thread_name_prefix="assemble")
"""The thread that reads long streams that the router did not ask for."""


async def complete(
    upstream: Upstream,
    transport: Transport,
    body: bytes,
    entry: Entry,
    *,
    traceparent: str | None = None,
    within: float | None = None,
) -> Answer:
    """Makes one attempt to call an upstream and returns the complete answer.

    Raises CallFailedError if the attempt fails. The parameter `within` is the maximum duration of the attempt in
    seconds (None if unlimited).
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
        answer = await _assembled(upstream, received) if is_stream else upstream.dialect.read_answer(received)
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


async def _assembled(upstream: Upstream, body: bytes) -> Answer:
    """Returns the answer of a server that sent a stream although the request did not ask for a stream.

    Reading a stream of 32 MiB may take ten seconds, so a long stream is read in a thread. Raises BrokenAnswerError if
    the stream is incomplete or contains an error.
    """
    if len(body) <= _PIECE:
        return _assemble(upstream, body)
    return await asyncio.get_running_loop().run_in_executor(_ASSEMBLER, _assemble, upstream, body)


def _assemble(upstream: Upstream, body: bytes) -> Answer:
    chunks, is_whole = _chunks_of(upstream, body)
    error = next((chunk for chunk in chunks if chunk.error is not None), None)
    if error is not None and error.error is not None:
        raise UnusableAnswerError("the upstream's stream contains an error", text=error.error, usage=bytes(error.usage))
    if not is_whole and not any(chunk.finished for chunk in chunks):
        raise BrokenAnswerError("the upstream's stream ended before the answer was complete")
    return upstream.dialect.whole_of(chunks)


def _chunks_of(upstream: Upstream, body: bytes) -> tuple[list[Chunk], bool]:
    """Returns the chunks of a stream, and whether the event `[DONE]` ended the stream."""
    parser, chunks = sse.Parser(MAX_ANSWER), list[Chunk]()
    for start in range(0, len(body) + _PIECE, _PIECE):
        # Other threads run between the pieces. The last piece is empty and stands for the end of the stream.
        piece = body[start : start + _PIECE]
        events = parser.feed(piece) if piece else parser.end()
        is_whole = sse.DONE in events
        chunks += upstream.dialect.read_chunks(events[: events.index(sse.DONE)] if is_whole else events)
        if is_whole:
            return chunks, True
    return chunks, False


def _record_answer(attempt: Attempt, answer: Answer) -> None:
    entry = attempt.entry
    entry.response = text_of(answer.first)
    attempt.report(answer.usage, answer.service_tier)
    if entry.read_usage is None or not entry.read_usage.output:
        entry.received_bytes = sum(output_bytes(choice.message) for choice in answer.choices if choice.message)
