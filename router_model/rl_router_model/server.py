"""Serves the HTTP API of the CPU fallback.

The HTTP API has a subset of vLLM's endpoints, and relays chat completions to llama.cpp.
"""

import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import aiohttp
from aiohttp import web

from rl_router_model.engine import HTTP_THREADS, Engine

MAX_BODY = 64 * 2**20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ChatApi:
    """Serves the model of one engine under one or more model names.

    The endpoints are `GET /health`, `GET /v1/models` and `POST /v1/chat/completions`. If API keys are configured, all
    endpoints except `/health` require an API key as a bearer token.
    """

    def __init__(self, engine: Engine, names: Sequence[str], keys: Sequence[str] = (), root_path: str = "") -> None:
        self._engine = engine
        self._names = tuple(names)
        self._keys = tuple(key.encode() for key in keys)
        self._root_path = root_path
        self._created = int(time.time())
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """Returns the web application, which has its routes under `/` and under the path prefix `root_path`."""
        application = web.Application(middlewares=[_in_openai_shape, self._guard], client_max_size=MAX_BODY)
        application.cleanup_ctx.append(self._connected)
        for prefix in dict.fromkeys(("", self._root_path)):
            application.router.add_get(f"{prefix}/health", _health)
            application.router.add_get(f"{prefix}/v1/models", self._list_models)
            application.router.add_post(f"{prefix}/v1/chat/completions", self._complete)
        return application

    async def _connected(self, _application: web.Application) -> AsyncIterator[None]:
        # Each request has a connection of its own to the engine and closes this connection at the end, so that the
        # engine's slot becomes free if the client disconnects. There are fewer connections than engine threads, so that
        # no request waits for a thread of the engine.
        connector = aiohttp.TCPConnector(limit=HTTP_THREADS - 4, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(self._engine.url, connector=connector, timeout=timeout) as self._session:
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
            "max_model_len": self._engine.slot_tokens,
        }

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            return _error(400, "BadRequestError", "The body is not valid JSON. Send a JSON object.")
        if not isinstance(fields, dict):
            return _error(400, "BadRequestError", "The body must be a JSON object.")
        name = self._names[0] if fields.get("model") is None else fields["model"]
        if name not in self._names:
            return _error(404, "NotFoundError", f"The model `{name}` does not exist.", "model")
        return await self._relay(request, body, name)

    async def _relay(self, request: web.Request, body: bytes, name: str) -> web.StreamResponse:
        if self._session is None:
            raise RuntimeError("the application has not started")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._engine.key}"}
        reply = web.StreamResponse()
        try:
            async with self._session.post("/v1/chat/completions", data=body, headers=headers) as response:
                if response.content_type != "text/event-stream":
                    renamed = self._renamed(await response.read(), name)
                    return web.Response(status=response.status, body=renamed, content_type="application/json")
                return await self._stream(request, reply, response, name)
        except aiohttp.ClientError as error:
            if reply.prepared:
                raise  # Closes the client's connection, because an incomplete answer must not look complete.
            return _error(502, "ServerError", f"The engine did not respond: {error}. Send the request again.")

    async def _stream(
        self, request: web.Request, reply: web.StreamResponse, response: aiohttp.ClientResponse, name: str
    ) -> web.StreamResponse:
        reply.headers.update({"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"})
        await reply.prepare(request)
        pending = b""
        async for piece in response.content.iter_any():
            lines, newline, pending = (pending + piece).rpartition(b"\n")
            await reply.write(self._renamed(lines + newline, name))
        await reply.write(self._renamed(pending, name))
        await reply.write_eof()
        return reply

    def _renamed(self, data: bytes, name: str) -> bytes:
        # Only the field `model` can match: the alias is random, and quotes inside texts are escaped.
        return data.replace(b'"model":"%s"' % self._engine.alias.encode(), b'"model":' + json.dumps(name).encode())


async def _health(_request: web.Request) -> web.Response:
    return web.Response()


@web.middleware
async def _in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
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
