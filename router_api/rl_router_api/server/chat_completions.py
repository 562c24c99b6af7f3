"""`POST /v1/chat/completions`: a request for a completion and its reply, streamed or not."""

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
from .exchange import Exchange
from .reply import EVENT_STREAM, JSON, Reply, common_headers, metadata_if_paid

_AT_ONCE = 64
"""Chunks of a replay that go out together."""


class ChatCompletion(Exchange):
    """A request for a completion, and its reply."""

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(runtime, scope, receive, send)
        self._last_sent = time.monotonic()
        self._silence: asyncio.TimerHandle
        self._ping: asyncio.Task[None] | None = None

    async def answer(self, request: Request) -> None:
        limits = limits_of(request, self._setup.fleet, self._ledger)
        if not request.stream:
            await self._reply(self._whole(await self._setup.routing.answer(request, limits), request))
            return
        self._expect_silence()
        try:
            outcome = await self._setup.routing.answer(request, limits)
            await self._stream(outcome, request, limits)
        finally:
            self._silence.cancel()
            if self._ping is not None:
                self._ping.cancel()

    def _whole(self, outcome: Outcome, request: Request) -> Reply:
        if outcome.answer is None:
            raise ValueError("a whole reply needs a whole answer")
        metadata = self._metadata()
        headers = [*common_headers(self._ledger, JSON), (b"x-router-cost", str(metadata["total_cost"]).encode())]
        return Reply(200, headers, self._dialect.write_answer(outcome.answer, request, outcome.target, metadata))

    async def _stream(self, outcome: Outcome, request: Request, limits: Limits) -> None:
        # An answer that is whole goes out whole, however long its client takes to read it.
        deadline = limits.deadline if outcome.stream is not None else None
        try:
            with Until(deadline):
                chunks = outcome.stream or self._replayed(outcome, request)
                await self._relay(self._dialect.write_stream(chunks, request, outcome.target, self._metadata))
        except TimeoutError:
            message = "The deadline passed before the answer was whole."
            raise ApiError(504, message, code="deadline_exceeded", retryable=False) from None
        except CallFailedError as failure:
            message = f"The answer was cut: {failure.message}."
            raise ApiError(502, message, code="stream_cut") from None
        finally:
            if outcome.stream is not None:
                outcome.stream.close()

    async def _replayed(self, outcome: Outcome, request: Request) -> AsyncIterator[list[Chunk]]:
        """Yields the chunks that are here already, some at a time."""
        chunks = iter(self._dialect.as_chunks(outcome.answer, request) if outcome.answer else outcome.chunks)
        while some := list(islice(chunks, _AT_ONCE)):
            yield some

    async def _relay(self, events: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(events):
            async for event in events:
                self._ledger.began_to_answer()
                await self._send_event(event)
        self._status, self._ended = 200, True
        await self._send({"type": "http.response.body", "body": b""})

    async def _send_event(self, event: bytes) -> None:
        if not self._begun:
            self._begun = True
            headers = [*common_headers(self._ledger, EVENT_STREAM), (b"cache-control", b"no-cache")]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._last_sent = time.monotonic()
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    def _expect_silence(self) -> None:
        """Sends comments while nothing else can be sent, so that no proxy on the way cuts the connection."""
        after = self._setup.configuration.server.ping_after
        idle = time.monotonic() - self._last_sent
        if idle >= after and (self._ping is None or self._ping.done()):
            self._ping, idle = asyncio.create_task(self._send_event(b": ping\n\n")), 0.0
        self._silence = asyncio.get_running_loop().call_later(max(after - idle, 0.01), self._expect_silence)

    async def _fail(self, error: ApiError) -> None:
        if not self._begun:
            await super()._fail(error)
            return
        self._status, self._ended = error.status, True
        self._ledger.close()
        event = self._dialect.write_error_event(error, metadata_if_paid(self._ledger, self._history))
        await self._send({"type": "http.response.body", "body": event, "more_body": False})
