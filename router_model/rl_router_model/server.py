"""Serves the HTTP API of the CPU fallback.

Apart from `POST /v1/decisions`, the endpoints are a subset of vLLM's endpoints. If the learned policy decides, it
answers the requests that ask for a routing decision. The server relays all other chat completions to llama.cpp.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from rl_router_model.decisions.error import RequestError
from rl_router_model.engine import HTTP_THREADS, Engine
from rl_router_model.language_model import LanguageModel
from rl_router_model.problem import StartError

if TYPE_CHECKING:
    from rl_router_model.decisions.endpoint import Decisions

MAX_BODY = 64 * 2**20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class UnknownModelError(Exception):
    """Raised if a request names a model that the server does not serve."""


class ChatApi:
    """Serves one language model under one or more model names, and optionally decisions of the learned policy.

    The endpoints are `GET /health`, `GET /v1/models` and `POST /v1/chat/completions`. If the learned policy decides,
    `POST /v1/decisions` is an endpoint too. If API keys are configured, all endpoints except `/health` require an API
    key as a bearer token.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        names: Sequence[str],
        keys: Sequence[str] = (),
        root_path: str = "",
        decisions: Decisions | None = None,
    ) -> None:
        self._language_model = language_model
        self._decisions = decisions
        self._names = tuple(names)
        self._keys = tuple(key.encode() for key in keys)
        self._root_path = root_path
        self._created = int(time.time())
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """Returns the web application, which has its routes under `/` and under the path prefix `root_path`."""
        application = web.Application(middlewares=[_in_openai_shape, self._guard], client_max_size=MAX_BODY)
        application.cleanup_ctx.append(self._connected)
        if self._decisions is not None:
            application.cleanup_ctx.append(self._decisions.refreshed)
        for prefix in dict.fromkeys(("", self._root_path)):
            application.router.add_get(f"{prefix}/health", _health)
            application.router.add_get(f"{prefix}/v1/models", self._list_models)
            application.router.add_post(f"{prefix}/v1/chat/completions", self._complete)
            if self._decisions is not None:
                application.router.add_post(f"{prefix}/v1/decisions", self._decide)
        return application

    async def _connected(self, _application: web.Application) -> AsyncIterator[None]:
        # Each request has a connection of its own to the engine and closes this connection at the end, so that the
        # engine's slot becomes free if the client disconnects. There are fewer connections than engine threads, so that
        # no request waits for a thread of the engine.
        connector = aiohttp.TCPConnector(limit=HTTP_THREADS - 4, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            yield

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._keys and not request.path.endswith("/health") and not self._has_key(request):
            return _error(
                401, "UnauthorizedError", "A valid API key is required: send the header Authorization: Bearer KEY."
            )
        return await handler(request)

    def _has_key(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        candidate = token.strip().encode("utf-8", "surrogateescape")
        # Every API key is compared, so that the duration does not reveal which key matches.
        return scheme.lower() == "bearer" and sum(secrets.compare_digest(candidate, key) for key in self._keys) > 0

    async def _list_models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._card(name) for name in self._names]})

    def _card(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "llama.cpp",
            "root": self._names[0],
            "parent": None,
            "max_model_len": self._language_model.tokens,
            **({} if self._decisions is None else {"rl_router": self._decisions.announcement}),
        }

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fields, name = self._read(body)
        decision = None if self._decisions is None else self._decisions.complete(fields, name)
        return await self._relay(request, body, name) if decision is None else decision

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        fields, name = self._read(await request.read())
        if self._decisions is None:
            raise RuntimeError("the learned policy does not decide")
        return self._decisions.answer(fields, name)

    def _read(self, body: bytes) -> tuple[dict[str, Any], str]:
        """Returns the fields of a request's body and the model name. Raises RequestError or UnknownModelError."""
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            raise RequestError("The body is not valid JSON. Send a JSON object.") from None
        if not isinstance(fields, dict):
            raise RequestError("The body must be a JSON object.")
        name = self._names[0] if fields.get("model") is None else fields["model"]
        if name not in self._names:
            raise UnknownModelError(f"The model `{name}` does not exist.")
        return fields, name

    async def _relay(self, request: web.Request, body: bytes, name: str) -> web.StreamResponse:
        if self._session is None:
            raise RuntimeError("the application has not started")
        engine = await self._language_model.engine()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {engine.key}"}
        reply = web.StreamResponse()
        try:
            url = f"{engine.url}/v1/chat/completions"
            async with self._session.post(url, data=body, headers=headers) as response:
                if response.content_type != "text/event-stream":
                    renamed = _renamed(await response.read(), engine, name)
                    return web.Response(status=response.status, body=renamed, content_type="application/json")
                return await _stream(request, reply, response, engine, name)
        except aiohttp.ClientError as error:
            if reply.prepared:
                raise  # Closes the client's connection, because an incomplete answer must not look complete.
            return _error(502, "ServerError", f"The engine did not respond: {error}. Send the request again.")


async def _stream(
    request: web.Request, reply: web.StreamResponse, response: aiohttp.ClientResponse, engine: Engine, name: str
) -> web.StreamResponse:
    reply.headers.update({"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"})
    await reply.prepare(request)
    pending = b""
    async for piece in response.content.iter_any():
        lines, newline, pending = (pending + piece).rpartition(b"\n")
        await reply.write(_renamed(lines + newline, engine, name))
    await reply.write(_renamed(pending, engine, name))
    await reply.write_eof()
    return reply


def _renamed(data: bytes, engine: Engine, name: str) -> bytes:
    # Only the field `model` can match: the alias is random, and quotes inside texts are escaped.
    return data.replace(b'"model":"%s"' % engine.alias.encode(), b'"model":' + json.dumps(name).encode())


async def _health(_request: web.Request) -> web.Response:
    return web.Response()


@web.middleware
async def _in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return _error(400, "BadRequestError", str(error), error.param)
    except UnknownModelError as error:
        return _error(404, "NotFoundError", str(error), "model")
    except StartError as error:
        return _error(503, "ServerError", f"{error}.")
    except web.HTTPException as error:
        kind = "NotFoundError" if error.status == 404 else "BadRequestError"
        response = _error(error.status, kind, f"{error.reason}: {request.method} {request.path}")
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = error.headers["Allow"]
        return response


def _error(status: int, kind: str, message: str, param: str | None = None) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": param, "code": status}}
    return web.json_response(body, status=status)


@contextlib.asynccontextmanager
async def running(application: web.Application) -> AsyncIterator[web.AppRunner]:
    """Yields a runner of the web application.

    The runner cancels the handler of a request if the client disconnects, and cancels all running handlers at the end.
    """
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()
