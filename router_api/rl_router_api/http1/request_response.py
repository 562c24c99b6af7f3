"""Passes one HTTP request to the ASGI application and writes the response, with few awaits and writes."""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Callable
from typing import Protocol

from .asgi import App, Headers, Message, Scope, ServerState

EXTENSION = "rl_router.http1"
"""The name of the ASGI scope's extension that contains the request's `RequestResponseCycle`.

An ASGI application may use the attributes `task`, `disconnected` and `body_complete` and the methods `whole_body`,
`watch` and `unwatch` of the `RequestResponseCycle`. The use of the `RequestResponseCycle` takes less CPU time than
ASGI's messages, because a complete body needs no message and no task waits for the message `http.disconnect`.
"""
HEADERS = "rl_router.headers"
"""The key under which the ASGI scope contains a mapping from the names of the headers to their first values."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in http.HTTPStatus}
_BODILESS = (204, 304)
_FAILED = b"The server failed with an internal error. The log of the server has the details."


class CycleConnection(Protocol):
    """The part of a connection that a `RequestResponseCycle` uses."""

    state: ServerState
    write_paused: bool

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Waits until the client has read enough of the response for the server to write more, or has disconnected."""

    def resume_reading(self) -> None: ...

    def responded(self, *, keep_alive: bool) -> None:
        """Tells the connection that the whole response was written."""

    def abort(self) -> None: ...


class RequestResponseCycle:
    """One request and the response to this request.

    The methods `receive` and `send` are the callables that ASGI defines. The attribute `disconnected` is true after the
    client has disconnected or has sent an invalid body. The attribute `response_complete` is true after the whole
    response was written. The attribute `body_complete` is true after the whole body was received. The attribute
    `buffered` is the number of received body bytes that the application has not read yet.
    """

    __slots__ = (
        "_body_delivered", "_chunked", "_connection", "_expects_continue", "_head", "_is_head",
        "_on_disconnect", "_parts", "_version", "_wakeup", "body_complete", "buffered", "disconnected",
        "keep_alive", "response_complete", "task",
    )  # fmt: skip

    def __init__(
        self, connection: CycleConnection, method: str, version: str, *, keep_alive: bool, expects_continue: bool
    ) -> None:
        self._connection = connection
        self.task: asyncio.Task[None] | None = None
        """The task that runs the application for this request."""
        self._is_head = method == "HEAD"
        self._version = version
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._parts: list[bytes] = []
        self.buffered = 0
        self.body_complete = self._body_delivered = False
        self._wakeup: asyncio.Future[None] | None = None
        self._head: bytes | None = None
        self._chunked = False
        self.disconnected = self.response_complete = False
        self._on_disconnect: Callable[[], None] | None = None

    @property
    def response_started(self) -> bool:
        """Whether the application has started the response."""
        return self._head is not None

    @property
    def awaits_response(self) -> bool:
        """Whether the client has sent the whole request, and may receive an interim response before the final
        response."""
        return self.body_complete and self._head is None and self._version == "1.1"

    def whole_body(self) -> bytes | None:
        """Returns the unread part of the body, or None if the client has not sent the whole body yet."""
        return self._take_parts() if self.body_complete else None

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Calls the function `on_disconnect` if the client disconnects before the response is complete."""
        self._on_disconnect = on_disconnect

    def unwatch(self) -> None:
        """Cancels the callback that the method `watch` registered."""
        self._on_disconnect = None

    async def run(self, app: App, scope: Scope) -> None:
        """Runs the ASGI application for this request, and logs an exception that the application raises.

        If the application sends no response, the method sends a response with status 500. If the application sends an
        incomplete response, the method aborts the connection.
        """
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            logging.getLogger("rl_router").exception("request failed with an internal error")
        finally:
            self._on_disconnect = None
        if not self.response_complete and not self.disconnected:
            await self._complete_response()

    async def _complete_response(self) -> None:
        if self._head is None:
            self.keep_alive = False
            length = (b"content-length", str(len(_FAILED)).encode())
            await self.send({"type": "http.response.start", "status": 500, "headers": [length]})
            await self.send({"type": "http.response.body", "body": _FAILED})
        else:
            self._connection.abort()

    def add_body(self, part: bytes) -> None:
        """Appends a received part to the request's body."""
        self._parts.append(part)
        self.buffered += len(part)
        if self._wakeup is not None:
            self._wake()

    def end_body(self) -> None:
        """Marks the body of the request as complete."""
        self.body_complete = True
        if self._wakeup is not None:
            self._wake()

    def disconnect(self) -> None:
        """Marks the client as disconnected, and calls the callback of `watch` if the response is not complete."""
        self.disconnected = True
        if self._on_disconnect is not None and not self.response_complete:
            self._on_disconnect()
        self._wake()

    async def receive(self) -> Message:
        if self._expects_continue and not self.disconnected and self._head is None:
            self._expects_continue = False
            self._connection.write(CONTINUE)
        while not (self.disconnected or self.response_complete):
            if not self._body_delivered and (self._parts or self.body_complete):
                return {"type": "http.request", "body": self._take_parts(), "more_body": not self.body_complete}
            self._connection.resume_reading()
            await self._wait()
        return {"type": "http.disconnect"}

    def _take_parts(self) -> bytes:
        body, self._parts, self.buffered = b"".join(self._parts), [], 0
        self._body_delivered = self.body_complete
        self._connection.resume_reading()
        return body

    async def _wait(self) -> None:
        self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await self._wakeup
        finally:
            self._wakeup = None

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def send(self, message: Message) -> None:
        if self._connection.write_paused and not self.disconnected:
            await self._connection.drained()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            # The head is written together with the first part of the body, in one write.
            self._head = self._as_head(message["status"], message.get("headers", ()))
        else:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def _as_head(self, status: int, headers: Headers) -> bytes:
        fields = [*self._connection.state.default_headers, *headers]
        values = dict(fields)
        if b"connection" in values:
            self.keep_alive = self.keep_alive and values[b"connection"].lower() != b"close"
            fields = [field for field in fields if field[0] != b"connection"]
        lines = [_STATUS_LINES[status], *map(b": ".join, fields)]
        unknown_length = b"content-length" not in values and not self._is_head and status not in _BODILESS
        # HTTP/1.0 clients do not support chunked encoding, so the end of the connection ends their response.
        self._chunked = unknown_length and self._version == "1.1"
        self.keep_alive = self.keep_alive and unknown_length == self._chunked
        if self._chunked:
            lines.append(b"transfer-encoding: chunked")
        if not self.keep_alive:
            lines.append(b"connection: close")
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            raise ValueError("a response header contains a line break. Remove the line break from the name or value")
        return head

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._head is None or self.response_complete:
            raise RuntimeError(
                "the application sent http.response.body before http.response.start, or after the last body message. "
                "Fix the order of the ASGI messages"
            )
        if self._is_head:
            body = b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = body if more else body + b"0\r\n\r\n"
        if self._head or body:
            self._connection.write(self._head + body)
        self._head = b""
        if not more:
            self.response_complete = True
            if self._wakeup is not None:
                self._wake()
            self._connection.responded(keep_alive=self.keep_alive)
