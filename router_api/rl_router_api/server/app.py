"""Wires the endpoints to the hops: what costs money by plain ASGI objects, the rest by FastAPI, which documents all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from ..accounting.ledger import Ledger
from ..accounting.metrics import CONTENT_TYPE
from ..config import Configuration
from ..encoding import encode
from ..errors import ApiError
from ..http1.asgi import Receive, Scope, Send
from ..routing.answer import unknown_model
from ..runtime.runtime import Runtime, Shares
from ..runtime.source import Loaded, Source
from ..upstreams.transport import HttpTransport
from ..upstreams.upstream import without_credentials
from ..version import __version__
from .body import header
from .chat_completions import ChatCompletion
from .exchange import Exchange, request_id
from .openapi import COMPLETION_BODY
from .reply import JSON, error_reply
from .route import RoutePreview, tools_page

COMPLETIONS, ROUTE = "/v1/chat/completions", "/v1/route"
_EXCHANGES: dict[str, type[Exchange]] = {COMPLETIONS: ChatCompletion, ROUTE: RoutePreview}
"""What costs money: plain ASGI, so that the hot path costs a third less than through FastAPI, which documents it."""
_WITHOUT_KEY = ("/health", "/ready")
_EXPOSED = ("x-request-id", "x-router-model", "x-router-cost", "retry-after")


class App:
    """The ASGI application of one serving process; `admin` is the one of the admin port."""

    def __init__(
        self,
        loaded: Loaded,
        source: Source | None = None,
        *,
        shares: Shares | None = None,
    ) -> None:
        self._starting = (loaded, source, shares)
        self._rest = _rest(self)
        self._public = _CORS(self._guarded, lambda: self.runtime.configuration.server.cors_origins)
        self.runtime: Runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._public(scope, receive, send)

    async def admin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything but completions, without a key, all details included."""
        if scope.get("path") == COMPLETIONS:
            message = "Completions are not served at the admin port."
            await refuse(scope, receive, send, ApiError(404, message))
        else:
            scope["rl_router.admin"] = scope["rl_router.details"] = True
            await self._answer(scope, receive, send)

    def drain(self) -> None:
        """The server was told to stop: `/ready` says so from now on."""
        self.runtime.draining = True

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Opens the connections once an event loop runs, closes them at the end."""
        loaded, source, shares = self._starting
        self.runtime = Runtime(loaded, HttpTransport(), source, shares)
        await self.runtime.start()
        yield
        await self.runtime.stop()

    def _guarded(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # An exchange looks at its key itself, so that one that is refused is in the books too.
        if scope["type"] == "http" and _exchange(scope) is None:
            admission = self.runtime.admission
            scope["rl_router.details"] = admission.open
            try:
                if scope["path"] not in _WITHOUT_KEY:
                    admission.authenticate(header(scope, b"authorization"))
            except ApiError as error:
                return refuse(scope, receive, send, error)
        return self._answer(scope, receive, send)

    def _answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = _exchange(scope)
        if exchange is not None:
            return exchange(self.runtime, scope, receive, send).run()
        return self._rest(scope, receive, send)


def _exchange(scope: Scope) -> type[Exchange] | None:
    """What answers, where that costs money."""
    return _EXCHANGES.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None


async def refuse(scope: Scope, receive: Receive, send: Send, error: ApiError) -> None:
    """Answers with an error."""
    await _reply_to(scope, error)(scope, receive, send)


class _CORS:
    """Tells pages of the origins that are allowed now that they may ask."""

    def __init__(self, app: ASGIApp, origins: Callable[[], Sequence[str]]) -> None:
        self._app = app
        self._origins = origins
        self._made_for: Sequence[str] = ()
        self._made = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and (origins := self._origins()) != self._made_for:
            self._made_for, self._made = origins, self._telling(origins)
        return self._made(scope, receive, send)

    def _telling(self, origins: Sequence[str]) -> ASGIApp:
        if not origins:
            return self._app
        return CORSMiddleware(
            self._app, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"],
            expose_headers=_EXPOSED,
        )  # fmt: skip


def _rest(app: App) -> FastAPI:
    rest = FastAPI(title="RL Router", version=__version__, lifespan=app.lifespan, redirect_slashes=False)
    rest.add_exception_handler(ApiError, _router_error)
    rest.add_exception_handler(HTTPException, _http_error)
    _add_state(rest, app)
    _add_models(rest, app)
    _add_routing(rest, app)
    return rest


def _add_state(rest: FastAPI, app: App) -> None:
    """What the service is and how it is."""

    @rest.get("/", summary="Service, version and configuration, without secrets")
    async def about() -> Response:
        runtime = app.runtime
        return _json(
            {
                "service": "rl-router",
                "version": __version__,
                "models": runtime.current.model_names(),
                "configuration": without_secrets(runtime.configuration),
            }
        )

    @rest.get("/health", summary="200 while the process serves, with the upstreams' state")
    async def health(request: Request) -> Response:
        health = app.runtime.health()
        return _json(health.as_json() if request.scope.get("rl_router.details") else {"status": health.status})

    @rest.get("/ready", summary="200 until the server is told to stop")
    async def ready() -> Response:
        draining = app.runtime.draining
        return _json({"ready": not draining}, 503 if draining else 200)

    @rest.get("/metrics", summary="Prometheus metrics")
    async def metrics() -> Response:
        runtime = app.runtime
        return Response(runtime.metrics.exposition(runtime.current_state()), media_type=CONTENT_TYPE)


def _add_models(rest: FastAPI, app: App) -> None:
    @rest.get("/v1/models", summary="The names under which a request may be made")
    async def models() -> Response:
        return _json({"object": "list", "data": [_model(name) for name in app.runtime.current.model_names()]})

    @rest.get("/v1/models/{name:path}", summary="One of them")
    async def model(name: str) -> Response:
        if name not in app.runtime.current.model_names():
            raise unknown_model(name)
        return _json(_model(name))


def _add_routing(rest: FastAPI, app: App) -> None:
    @rest.get("/debug/tools", summary="What the router model is given, and what each target can do")
    async def tools() -> Response:
        return _json(tools_page(app.runtime.current))

    # Served before FastAPI sees them; here they get their place in the documentation, and their 405.
    async def elsewhere() -> Response:
        raise ApiError(500, "This is served elsewhere.")

    decision = "The decision alone, for a completion's body; nothing is paid to a target"
    completion = "OpenAI's chat completions, routed, with `router_metadata`"
    for path, summary in ((ROUTE, decision), (COMPLETIONS, completion)):
        rest.post(path, summary=summary, operation_id=path, openapi_extra=COMPLETION_BODY)(elsewhere)


def without_secrets(configuration: Configuration) -> dict[str, Any]:
    """The configuration as JSON: headers' and parameters' values and credentials in URLs left out."""
    shown: dict[str, Any] = configuration.model_dump(mode="json")
    for upstream in [shown["router"], *(shown["targets"] or ())]:
        upstream["base_url"] = without_credentials(upstream["base_url"])
        for field in ("headers", "query"):
            if field in upstream:
                upstream[field] = dict.fromkeys(upstream[field], "***")
    return shown


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "rl-router"}


def _json(value: object, status: int = 200) -> Response:
    return Response(encode(value), status, media_type=JSON.decode())


async def _router_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return _reply_to(request.scope, error)


def _reply_to(scope: Scope, error: ApiError) -> Response:
    reply = error_reply(error, Ledger(request_id(scope)), "full")
    return Response(reply.body, reply.status, {name.decode(): value.decode() for name, value in reply.headers})


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
    return await _router_error(request, ApiError(error.status_code, message, headers=headers))
