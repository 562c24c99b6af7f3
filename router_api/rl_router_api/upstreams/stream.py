"""Makes one attempt to call an upstream and returns the chunks of the answer as the chunks arrive."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Self

from msgspec import Raw

from ..accounting.ledger import Entry
from ..conversation.answer import Chunk
from ..dialects import sse
from ..errors import BrokenAnswerError, TransportError, UnusableAnswerError
from .attempt import Attempt, begin_attempt
from .call import MAX_ANSWER, record_incomplete, take_undamaged
from .transport import Response, Transport, read_whole
from .upstream import Upstream

_MAX_HELD = 1024 * 1024
"""The number of bytes of chunks after which `open_stream` no longer waits for a chunk with content."""
_MAX_BLANK = 64 * 1024
"""The number of bytes of white space and comments at the start of a body after which the body is no longer expected to
be JSON."""


class ChunkStream:
    """An iterator over the chunks of a streamed answer of an upstream.

    Each step of the iteration returns all chunks that have arrived since the previous step. The iteration raises
    CallFailedError if the stream fails. The method `close` ends the stream early. The ledger entry of a stream
    that was closed early has the status `cancelled` and the tokens that were received before the end.
    """

    def __init__(self, attempt: Attempt, response: Response, choices: int, *, is_kept: bool) -> None:
        self._attempt = attempt
        self._dialect = attempt.upstream.dialect
        self._response = response
        self._unfinished = set(range(choices))
        self._parser = sse.Parser(MAX_ANSWER)
        self._ready: list[Chunk] = []
        self._begun = b""
        """The first bytes of the body, which have been received but not parsed yet."""
        self._over = False
        self._broken: BrokenAnswerError | None = None
        self._notice = ""
        """The last message that is an error only if the answer stays incomplete (empty if none has arrived)."""
        self._is_kept = is_kept
        self._kept_bytes = 0

    async def start(self) -> None:
        """Waits for content (text, thinking or a tool call), the end of a choice, or the end of the stream.

        The wait also ends when the received chunks have 1 MiB.

        Raises CallFailedError if the stream fails, or if none of the received chunks has a choice.
        """
        with self._attempt:
            await self._receive_first()
            await self._receive_content()
            if not any(chunk.choices for chunk in self._ready):
                raise UnusableAnswerError("the upstream's stream has no choices")
        # The client may leave before a later chunk reports the service tier.
        if tiers := [chunk.service_tier for chunk in self._ready if chunk.service_tier]:
            self._attempt.report(Raw(), tiers[-1])
        entry = self._attempt.entry
        entry.first_byte = time.monotonic() - entry.started

    async def _receive_content(self) -> None:
        """Receives chunks until content, the end of a choice or the end of the stream has arrived, or 1 MiB of chunks.

        The received chunks stay in `_ready`, so that the router can still call another target if the stream fails.
        """
        checked = held = 0
        while not self._over and held < _MAX_HELD:
            await self._receive()
            arrived = self._ready[checked:]
            if any(chunk.has_content or chunk.finished for chunk in arrived):
                return
            checked += len(arrived)
            held += sum([len(chunk.data) for chunk in arrived])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Chunk]:
        if not self._ready and not self._over:
            with self._attempt:
                await self._receive()
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        self._response.close()
        self._attempt.succeeded()
        raise StopAsyncIteration

    def close(self) -> None:
        """Closes the response, and records the attempt as cancelled unless the attempt has succeeded or failed."""
        self._response.close()
        self._attempt.abandoned()

    async def _receive(self) -> None:
        """Reads from the upstream until another chunk arrives or the stream ends.

        Raises BrokenAnswerError or TransportError if the stream fails.
        """
        if self._broken is not None:
            raise self._broken
        before = len(self._ready)
        try:
            while len(self._ready) == before and not self._over:
                self._take_all(self._parser.feed(await self._more()))
        except BrokenAnswerError as error:
            if len(self._ready) == before:
                raise
            # The client still gets the chunks before the broken event, even if the same bytes contain the broken event.
            self._broken, self._over = error, False

    def _take_all(self, events: list[bytes]) -> None:
        is_over = sse.DONE in events
        chunks = self._dialect.read_chunks(events[: events.index(sse.DONE)] if is_over else events)
        take_undamaged(self._take_chunks, chunks, lambda: not self._unfinished)
        if is_over and self._notice and self._unfinished:
            raise self._incomplete()
        self._over = self._over or is_over

    def _take_chunks(self, chunks: Iterable[Chunk]) -> None:
        entry, ready, is_kept = self._attempt.entry, self._ready, self._is_kept
        for chunk in chunks:
            entry.received_bytes += chunk.output_bytes
            if is_kept or not chunk.is_text:
                if chunk.is_notice:
                    self._notice = chunk.error or ""
                    continue
                self._check(chunk)
            ready.append(chunk)

    async def _receive_first(self) -> None:
        """Reads the first bytes of the body, or the whole body if the body is JSON after white space and comments.

        Raises BrokenAnswerError if the JSON is not a usable answer, and TransportError if the body cannot be read.

        A server that ignores the request's field `stream` sends a complete answer, which is converted to chunks.
        """
        begun = rest = b""
        while not rest and len(begun) <= _MAX_BLANK:
            received = await self._response.read()
            if not received:
                break
            begun += received
            rest = sse.without_comments(begun)
        if sse.is_json(rest):
            pieces = [rest]
            try:
                answer = self._dialect.read_answer(await read_whole(self._response, MAX_ANSWER, parts=pieces))
            except BaseException:
                record_incomplete(self._attempt, pieces)
                raise
            self._take_chunks(self._dialect.chunks_of(answer))
            self._over = True
        self._begun = begun

    async def _more(self) -> bytes:
        if self._begun:
            begun, self._begun = self._begun, b""
            return begun
        try:
            received = await self._response.read()
        except TransportError:
            # Some servers never end the response. The stream is complete when every choice has a finish reason.
            if self._unfinished:
                if self._notice:
                    raise self._incomplete() from None
                raise
            received = b""
        if received:
            return received
        self._take_all(self._parser.end())
        if self._unfinished and not self._over:
            raise self._incomplete()
        self._over = True
        return b""

    def _incomplete(self) -> BrokenAnswerError:
        message = "the upstream's stream ended before the answer was complete"
        return UnusableAnswerError(message, text=self._notice) if self._notice else BrokenAnswerError(message)

    def _check(self, chunk: Chunk) -> None:
        """Records the usage, service tier and ended choices of a chunk, and checks the size of a stream that is kept.

        Raises UnusableAnswerError if the chunk reports a failure (`Chunk.is_failure`) or such a stream is too large.
        """
        self._attempt.report(chunk.usage, chunk.service_tier)
        if chunk.is_failure(self._attempt.entry.received_bytes):
            message = f"the upstream's stream contains an error: {chunk.error}"
            raise UnusableAnswerError(message, text=chunk.error or "")
        self._kept_bytes += len(chunk.data) if self._is_kept else 0
        if self._kept_bytes > MAX_ANSWER:
            raise UnusableAnswerError(f"the upstream's stream exceeds the limit of {MAX_ANSWER} bytes")
        self._unfinished.difference_update(chunk.finished)


async def open_stream(
    upstream: Upstream,
    transport: Transport,
    body: bytes,
    entry: Entry,
    choices: int,
    *,
    traceparent: str | None = None,
    is_kept: bool = False,
) -> ChunkStream:
    """Makes one streamed attempt and returns the stream after the wait in `ChunkStream.start`.

    Raises CallFailedError if the attempt fails before the wait has ended. In this case, the router can still
    call another target. If the parameter `is_kept` is true, the caller keeps all chunks until the stream ends, so the
    stream is limited to `MAX_ANSWER` bytes.
    """
    attempt = begin_attempt(upstream, entry)
    with attempt:
        response = await attempt.send(transport, body, traceparent)
    stream = ChunkStream(attempt, response, choices, is_kept=is_kept)
    try:
        await stream.start()
    except BaseException:
        stream.close()
        raise
    return stream
