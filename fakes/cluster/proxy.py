"""A reverse proxy for the API server that records every request and can inject faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from .control_plane import ApiServer

Fault = Callable[["Recorded"], "Awaitable[web.StreamResponse | None] | web.StreamResponse | None"]
"""A function or coroutine function that returns the response to a request, or None to leave the request unaffected."""


@dataclass(frozen=True)
class Recorded:
    """A request that the proxy received."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes = b""
    agent: str = ""

    @property
    def is_write(self) -> bool:
        """Returns whether the request can change an object. A dry run cannot change an object."""
        return self.method not in ("GET", "HEAD") and self.query.get("dryRun") != "All"

    @property
    def is_watch(self) -> bool:
        """Returns whether the request opens a watch."""
        return self.query.get("watch") == "true"

    @property
    def plural(self) -> str:
        """Returns a text such as `services` or `pods/status` for a namespaced kind, or else the path's last part."""
        parts = self.path.strip("/").split("/")
        at = (
            parts.index("namespaces") + 2
            if "namespaces" in parts and len(parts) > parts.index("namespaces") + 2
            else -1
        )
        if at < 0:
            return parts[-1]
        rest = parts[at:]
        return "/".join((rest[0], *rest[2:]))


def error(code: int, reason: str = "", message: str = "injected", **headers: str) -> web.Response:
    """Returns an error response with a Status object, in the form in which the API server sends errors."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return web.json_response(body, status=code, headers=headers)


@dataclass
class Proxy:
    """A proxy that forwards requests to `server`, unless a function in `faults` returns a response to the request."""

    server: ApiServer
    requests: list[Recorded] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    port: int = 0
    _session: aiohttp.ClientSession | None = None
    _runner: web.AppRunner | None = None
    _watches: dict[int, web.Request] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Returns the base URL of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def writes(self) -> list[Recorded]:
        """Returns the recorded requests that can change an object, except requests for Leases."""
        return [request for request in self.requests if request.is_write and request.plural != "leases"]

    async def start(self) -> None:
        """Listens on a free port, or on the previous port if the proxy was started before."""
        connector = aiohttp.TCPConnector(ssl=self.server.tls, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the port of the proxy and every connection to the proxy."""
        if self._runner:
            self.close_watches()
            await self._runner.cleanup()
        if self._session:
            await self._session.close()

    def close_watches(self) -> None:
        """Aborts the connections of all open watches."""
        for request in list(self._watches.values()):
            if request.transport:
                request.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        recorded = Recorded(
            request.method,
            request.path,
            dict(request.query),
            await request.read(),
            request.headers.get("User-Agent", ""),
        )
        self.requests.append(recorded)
        for fault in list(self.faults):
            response = fault(recorded)
            if asyncio.iscoroutine(response):
                response = await response
            if response is not None:
                return response
        return await self._forward(request, recorded)

    async def _forward(self, request: web.Request, recorded: Recorded) -> web.StreamResponse:
        headers = {
            k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length", "connection")
        }
        url = self.server.url + request.raw_path
        try:
            async with self._session.request(
                request.method, aiohttp.client.URL(url, encoded=True), headers=headers, data=recorded.body or None
            ) as upstream:
                return await self._relay(request, recorded, upstream)
        except aiohttp.ClientConnectorError:
            request.transport.abort()
            return web.Response(status=502)

    async def _relay(
        self, request: web.Request, recorded: Recorded, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        kept = {k: v for k, v in upstream.headers.items() if k.lower() in ("content-type", "retry-after", "warning")}
        response = web.StreamResponse(status=upstream.status, headers=kept)
        await response.prepare(request)
        if recorded.is_watch:
            self._watches[id(request)] = request
        try:
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, ConnectionError):
            if request.transport:
                request.transport.abort()
        finally:
            self._watches.pop(id(request), None)
        return response


def fault_for(*, method: str, plural: str, response: Callable[[], web.StreamResponse], times: int = 1) -> Fault:
    """Returns a fault that responds to the first `times` requests with this `Recorded.method` and `Recorded.plural`."""
    left = times

    def fault(request: Recorded) -> web.StreamResponse | None:
        nonlocal left
        if left and request.method == method and request.plural == plural:
            left -= 1
            return response()
        return None

    return fault


def expired_watch() -> web.Response:
    """Returns the API server's response to a watch that begins at a resourceVersion that is too old."""
    event = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
    return web.Response(text=json.dumps(event) + "\n", content_type="application/json")
