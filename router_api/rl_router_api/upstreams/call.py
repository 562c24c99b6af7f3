"""One attempt at an upstream: a request out, a completion or a stream of chunks back, or what went wrong.

Every attempt has an open ledger entry; whatever happens here, the entry ends up closed with what it cost.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import math
import re
import time
from typing import Any, Self

import msgspec

from ..accounting.ledger import Entry, Status
from ..accounting.log import log
from ..dialects import sse
from ..dialects.chat.read_answer import Chunk, Completion, read_chunks, read_completion, text_of
from ..errors import BrokenAnswerError, CallFailedError, NoCapacityError, TransportError
from ..timing import Until
from .transport import Response, Transport
from .upstream import Upstream

MAX_ANSWER = 32 * 1024 * 1024
_MAX_ERROR = 64 * 1024
_MAX_RETRY_AFTER = 86_400.0
_MOST_HELD = 100

_OWN_LIMIT_CODES = re.compile(
    r"context_length|unsupported_(parameter|value)|content_(filter|policy)|string_above_max|too_large|max_tokens", re.I
)
_OWN_LIMIT_WORDS = re.compile(
    r"context (length|window)|maximum (context|length|model length)|too (long|large|many (input |prompt )?tokens)|"
    r"unsupported|not supported|does not support|is not compatible with|content (filter|management|policy)|"
    r"max_(completion_)?tokens",
    re.I,
)


async def complete(
    upstream: Upstream,
    transport: Transport,
    body: bytes,
    entry: Entry,
    *,
    traceparent: str | None = None,
    within: float | None = None,
) -> Completion:
    """A whole completion, `within` seconds in all where that is given. Raises CallFailedError."""
    attempt = _begun(upstream, entry)
    with attempt:
        answer = _whole_answer(attempt, transport, body, traceparent)
        if within is None:
            received = await answer
        else:
            with Until(asyncio.get_running_loop().time() + within):
                received = await answer
        completion = read_completion(received)
        entry.response = text_of(completion.first)
        if completion.reported:
            entry.report(completion.reported.usage, completion.reported.raw)
        else:
            said = [choice.message for choice in completion.choices if choice.message]
            entry.received_bytes = sum(len(text_of(message).encode()) for message in said)
    attempt.succeeded()
    return completion


async def _whole_answer(attempt: _Attempt, transport: Transport, body: bytes, traceparent: str | None) -> bytes:
    response = await attempt.send(transport, body, traceparent)
    try:
        return await _read(response, MAX_ANSWER, attempt.entry)
    finally:
        response.close()


class ChunkStream:
    """A stream whose first choice is here; iterating gives the chunks up to the end, all that are here at a time.

    Raises CallFailedError while iterating where the stream is cut. `close` ends it early: the entry then says
    cancelled, with what came so far.
    """

    def __init__(self, attempt: _Attempt, response: Response, choices: int, *, is_kept: bool) -> None:
        self._attempt = attempt
        self._response = response
        self._unfinished = set(range(choices))
        self._parser = sse.Parser(MAX_ANSWER)
        self._ready: list[Chunk] = []
        self._over = False
        self._broken: BrokenAnswerError | None = None
        self._is_kept = is_kept
        self._kept_bytes = 0

    async def start(self) -> None:
        """Waits for the first chunk with a choice. Raises CallFailedError."""
        with self._attempt:
            while not self._over and not self._says_something:
                await self._receive()
            if not self._says_something:
                raise BrokenAnswerError("a stream without choices")

    @property
    def _says_something(self) -> bool:
        """Whether a choice is among the chunks; behind very many without one, it is taken to be on its way."""
        return len(self._ready) >= _MOST_HELD or any(chunk.choices for chunk in self._ready)

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
        """Drops the connection where the stream has not ended."""
        self._response.close()
        self._attempt.abandoned()

    async def _receive(self) -> None:
        """Reads on until there is a further chunk, or the end."""
        if self._broken is not None:
            raise self._broken
        had = len(self._ready)
        try:
            while len(self._ready) == had and not self._over:
                self._take_all(self._parser.feed(await self._more()))
        except BrokenAnswerError as error:
            if len(self._ready) == had:
                raise
            # What came before it, though in the same bytes, is the client's all the same.
            self._broken, self._over = error, False

    def _take_all(self, events: list[bytes]) -> None:
        is_over = sse.DONE in events
        entry = self._attempt.entry
        if entry.first_byte is None and events:
            entry.first_byte = time.monotonic() - entry.started
        for chunk in read_chunks(events[: events.index(sse.DONE)] if is_over else events):
            if chunk.error is not None or chunk.finished or chunk.reported or self._is_kept:
                self._look_at(chunk, entry)
            entry.received_bytes += chunk.text_bytes
            self._ready.append(chunk)
        self._over = self._over or is_over

    async def _more(self) -> bytes:
        try:
            received = await self._response.read()
        except TransportError:
            # Some servers never close: once every choice has said why it ended, nothing is missing.
            if self._unfinished:
                raise
            received = b""
        if received:
            return received
        self._take_all(self._parser.end())
        if self._unfinished and not self._over:
            raise BrokenAnswerError("the stream ended before the answer did")
        self._over = True
        return b""

    def _look_at(self, chunk: Chunk, entry: Entry) -> None:
        """Takes in what few chunks have. Raises BrokenAnswerError."""
        if chunk.error is not None:
            raise BrokenAnswerError(f"an error inside the stream: {chunk.error}")
        self._kept_bytes += len(chunk.data) if self._is_kept else 0
        if self._kept_bytes > MAX_ANSWER:
            raise BrokenAnswerError(f"more than {MAX_ANSWER} bytes")
        self._unfinished.difference_update(chunk.finished)
        if chunk.reported:
            entry.report(chunk.reported.usage, chunk.reported.raw)


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
    """A stream whose first chunk has come, so that up to here another target can still be asked.

    One whose chunks are kept, to be replayed, is bounded in all as a whole answer is. Raises CallFailedError.
    """
    attempt = _begun(upstream, entry)
    with attempt:
        response = await attempt.send(transport, body, traceparent)
        entry.first_byte = None
    stream = ChunkStream(attempt, response, choices, is_kept=is_kept)
    try:
        await stream.start()
    except BaseException:
        stream.close()
        raise
    return stream


class _Attempt:
    """Books an attempt, and tells its upstream's breaker how it went; whichever end is told first counts."""

    def __init__(self, upstream: Upstream, entry: Entry) -> None:
        self.entry = entry
        self._upstream = upstream
        self._ended = False
        self._call = upstream.begin()

    async def send(self, transport: Transport, body: bytes, traceparent: str | None) -> Response:
        """The answer to the request, its body still to be read. Raises what ends the attempt."""
        upstream = self._upstream
        response = await transport.send(
            "POST", upstream.completions_url, upstream.headers(traceparent), body, upstream.silence
        )
        if not 200 <= response.status < 300:
            try:
                raise await _refusal(upstream, response)
            finally:
                response.close()
        self.entry.first_byte = time.monotonic() - self.entry.started
        return response

    def __enter__(self) -> None:
        """A part of the attempt: whatever goes wrong in it ends the attempt. Raises CallFailedError."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        failure = self._failure(error)
        if failure is None:
            self.abandoned()
        else:
            raise self._failed(failure) from (error if failure is not error else None)

    def _failure(self, error: BaseException) -> CallFailedError | None:
        """What an error says of the attempt; None where it says nothing of it."""
        name = self._upstream.name
        match error:
            case CallFailedError():
                return error
            case TransportError():
                return CallFailedError(error.kind, f"`{name}`: {error}")
            case TimeoutError():
                return CallFailedError("timeout", f"`{name}`: no answer in time")
            case BrokenAnswerError():
                words = self._upstream.scrub(str(error))
                return CallFailedError("broken", f"`{name}` sent no usable answer", log_text=words)
        return None

    def succeeded(self) -> None:
        """A whole answer came."""
        if self._end():
            self.entry.close("ok")
            self._upstream.went_well(self.entry.latency)

    def abandoned(self) -> None:
        """It was cancelled."""
        if self._end():
            self._upstream.breaker.abandoned(self._call)
            self.entry.close("cancelled")

    def _failed(self, failure: CallFailedError) -> CallFailedError:
        if self._end():
            status: Status = "timeout" if failure.kind == "timeout" else "error"
            self.entry.close(status, failure.message, billed=failure.billed)
            if failure.status == 429:
                self._upstream.put_aside(failure.retry_after if failure.retry_after is not None else 1.0)
            self._upstream.went_wrong(self._call, failure.message, counts=failure.counts_for_breaker)
            log(logging.INFO, failure.message, call_id=self.entry.call_id, upstream_text=failure.log_text)
        return failure

    def _end(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        self._upstream.end()
        return True


def _begun(upstream: Upstream, entry: Entry) -> _Attempt:
    """Raises CallFailedError where another call took the upstream's last place."""
    try:
        return _Attempt(upstream, entry)
    except NoCapacityError:
        failure = CallFailedError("busy", f"`{upstream.name}` has no place left", status=429)
        entry.close("error", failure.message, billed=False)
        raise failure from None


async def _read(response: Response, limit: int, entry: Entry | None = None) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := await response.read():
        parts.append(chunk)
        size += len(chunk)
        if entry is not None:
            entry.received_bytes = size
        if size > limit:
            raise BrokenAnswerError(f"more than {limit} bytes")
    return b"".join(parts)


async def _refusal(upstream: Upstream, response: Response) -> CallFailedError:
    """What a status other than a 2xx means."""
    try:
        text = (await _read(response, _MAX_ERROR)).decode(errors="replace")
    except (BrokenAnswerError, TransportError):
        text = ""
    error = _error_object(text)
    if error.get("message"):
        error["message"] = upstream.scrub(error["message"])
    return CallFailedError(
        "status",
        f"`{upstream.name}` answered {response.status}",
        status=response.status,
        retry_after=_retry_after(response.headers.get("retry-after")),
        error=error,
        own_limit=_is_own_limit(response.status, error),
        log_text=upstream.scrub(text),
    )


def _is_own_limit(status: int, error: dict[str, Any]) -> bool:
    """Whether a refusal is for the sake of the upstream's own limits (context length, unsupported parameter, content
    filter)."""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    said = bool(_OWN_LIMIT_CODES.search(code) or _OWN_LIMIT_WORDS.search(message))
    return status == 413 or (status in (400, 422) and said)


def _error_object(text: str) -> dict[str, Any]:
    """The plain values of an upstream's error, its message as text whatever it is."""
    try:
        error = _error_in(msgspec.json.decode(text))
        plain = {name: value for name, value in error.items() if not isinstance(value, (dict, list))}
        return plain | ({"message": str(error["message"])} if error.get("message") else {})
    except (msgspec.DecodeError, RecursionError):
        return {}


def _error_in(body: Any) -> dict[str, Any]:
    if isinstance(body, list) and body:
        # Google's endpoint wraps its error in a list.
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _retry_after(text: str | None) -> float | None:
    """Seconds, from seconds or an HTTP date."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _MAX_RETRY_AFTER)
