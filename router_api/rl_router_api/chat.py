"""`POST /v1/chat/completions`: a plain ASGI object that takes a request through the hops and keeps its books."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

from .access import ApiKey
from .body import ClientGoneError, header, read_body
from .call import CallFailedError
from .errors import RouterError
from .journal import log
from .ledger import Ledger
from .limits import Limits, limits_of
from .reply import EVENT_STREAM, Reply, common_headers, completion_reply, error_event, error_reply, stream_events
from .route import Outcome, Route
from .runtime import Runtime
from .wire import ChatRequest, parse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_CLIENT_GONE = 499
"""The status in the log of a request whose client went away (nginx's convention)."""


class ChatCompletions:
    """The endpoint."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(self._runtime, scope, receive, send)
        await exchange.run()


class _Exchange:
    """One request and its reply."""

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self._scope = scope
        self._receive = receive
        self._send = send
        self._ledger = Ledger(request_id(scope))
        self._setup = runtime.current
        self._history = self._setup.configuration.routing.call_history
        self._key: ApiKey | None = scope.get("rl_router.key")
        self._request: ChatRequest | None = None
        self._status = 500
        self._begun = False
        self._gone = False
        self._ended = False
        self._last_sent = time.monotonic()

    async def run(self) -> None:
        """Answers, whatever happens, and books."""
        self._runtime.begin()
        watch: asyncio.Task[None] | None = None
        try:
            self._admit()
            body = await read_body(self._scope, self._receive, self._setup.configuration.server.max_body_bytes)
            watch = asyncio.create_task(self._watch_client(asyncio.current_task()))
            await self._answer(parse(body))
        except RouterError as error:
            await self._fail(error)
        except asyncio.CancelledError:
            if not self._gone:
                await self._fail(RouterError(503, "The server is shutting down.", code="shutting_down"))
            else:
                self._status = _CLIENT_GONE
        except ClientGoneError:
            self._status = _CLIENT_GONE
        except Exception:
            log(logging.ERROR, "a request failed for a reason of our own", request_id=self._ledger.request_id)
            logging.getLogger("rl_router").exception("internal error")
            await self._fail(RouterError(500, "The router failed; its log says why.", code="internal_error"))
        finally:
            if watch is not None:
                watch.cancel()
            self._book()

    def _admit(self) -> None:
        most = self._setup.configuration.server.max_in_flight
        if self._runtime.in_flight > most:
            message = f"The server is at its limit of {most} requests at once."
            raise RouterError(429, message, code="overloaded", retry_after=1.0)
        if self._key is not None:
            self._runtime.access.begin(self._key)

    async def _answer(self, request: ChatRequest) -> None:
        self._request, setup = request, self._setup
        pinned_to = setup.pinned_target(request)
        limits = limits_of(request, setup.configuration.routing, self._ledger)
        route = Route(request, setup.fleet, setup.policy_for(request), limits, header(self._scope, b"traceparent"))
        if not request.stream:
            outcome = await route.answer(pinned_to)
            await self._reply(completion_reply(outcome, request, self._ledger, self._history))
            return
        pings = asyncio.create_task(self._ping())
        try:
            outcome = await route.answer(pinned_to)
            await self._stream(outcome, request, limits)
        finally:
            pings.cancel()

    async def _stream(self, outcome: Outcome, request: ChatRequest, limits: Limits) -> None:
        # An answer that is whole goes out whole, however long its client takes to read it.
        deadline = limits.deadline if outcome.stream is not None else None
        try:
            async with asyncio.timeout_at(deadline):
                await self._relay(stream_events(outcome, request, self._ledger, self._history))
        except TimeoutError:
            message = "The deadline passed before the answer was whole."
            raise RouterError(504, message, code="deadline_exceeded", retryable=False) from None
        except CallFailedError as failure:
            message = f"The answer was cut: {failure.message}."
            raise RouterError(502, message, code="stream_cut") from None
        finally:
            if outcome.stream is not None:
                outcome.stream.close()

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

    async def _ping(self) -> None:
        """Comments while nothing else can be sent, so that no proxy on the way cuts the connection."""
        after = self._setup.configuration.server.ping_after
        while True:
            idle = time.monotonic() - self._last_sent
            if idle >= after:
                await self._send_event(b": ping\n\n")
            else:
                await asyncio.sleep(after - idle)

    async def _fail(self, error: RouterError) -> None:
        self._status, self._ended = error.status, True
        self._ledger.close()
        if self._begun:
            event = error_event(error, self._ledger, self._history)
            await self._send({"type": "http.response.body", "body": event, "more_body": False})
        else:
            await self._reply(error_reply(error, self._ledger, self._history))

    async def _reply(self, reply: Reply) -> None:
        self._status, self._begun, self._ended = reply.status, True, True
        headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": reply.body})

    async def _watch_client(self, serving: asyncio.Task[Any] | None) -> None:
        """Cancels the request, and with it every upstream call, when its client goes away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # A server says "disconnect" after the reply's end as well.
        if serving is not None and not self._ended:
            self._gone = True
            serving.cancel()

    def _book(self) -> None:
        self._runtime.end()
        asked = self._request if self._setup.configuration.server.log_prompts else None
        texts = {"messages": asked.fields["messages"]} if asked else {}
        self._runtime.book(self._ledger, self._status, self._key, "full" if asked else "none", **texts)
        if self._runtime.tracing is not None:
            self._runtime.tracing.write(self._ledger, self._status, header(self._scope, b"traceparent"))


def request_id(scope: Scope) -> str:
    """The client's own x-request-id where it is one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"req_{uuid.uuid4().hex}"
