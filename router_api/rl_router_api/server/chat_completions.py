"""Handles requests to `POST /v1/chat/completions`: sends a complete or a streamed answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import islice

from starlette.types import Receive, Scope, Send

from ..conversation.answer import Chunk
from ..conversation.request import Request
from ..errors import ApiError, CallFailedError
from ..routing.decide import Limits
from ..routing.limits import limits_of
from ..routing.outcome import Outcome
from ..runtime.runtime import Runtime
from ..timing import Until
from .handler import RequestHandler
from .reply import EVENT_STREAM, JSON, Reply, common_headers, metadata_if_paid

_STREAM_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
"""Headers that prevent proxies from reusing a stored stream, and prevent nginx from buffering a stream."""
_BATCH = 64
"""The maximum number of chunks of a completed answer that the server sends in one write."""


class ChatCompletionHandler(RequestHandler):
    """Handles one request for a chat completion."""

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(runtime, scope, receive, send)
        self._last_sent = time.monotonic()
        self._ping_timer: asyncio.TimerHandle
        self._ping: asyncio.Task[None] | None = None

    async def answer(self, request: Request) -> None:
        active = self._active
        limits = limits_of(request, active.fleet, active.unit, self._ledger, self._received_at)
        if not request.stream:
            await self._reply(self._whole(await active.routing.answer(request, limits), request))
            return
        self._schedule_ping()
        try:
            outcome = await self._active.routing.answer(request, limits)
            await self._stream(outcome, request, limits)
        finally:
            self._ping_timer.cancel()
            if self._ping is not None:
                self._ping.cancel()

    def _whole(self, outcome: Outcome, request: Request) -> Reply:
        if outcome.answer is None:
            raise ValueError("the outcome of a non-streamed request has no complete answer. Fix the package `routing`")
        metadata = self._metadata()
        headers = [*common_headers(self._ledger, JSON), (b"x-router-cost", str(metadata["total_cost"]).encode())]
        return Reply(200, headers, self._dialect.write_answer(outcome.answer, request, outcome.target, metadata))

    async def _stream(self, outcome: Outcome, request: Request, limits: Limits) -> None:
        # The deadline does not cut an answer that is already complete, even if the client reads the answer slowly.
        deadline = limits.deadline if outcome.stream is not None else None
        try:
            with Until(deadline):
                chunks = outcome.stream or self._replayed(outcome, request)
                await self._relay(self._dialect.write_stream(chunks, request, outcome.target, self._metadata))
        except TimeoutError:
            message = (
                f"The answer was not complete within the deadline of {limits.duration:g} s. "
                "Raise the request's `router.deadline_ms` or the server's `routing.deadline`, whichever is lower."
            )
            raise ApiError(504, message, code="deadline_exceeded", retryable=False) from None
        except CallFailedError as failure:
            message = f"The stream of the answer ended early: {failure.message}. Send the request again."
            raise ApiError(502, message, code="stream_cut") from None
        finally:
            if outcome.stream is not None:
                outcome.stream.close()

    async def _replayed(self, outcome: Outcome, request: Request) -> AsyncIterator[list[Chunk]]:
        """Yields the chunks of an answer that is already complete, in batches of up to 64 chunks."""
        chunks = iter(self._dialect.as_chunks(outcome.answer, request) if outcome.answer else outcome.chunks)
        while batch := list(islice(chunks, _BATCH)):
            yield batch

    async def _relay(self, events: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(events):
            async for event in events:
                self._ledger.began_to_answer()
                await self._send_event(event)
        self._status, self._ended = 200, True
        await self._send({"type": "http.response.body", "body": b""})

    async def _send_event(self, event: bytes) -> None:
        if not self._started:
            self._started = True
            headers = [*common_headers(self._ledger, EVENT_STREAM), *_STREAM_HEADERS]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._last_sent = time.monotonic()
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    def _schedule_ping(self) -> None:
        """Until `_ping_timer` is cancelled, sends a comment into the stream whenever nothing has been sent for
        `server.ping_after` seconds, so that no proxy closes the idle connection."""
        after = self._active.configuration.server.ping_after
        idle = time.monotonic() - self._last_sent
        if idle >= after and (self._ping is None or self._ping.done()):
            self._ping, idle = asyncio.create_task(self._send_event(b": ping\n\n")), 0.0
        self._ping_timer = asyncio.get_running_loop().call_later(max(after - idle, 0.01), self._schedule_ping)

    async def _fail(self, error: ApiError) -> None:
        if not self._started:
            await super()._fail(error)
            return
        self._status, self._ended = error.status, True
        self._ledger.close()
        event = self._dialect.write_error_event(error, metadata_if_paid(self._ledger, self._history))
        await self._send({"type": "http.response.body", "body": event, "more_body": False})
