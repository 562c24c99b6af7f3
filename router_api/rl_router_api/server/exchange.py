"""One request to an endpoint that costs money, and its reply: admission, the client's leaving, errors, the books."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from abc import ABC, abstractmethod
from typing import Any

from ..access.keys import ApiKey
from ..accounting.ledger import Ledger
from ..accounting.log import log
from ..accounting.recorders import EndedRequest, record_all
from ..conversation.request import Request
from ..dialects.chat.read_request import read_request
from ..errors import ApiError, ClientGoneError
from ..http1.asgi import Receive, Scope, Send
from ..http1.cycle import EXTENSION, Cycle
from ..runtime.runtime import Runtime
from .body import header, read_body
from .reply import Reply, error_reply

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CLIENT_GONE = 499
"""The status in the log of a request whose client went away (nginx's convention)."""


class Exchange(ABC):
    """A request and its reply; what the answer is, each endpoint says."""

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self._scope = scope
        self._receive = receive
        self._send = send
        self._cycle: Cycle = scope["extensions"][EXTENSION]
        self._ledger = Ledger(request_id(scope), self._traceparent)
        self._setup = runtime.current
        self._recorders = runtime.recorders
        self._history = self._setup.configuration.routing.call_history
        self._key: ApiKey | None = None
        self._request: Request | None = None
        self._status = 500
        self._begun = False
        self._ended = False
        self._gone = False

    @abstractmethod
    async def answer(self, request: Request) -> None:
        """Sends the reply. Raises ApiError."""

    async def run(self) -> None:
        """Answers, whatever happens, and books."""
        self._runtime.begin()
        try:
            self._admit()
            body = await read_body(self._scope, self._receive, self._setup.configuration.server.max_body_bytes)
            self._watch_client()
            self._request = read_request(body)
            await self.answer(self._request)
        except ApiError as error:
            await self._fail(error)
        except asyncio.CancelledError:
            if not self._gone:
                await self._fail(ApiError(503, "The server is shutting down.", code="shutting_down"))
            else:
                self._status = _CLIENT_GONE
        except ClientGoneError:
            self._status = _CLIENT_GONE
        except Exception:
            log(logging.ERROR, "a request failed for a reason of our own", request_id=self._ledger.request_id)
            logging.getLogger("rl_router").exception("internal error")
            await self._fail(ApiError(500, "The router failed; its log says why.", code="internal_error"))
        finally:
            self._cycle.unwatch()
            self._book()

    def _admit(self) -> None:
        if not self._scope.get("rl_router.admin"):
            self._key = self._runtime.admission.authenticate(header(self._scope, b"authorization"))
        most = self._setup.configuration.server.max_in_flight
        if self._runtime.in_flight > most:
            message = f"The server is at its limit of {most} requests at once."
            raise ApiError(429, message, code="overloaded", retry_after=1.0)
        if self._key is not None:
            self._runtime.admission.begin(self._key)

    @property
    def _traceparent(self) -> str | None:
        """The client's, if it is one."""
        given = header(self._scope, b"traceparent")
        return given if given and _TRACEPARENT.fullmatch(given) else None

    def _metadata(self) -> dict[str, Any]:
        """Returns `router_metadata` of the ended request."""
        self._ledger.close()
        return self._ledger.metadata(self._history)

    async def _fail(self, error: ApiError) -> None:
        self._status, self._ended = error.status, True
        self._ledger.close()
        await self._reply(error_reply(error, self._ledger, self._history))

    async def _reply(self, reply: Reply) -> None:
        self._status, self._begun, self._ended = reply.status, True, True
        headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": reply.body})

    def _watch_client(self) -> None:
        """Cancels the request, and with it every upstream call, when its client goes away. Raises ClientGoneError."""
        if self._cycle.disconnected:
            raise ClientGoneError
        self._cycle.watch(self._abandon)

    def _abandon(self) -> None:
        if self._cycle.task is not None and not self._ended:
            self._gone = True
            self._cycle.task.cancel()

    def _book(self) -> None:
        self._runtime.end()
        self._ledger.close()
        key = None if self._key is None else self._key.name
        request = self._request if self._setup.configuration.server.log_prompts else None
        messages = None if request is None else request.fields["messages"]
        record_all(self._recorders, EndedRequest(self._ledger, self._status, key, messages))


def request_id(scope: Scope) -> str:
    """The client's own x-request-id where it is one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"req_{random.getrandbits(128):032x}"
