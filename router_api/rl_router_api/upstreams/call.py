"""Makes one attempt to call an upstream and returns the complete answer of the upstream.

The attempt's ledger entry is closed with the cost of the attempt, even if the attempt fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from ..accounting.ledger import Entry
from ..conversation.answer import Answer, Chunk, output_bytes, text_of
from ..dialects import sse
from ..errors import BrokenAnswerError, UnusableAnswerError
from ..timing import Until
from .attempt import Attempt, begin_attempt
from .transport import Transport, read_whole
from .upstream import Upstream

MAX_ANSWER = 32 * 1024 * 1024
"""The maximum number of bytes of an answer that is not sent to the client while it arrives. An attempt with a larger
answer of this kind fails."""
_PIECE = 64 * 1024
"""The number of bytes of a stream that are parsed before other requests can make progress."""


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
        answer = await _assembled(attempt, received) if is_stream else upstream.dialect.read_answer(received)
        _record_answer(attempt, answer)
    attempt.succeeded()
    return answer


async def _read_answer(attempt: Attempt, transport: Transport, body: bytes, traceparent: str | None) -> bytes:
    response = await attempt.send(transport, body, traceparent)
    entry = attempt.entry

    def count(size: int, piece: bytes) -> None:
        entry.received_bytes = size
        # While a request waits, some servers send white space, or comments of an event stream.
        if entry.first_byte is None and piece.lstrip()[:1] not in (b"", b":"):
            entry.first_byte = time.monotonic() - entry.started

    try:
        return await read_whole(response, MAX_ANSWER, count)
    finally:
        response.close()


async def _assembled(attempt: Attempt, body: bytes) -> Answer:
    """Returns the answer of a server that sent a stream, or comments before the answer, to a call without a stream.

    Other requests can make progress while a long stream is parsed. Raises BrokenAnswerError if the stream is incomplete
    or contains an error, or if an event is damaged before every choice has ended.
    """
    dialect, parser, chunks = attempt.upstream.dialect, sse.Parser(MAX_ANSWER), list[Chunk]()
    if sse.is_json(rest := sse.without_comments(body)):
        return dialect.read_answer(rest)
    is_whole = False
    for start in range(0, len(body) + _PIECE, _PIECE):
        # The last piece is empty and stands for the end of the stream.
        piece = body[start : start + _PIECE]
        events = parser.feed(piece) if piece else parser.end()
        is_whole = sse.DONE in events
        _read_on(attempt, dialect.read_chunks(events[: events.index(sse.DONE)] if is_whole else events), chunks)
        if is_whole:
            break
        await asyncio.sleep(0)
    is_finished = any(chunk.finished for chunk in chunks)
    if not is_finished and (notice := next((chunk for chunk in chunks if chunk.is_notice), None)):
        raise _reported(notice)
    if not is_whole and not is_finished:
        raise BrokenAnswerError("the upstream's stream ended before the answer was complete")
    kept = [chunk for chunk in chunks if not chunk.is_notice]
    return dialect.whole_of(kept) if len(body) <= _PIECE else await asyncio.to_thread(dialect.whole_of, kept)


def _read_on(attempt: Attempt, arriving: Iterator[Chunk], chunks: list[Chunk]) -> None:
    """Records the chunks in the ledger and appends them to the list `chunks`.

    Raises BrokenAnswerError if an event is damaged before every choice has ended, and UnusableAnswerError if a chunk
    that is not a notice contains an error.
    """

    def are_ended() -> bool:
        begun = {choice.index for chunk in chunks for choice in chunk.choices}
        return bool(begun) and not begun.difference(*[chunk.finished for chunk in chunks])

    def take(arriving: Iterator[Chunk]) -> None:
        for chunk in arriving:
            attempt.entry.received_bytes += chunk.output_bytes
            attempt.report(chunk.usage, chunk.service_tier)
            if chunk.is_failure(attempt.entry.received_bytes):
                raise _reported(chunk)
            chunks.append(chunk)

    take_undamaged(take, arriving, are_ended)


def take_undamaged(
    take: Callable[[Iterator[Chunk]], None], chunks: Iterator[Chunk], are_ended: Callable[[], bool]
) -> None:
    """Calls the function `take` with the chunks of a stream, and skips damaged events after the end of every choice.

    Damage after the end of every choice loses no part of the answer. The parameter `are_ended` returns whether every
    choice has ended. The function `take` is called again with the chunks after a skipped event. Raises
    BrokenAnswerError if an earlier event is damaged, and any error that `take` raises.
    """
    while True:
        try:
            return take(chunks)
        except BrokenAnswerError as error:
            if isinstance(error, UnusableAnswerError) or not are_ended():
                raise


def _reported(chunk: Chunk) -> UnusableAnswerError:
    return UnusableAnswerError("the upstream's stream contains an error", text=chunk.error or "")


def _record_answer(attempt: Attempt, answer: Answer) -> None:
    entry = attempt.entry
    entry.response = text_of(answer.first)
    attempt.report(answer.usage, answer.service_tier)
    if entry.read_usage is None or not entry.read_usage.output:
        entry.received_bytes = sum(output_bytes(choice.message) for choice in answer.choices if choice.message)
