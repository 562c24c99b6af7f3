"""Handles a request to an endpoint that calls models: checks, answers and records the request."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from starlette.types import Receive, Scope, Send

from ..access.keys import ApiKey
from ..accounting.ledger import Ledger
from ..accounting.log import log
from ..accounting.recorders import EndedRequest, record_all
from ..conversation.request import Request
from ..dialects.chat import client_side as chat
from ..dialects.client_dialect import ClientDialect
from ..errors import ApiError, ClientGoneError
from ..runtime.runtime import Runtime
from .body import LARGE_BODY, BodyLimits, coding_of, read_in_thread, read_parts, whole_body
from .client import client_of
from .reply import Reply, error_reply
from .scope import credentials, request_id, traceparent

_CLIENT_GONE = 499
"""The HTTP status that is recorded if the client disconnects before the answer is complete, as in the logs of nginx."""


class RequestHandler(ABC):
    """Handles one request. Each endpoint that calls models has a subclass of `RequestHandler`.

    The attribute `_dialect` is the dialect of the request and the reply.
    """

    _dialect: ClassVar[ClientDialect] = chat

    _key: ApiKey | None = None
    _request: Request | None = None
    _status = 500
    _in_flight = False
    _held: tuple[int, str | None] = 0, None
    """The arguments of `Load.release` at the end of the request, for the bytes that decompression added."""
    _started = False
    _ended = False
    _disconnected = False

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self._scope = scope
        self._receive = receive
        self._client, self._send = client_of(scope, receive, send)
        self._ledger = Ledger(request_id(scope), traceparent(scope))
        self._active = runtime.active
        self._recorders = runtime.recorders
        self._history = self._active.configuration.routing.call_history
        self._received_at = asyncio.get_running_loop().time()

    @abstractmethod
    async def answer(self, request: Request) -> None:
        """Sends the reply to a valid request. Raises ApiError if the request fails."""

    async def run(self) -> None:
        """Handles the request, sends an error if the request fails, and records the request in every case."""
        try:
            self._admit()
            self._request = await self._read_request()
            await self.answer(self._request)
        except ApiError as error:
            await self._fail(error)
        except ClientGoneError:
            self._status = _CLIENT_GONE
        except asyncio.CancelledError:
            if not await self._ended_by_client():
                raise
        except Exception:
            log(logging.ERROR, "request failed with an internal error", request_id=self._ledger.request_id)
            logging.getLogger("rl_router").exception("internal error")
            message = "The router API failed with an internal error. The log of the router API has the details."
            await self._fail(ApiError(500, message, code="internal_error"))
        finally:
            self._client.unwatch()
            self._record()

    def _admit(self) -> None:
        self._key = self._runtime.admission.authenticate(credentials(self._scope))
        if self._client.body_complete:
            self._begin()
        else:
            self._runtime.load.check(self._active.configuration.server)
        if self._key is not None:
            self._runtime.admission.begin(self._key)

    def _begin(self) -> None:
        self._runtime.load.begin(self._active.configuration.server)
        self._in_flight = True

    async def _read_request(self) -> Request:
        """Reads the body of the request, and returns the parsed request.

        The request is in flight from the moment when the body is complete.
        """
        configuration = self._active.configuration
        server = configuration.server
        body = whole_body(self._scope, self._client, server.max_body_bytes)
        coding = coding_of(self._scope)
        if body is None:
            load, allowed = self._runtime.load, configuration.routing.deadline
            limits = BodyLimits(server, load, self._received_at + allowed, allowed, key=self._sharing_key)
            body = await read_parts(self._receive, limits)
            self._begin()
        self._watch_client()
        read = self._dialect.read_request
        if coding is None and len(body) <= LARGE_BODY:
            return read(body)
        request, size = await read_in_thread(read, body, coding, server.max_body_bytes)
        if size > len(body):
            self._held = size - len(body), self._sharing_key
            self._runtime.load.hold(self._held[0], server, self._held[1])
        return request

    @property
    def _sharing_key(self) -> str | None:
        """The name of the client's API key if the server has several API keys, and otherwise None."""
        return self._key.name if self._key is not None and self._runtime.admission.has_several_keys else None

    def _watch_client(self) -> None:
        """Cancels the request and the request's upstream calls when the client disconnects.

        Raises ClientGoneError if the client has already disconnected.
        """
        if self._client.disconnected:
            raise ClientGoneError
        self._client.watch(self._cancel)

    def _cancel(self) -> None:
        if self._client.task is not None and not (self._ended or self._disconnected):
            self._disconnected = True
            self._client.task.cancel()

    async def _ended_by_client(self) -> bool:
        """Handles the cancellation of a request, and returns whether only the client's disconnect caused the
        cancellation.

        If the client has not disconnected, the server is shutting down and has cancelled the request. In this case, the
        client gets an error.
        """
        if not self._disconnected:
            message = "The server is shutting down. Send the request again."
            await self._fail(ApiError(503, message, code="shutting_down"))
            return False
        self._status = _CLIENT_GONE
        return self._client.task is not None and self._client.task.uncancel() == 0

    def _metadata(self) -> dict[str, Any]:
        """Closes the ledger of the request, and returns the `router_metadata` of the ledger."""
        self._ledger.close()
        return self._ledger.metadata(self._history)

    async def _fail(self, error: ApiError) -> None:
        self._status, self._ended = error.status, True
        self._ledger.close()
        await self._reply(error_reply(error, self._ledger, self._history, self._dialect))

    async def _reply(self, reply: Reply) -> None:
        self._status, self._started, self._ended = reply.status, True, True
        headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": reply.body})

    def _record(self) -> None:
        if self._in_flight:
            self._runtime.load.end()
        if self._held[0]:
            self._runtime.load.release(*self._held)
        self._ledger.close()
        key = None if self._key is None else self._key.name
        request = self._request if self._active.configuration.server.log_prompts else None
        messages = None if request is None else request.fields["messages"]
        record_all(self._recorders, EndedRequest(self._ledger, self._status, key, messages))
