"""Wires the endpoints to the hops: completions by a plain ASGI object, the rest by FastAPI, which documents all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from .body import read_body
from .chat import ChatCompletions, Receive, Scope, Send, request_id
from .config import Configuration
from .errors import RouterError
from .journal import set_up
from .ledger import Ledger
from .metrics import CONTENT_TYPE
from .preview import preview, tools_page
from .reply import JSON, encode, error_reply
from .runtime import Runtime
from .settings import from_process
from .transport import AiohttpTransport
from .version import __version__
from .wire import parse

COMPLETIONS = "/v1/chat/completions"


class App:
    """The ASGI application of one serving process."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._rest = _rest(self)
        self.runtime: Runtime
        self._completions: ChatCompletions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == COMPLETIONS and scope["method"] == "POST":
            await self._completions(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Opens the connections once an event loop runs, closes them at the end."""
        self.runtime = Runtime(self._configuration, AiohttpTransport())
        self._completions = ChatCompletions(self.runtime)
        await self.runtime.start()
        yield
        await self.runtime.stop()


def create() -> App:
    """The application of a process that the command line started, from the environment it left."""
    configuration = from_process()
    set_up(configuration.server.log_level)
    return App(configuration)


def _rest(app: App) -> FastAPI:
    rest = FastAPI(title="RL Router", version=__version__, lifespan=app.lifespan)
    rest.add_exception_handler(RouterError, _router_error)
    rest.add_exception_handler(HTTPException, _http_error)

    @rest.get("/", summary="Service, version and configuration, without secrets")
    async def about() -> Response:
        runtime = app.runtime
        return _json(
            {
                "service": "rl-router",
                "version": __version__,
                "models": runtime.model_names(),
                "configuration": without_secrets(runtime.configuration),
            }
        )

    @rest.get("/health", summary="200 while the process serves, with the upstreams' state")
    async def health() -> Response:
        return _json(app.runtime.health())

    @rest.get("/ready", summary="200 until the server is told to stop")
    async def ready() -> Response:
        draining = app.runtime.draining
        return _json({"ready": not draining}, 503 if draining else 200)

    @rest.get("/v1/models", summary="The names under which a request may be made")
    async def models() -> Response:
        return _json({"object": "list", "data": [_model(name) for name in app.runtime.model_names()]})

    @rest.get("/v1/models/{name:path}", summary="One of them")
    async def model(name: str) -> Response:
        if name not in app.runtime.model_names():
            message = f"The model `{name}` does not exist; `GET /v1/models` lists those that do."
            raise RouterError(404, message, param="model", code="model_not_found")
        return _json(_model(name))

    @rest.post("/v1/route", summary="The decision alone, for a completion's body; nothing is paid to a target")
    async def route(request: Request) -> Response:
        limit = app.runtime.configuration.server.max_body_bytes
        body = await read_body(request.scope, request.receive, limit)
        return _json(await preview(app.runtime, parse(body), request_id(request.scope)))

    @rest.get("/debug/tools", summary="What the router model is given, and what each target can do")
    async def tools() -> Response:
        return _json(tools_page(app.runtime))

    @rest.get("/metrics", summary="Prometheus metrics")
    async def metrics() -> Response:
        exposition = app.runtime.metrics.exposition(app.runtime.fleet, app.runtime.in_flight)
        return Response(exposition, media_type=CONTENT_TYPE)

    _document_completions(rest)
    return rest


def _document_completions(rest: FastAPI) -> None:
    """Completions are served before FastAPI sees them; here they get their place in the documentation and their 405."""

    @rest.post(COMPLETIONS, summary="OpenAI's chat completions, routed, with `router_metadata`")
    async def completions() -> Response:
        raise RouterError(500, "Completions are served elsewhere.")


def without_secrets(configuration: Configuration) -> dict[str, Any]:
    """The configuration as JSON: headers' and parameters' values and credentials in URLs left out."""
    shown: dict[str, Any] = configuration.model_dump(mode="json")
    for upstream in [shown["router"], *(shown["targets"] or ())]:
        upstream["base_url"] = _without_credentials(upstream["base_url"])
        for field in ("headers", "query"):
            if field in upstream:
                upstream[field] = dict.fromkeys(upstream[field], "***")
    return shown


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "rl-router"}


def _json(value: object, status: int = 200) -> Response:
    return Response(encode(value), status, media_type=JSON.decode())


async def _router_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RouterError):
        raise error
    reply = error_reply(error, Ledger(request_id(request.scope)), "full")
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405 in OpenAI's shape."""
    if not isinstance(error, HTTPException):
        raise error
    path, method = request.url.path, request.method
    message = {
        404: f"There is no `{path}` here; `GET /docs` lists what there is.",
        405: f"`{path}` does not take {method}.",
    }.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    return await _router_error(request, RouterError(error.status_code, message, headers=headers))
