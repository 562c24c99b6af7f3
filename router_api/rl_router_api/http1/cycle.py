"""A client's request and its reply, as ASGI has them, in as few steps and writes as can be."""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

CYCLE = "rl_router.cycle"
"""The cycle's own place in the scope."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in http.HTTPStatus}
_BODILESS = (204, 304)
_FAILED = b"The server failed."


class Line(Protocol):
    """The connection below, as far as a cycle needs it."""

    write_paused: bool

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """What every reply carries."""

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Waits until the client has taken enough of what was written."""

    def resume_reading(self) -> None: ...

    def replied(self, *, keep_alive: bool) -> None:
        """The reply is written to its end."""

    def abort(self) -> None: ...


class Cycle:
    """`receive` and `send` are ASGI's. `gone` says that the client went away, `complete` that the reply was sent."""

    __slots__ = (
        "_chunked", "_expects_continue", "_head", "_is_head", "_line", "_news", "_parts", "_told", "complete", "gone",
        "held", "keep_alive", "task", "version", "when_gone", "whole",
    )  # fmt: skip

    def __init__(self, line: Line, method: str, version: str, *, keep_alive: bool, expects_continue: bool) -> None:
        self._line = line
        self._is_head = method == "HEAD"
        self.task: asyncio.Task[None] | None = None
        """What runs it."""
        self.version = version
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._parts: list[bytes] = []
        self.held = 0
        """Bytes of the body that nobody has read yet."""
        self.whole = False
        """Whether the body has come to its end."""
        self._told = False
        self._news: asyncio.Future[None] | None = None
        self._head: bytes | None = None
        self._chunked = False
        self.gone = self.complete = False
        self.when_gone: Callable[[], None] | None = None
        """Called where the client goes away before the reply is complete: a task that waits for it costs far more."""

    @property
    def begun(self) -> bool:
        """Whether the application has begun to reply."""
        return self._head is not None

    def whole_body(self) -> bytes | None:
        """What is left of the body, where that is all here already."""
        return self._taken() if self.whole else None

    async def run(self, app: App, scope: Scope) -> None:
        """Has the application answer."""
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            logging.getLogger("rl_router").exception("a request failed for a reason of our own")
        finally:
            self.when_gone = None
        if not self.complete and not self.gone:
            await self._make_do()

    async def _make_do(self) -> None:
        """The application gave no whole reply."""
        if self._head is None:
            self.keep_alive = False
            length = (b"content-length", str(len(_FAILED)).encode())
            await self.send({"type": "http.response.start", "status": 500, "headers": [length]})
            await self.send({"type": "http.response.body", "body": _FAILED})
        else:
            self._line.abort()

    def take(self, part: bytes) -> None:
        """A further part of the body."""
        self._parts.append(part)
        self.held += len(part)
        if self._news is not None:
            self._wake()

    def end_body(self) -> None:
        self.whole = True
        if self._news is not None:
            self._wake()

    def leave(self) -> None:
        """The client went away."""
        self.gone = True
        if self.when_gone is not None and not self.complete:
            self.when_gone()
        self._wake()

    async def receive(self) -> MutableMapping[str, Any]:
        if self._expects_continue and not self.gone and self._head is None:
            self._expects_continue = False
            self._line.write(_CONTINUE)
        while not (self.gone or self.complete):
            if not self._told and (self._parts or self.whole):
                return {"type": "http.request", "body": self._taken(), "more_body": not self.whole}
            self._line.resume_reading()
            await self._wait()
        return {"type": "http.disconnect"}

    def _taken(self) -> bytes:
        """The parts of the body that are here."""
        body, self._parts, self.held = b"".join(self._parts), [], 0
        self._told = self.whole
        self._line.resume_reading()
        return body

    async def _wait(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self._line.write_paused and not self.gone:
            await self._line.drained()
        if self.gone:
            return
        if message["type"] == "http.response.start":
            # Written together with what follows.
            self._head = self._made_head(message["status"], message.get("headers", ()))
        else:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def _made_head(self, status: int, headers: Headers) -> bytes:
        lines, framed = [_STATUS_LINES[status]], False
        for name, value in (*self._line.default_headers, *headers):
            if name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            lines.append(name + b": " + value)
            framed = framed or name == b"content-length"
        endless = not framed and not self._is_head and status not in _BODILESS
        # Where chunks are not known yet, the end of the connection ends the reply.
        self._chunked = endless and self.version == "1.1"
        self.keep_alive = self.keep_alive and endless == self._chunked
        if self._chunked:
            lines.append(b"transfer-encoding: chunked")
        if not self.keep_alive:
            lines.append(b"connection: close")
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            raise ValueError("a header holds a line break")
        return head

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._head is None or self.complete:
            raise RuntimeError("a reply's body belongs between its start and its end")
        if self._is_head:
            body = b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = body if more else body + b"0\r\n\r\n"
        if self._head or body:
            self._line.write(self._head + body)
        self._head = b""
        if not more:
            self.complete = True
            if self._news is not None:
                self._wake()
            self._line.replied(keep_alive=self.keep_alive)
