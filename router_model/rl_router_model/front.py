"""The HTTP API: vLLM's answers where llama.cpp's differ, and a relay to the engine for the rest."""

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


class Front:
    """Answers for one engine under several names.

    `GET /health` · `GET /v1/models` · `POST /v1/chat/completions`; with API keys all but the first want one of them
    as a bearer token.
    """

    def __init__(self, engine: Engine, names: Sequence[str], keys: Sequence[str] = (), root_path: str = "") -> None:
        self._engine = engine
        self._names = tuple(names)
        self._keys = tuple(key.encode() for key in keys)
        self._root_path = root_path
        self._created = int(time.time())
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """The routes, with and without the proxy's prefix."""
        application = web.Application(middlewares=[_in_openai_shape, self._guard], client_max_size=MAX_BODY)
        application.cleanup_ctx.append(self._connected)
        for prefix in dict.fromkeys(("", self._root_path)):
            application.router.add_get(f"{prefix}/health", _health)
            application.router.add_get(f"{prefix}/v1/models", self._list_models)
            application.router.add_post(f"{prefix}/v1/chat/completions", self._complete)
        return application

    async def _connected(self, _application: web.Application) -> AsyncIterator[None]:
        # One connection a request, closed with it: a client that leaves frees its slot. Fewer than the engine's
        # threads, so that none waits unseen.
        connector = aiohttp.TCPConnector(limit=HTTP_THREADS - 4, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(self._engine.url, connector=connector, timeout=timeout) as self._session:
            yield

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._keys and not request.path.endswith("/health") and not self._has_key(request):
            return _error(401, "UnauthorizedError", "An API key is needed: Authorization: Bearer KEY.")
        return await handler(request)

    def _has_key(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        # Every key is compared, whichever matches, so that the time taken tells nothing.
        return scheme.lower() == "bearer" and sum(secrets.compare_digest(given, key) for key in self._keys) > 0

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
            asked = json.loads(body)
        except (ValueError, RecursionError):
            return _error(400, "BadRequestError", "The body is not valid JSON.")
        if not isinstance(asked, dict):
            return _error(400, "BadRequestError", "The body must be a JSON object.")
        name = self._names[0] if asked.get("model") is None else asked["model"]
        if name not in self._names:
            return _error(404, "NotFoundError", f"The model `{name}` does not exist.", "model")
        return await self._relay(request, body, name)

    async def _relay(self, request: web.Request, body: bytes, name: str) -> web.StreamResponse:
        if self._session is None:
            raise RuntimeError("the application has not started")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._engine.key}"}
        started = web.StreamResponse()
        try:
            async with self._session.post("/v1/chat/completions", data=body, headers=headers) as answer:
                if answer.content_type != "text/event-stream":
                    renamed = self._renamed(await answer.read(), name)
                    return web.Response(status=answer.status, body=renamed, content_type="application/json")
                return await self._stream(request, started, answer, name)
        except aiohttp.ClientError as error:
            if started.prepared:
                raise  # the client sees a cut connection: half an answer must not look whole
            return _error(502, "ServerError", f"The engine gave no answer: {error}")

    async def _stream(
        self, request: web.Request, reply: web.StreamResponse, answer: aiohttp.ClientResponse, name: str
    ) -> web.StreamResponse:
        reply.headers.update({"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"})
        await reply.prepare(request)
        pending = b""
        async for piece in answer.content.iter_any():
            whole, newline, pending = (pending + piece).rpartition(b"\n")
            await reply.write(self._renamed(whole + newline, name))
        await reply.write(self._renamed(pending, name))
        await reply.write_eof()
        return reply

    def _renamed(self, data: bytes, name: str) -> bytes:
        # The alias is random, and a quote inside a text is escaped: nothing else can match.
        return data.replace(b'"model":"%s"' % self._engine.alias.encode(), b'"model":' + json.dumps(name).encode())


async def _health(_request: web.Request) -> web.Response:
    return web.Response()


@web.middleware
async def _in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        kind = "NotFoundError" if error.status == 404 else "BadRequestError"
        answer = _error(error.status, kind, f"{error.reason}: {request.method} {request.path}")
        if isinstance(error, web.HTTPMethodNotAllowed):
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


def _error(status: int, kind: str, message: str, param: str | None = None) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": param, "code": status}}
    return web.json_response(body, status=status)


@contextlib.asynccontextmanager
async def running(application: web.Application) -> AsyncIterator[web.AppRunner]:
    """A runner that cancels a handler when its client leaves, and at the end whatever still runs."""
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()
