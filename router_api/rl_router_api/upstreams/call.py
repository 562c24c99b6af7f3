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
_LONG = 64 * 1024
"""The number of bytes of a stream above which a thread joins the chunks, so that other requests can make progress."""


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
        arriving = _Body(attempt)
        try:
            reading = arriving.receive(transport, body, traceparent)
            if within is None:
                received = await reading
            else:
                with Until(asyncio.get_running_loop().time() + within):
                    received = await reading
            answer = await arriving.answer(received)
        except BaseException:
            record_incomplete(attempt, arriving.pieces)
            raise
        _record_answer(attempt, answer)
    attempt.succeeded()
    return answer


class _Body:
    """The body of an answer to a call without a stream, while the body arrives.

    Some servers send a stream although the call does not request a stream. The chunks of a stream are recorded in the
    ledger when the chunks arrive, because the attempt may end early.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.pieces: list[bytes] = []
        self._parser: sse.Parser | None = None
        """The parser of the stream, or None before the first piece of the body and if the body begins with `{`."""
        self._chunks: list[Chunk] = []
        self._is_whole = False
        """Whether the event that ends the stream has arrived."""

    async def receive(self, transport: Transport, body: bytes, traceparent: str | None) -> bytes:
        """Sends the request with the given body, and returns the body of the response."""
        response = await self._attempt.send(transport, body, traceparent)
        try:
            return await read_whole(response, MAX_ANSWER, self._take, self.pieces)
        finally:
            response.close()

    def _take(self, size: int, piece: bytes) -> None:
        entry, is_json = self._attempt.entry, piece.startswith(b"{")
        # While a request waits, some servers send white space, or comments of an event stream.
        if entry.first_byte is None and (is_json or piece.lstrip()[:1] not in (b"", b":")):
            entry.first_byte = time.monotonic() - entry.started
        if not is_json and size == len(piece):
            self._parser = sse.Parser(MAX_ANSWER)
        if self._parser is not None and not self._is_whole:
            self._read(self._parser.feed(piece))

    def _read(self, events: list[bytes]) -> None:
        """Reads the chunks in the data of events, and records the chunks in the ledger.

        Raises BrokenAnswerError if an event is damaged before every choice has ended. Raises UnusableAnswerError if
        a chunk reports that the upstream failed (`Chunk.is_failure`).
        """
        self._is_whole = sse.DONE in events
        chunks = self._attempt.upstream.dialect.read_chunks(
            events[: events.index(sse.DONE)] if self._is_whole else events
        )
        take_undamaged(self._take_chunks, chunks, self._are_ended)

    def _take_chunks(self, chunks: Iterator[Chunk]) -> None:
        entry = self._attempt.entry
        for chunk in chunks:
            entry.received_bytes += chunk.output_bytes
            self._attempt.report(chunk.usage, chunk.service_tier)
            if chunk.is_failure(entry.received_bytes):
                raise _reported(chunk)
            self._chunks.append(chunk)

    def _are_ended(self) -> bool:
        begun = {choice.index for chunk in self._chunks for choice in chunk.choices}
        return bool(begun) and not begun.difference(*[chunk.finished for chunk in self._chunks])

    async def answer(self, body: bytes) -> Answer:
        """Returns the answer in the whole body.

        The server may have sent a stream, or comments before the answer. Raises BrokenAnswerError if the answer is
        incomplete or contains an error, or if an event is damaged before every choice has ended.
        """
        dialect = self._attempt.upstream.dialect
        if self._parser is None or not sse.is_event_stream(body):
            return dialect.read_answer(body)
        if sse.is_json(rest := sse.without_comments(body)):
            return dialect.read_answer(rest)
        if not self._is_whole:
            self._read(self._parser.end())
        is_finished = any(chunk.finished for chunk in self._chunks)
        if not is_finished and (notice := next((chunk for chunk in self._chunks if chunk.is_notice), None)):
            raise _reported(notice)
        if not self._is_whole and not is_finished:
            raise BrokenAnswerError("the upstream's stream ended before the answer was complete")
        kept = [chunk for chunk in self._chunks if not chunk.is_notice]
        return dialect.whole_of(kept) if len(body) <= _LONG else await asyncio.to_thread(dialect.whole_of, kept)


def record_incomplete(attempt: Attempt, pieces: list[bytes]) -> None:
    """Records the usage or the size of the JSON that arrived before an attempt failed or was cancelled.

    The parameter `pieces` contains the received pieces of the body. White space and comments before the JSON, and white
    space after the JSON, do not count. Nothing is recorded for a stream, because its chunks are already recorded.
    """
    received = sse.without_comments(b"".join(pieces))
    if not sse.is_json(received):
        return
    try:
        _record_usage(attempt, attempt.upstream.dialect.read_answer(received))
    except UnusableAnswerError as error:
        attempt.report(error.usage)
    except BrokenAnswerError:
        attempt.entry.received_bytes = len(received.rstrip())


def take_undamaged(
    take: Callable[[Iterator[Chunk]], None], chunks: Iterator[Chunk], are_ended: Callable[[], bool]
) -> None:
    """Calls the function `take` with the chunks of a stream, and skips damaged events after every choice has ended.

    After every choice has ended, damage loses no part of the answer. The parameter `are_ended` returns whether every
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
    attempt.entry.response = text_of(answer.first)
    _record_usage(attempt, answer)


def _record_usage(attempt: Attempt, answer: Answer) -> None:
    entry = attempt.entry
    attempt.report(answer.usage, answer.service_tier)
    if entry.read_usage is None or not entry.read_usage.output:
        entry.received_bytes = sum(output_bytes(choice.message) for choice in answer.choices if choice.message)
