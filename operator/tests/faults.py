"""A reverse proxy before the API server that notes every request and, where told so, answers something else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from control_plane import ApiServer

Fault = Callable[["Seen"], "Awaitable[web.StreamResponse | None] | web.StreamResponse | None"]
"""What to answer instead of passing the request on; None passes it on."""


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes = b""
    agent: str = ""

    @property
    def is_write(self) -> bool:
        return self.method not in ("GET", "HEAD") and self.query.get("dryRun") != "All"

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "true"

    @property
    def plural(self) -> str:
        """The collection, `routerdeployments/status` for a subresource."""
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


def status(code: int, reason: str = "", message: str = "injected", **headers: str) -> web.Response:
    """An answer as the API server gives it when it refuses."""
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
    """`faults` are asked in turn for each request; `down` refuses everything, open watches included."""

    server: ApiServer
    requests: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    port: int = 0
    _session: aiohttp.ClientSession | None = None
    _runner: web.AppRunner | None = None
    _watches: dict[int, web.Request] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def writes(self) -> list[Seen]:
        """What was written, but for the Lease."""
        return [seen for seen in self.requests if seen.is_write and seen.plural != "leases"]

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self.server.tls, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the port and every connection; `start` opens the same port again."""
        if self._runner:
            self.close_watches()
            await self._runner.cleanup()
        if self._session:
            await self._session.close()

    def close_watches(self) -> None:
        """Breaks every watch that is open."""
        for request in list(self._watches.values()):
            if request.transport:
                request.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            request.method,
            request.path,
            dict(request.query),
            await request.read(),
            request.headers.get("User-Agent", ""),
        )
        self.requests.append(seen)
        for fault in list(self.faults):
            answer = fault(seen)
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer is not None:
                return answer
        return await self._pass_on(request, seen)

    async def _pass_on(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        headers = {
            k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length", "connection")
        }
        url = self.server.url + request.raw_path
        try:
            async with self._session.request(
                request.method, aiohttp.client.URL(url, encoded=True), headers=headers, data=seen.body or None
            ) as answer:
                return await self._relay(request, seen, answer)
        except aiohttp.ClientConnectorError:
            request.transport.abort()
            return web.Response(status=502)

    async def _relay(self, request: web.Request, seen: Seen, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        kept = {k: v for k, v in answer.headers.items() if k.lower() in ("content-type", "retry-after", "warning")}
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        if seen.is_watch:
            self._watches[id(request)] = request
        try:
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, ConnectionError):
            if request.transport:
                request.transport.abort()
        finally:
            self._watches.pop(id(request), None)
        return response


def once(*, method: str, plural: str, answer: Callable[[], web.StreamResponse], times: int = 1) -> Fault:
    """A fault for the first so many requests of a method to a collection."""
    left = times

    def fault(seen: Seen) -> web.StreamResponse | None:
        nonlocal left
        if left and seen.method == method and seen.plural == plural:
            left -= 1
            return answer()
        return None

    return fault


def gone_watch() -> web.Response:
    """A watch whose version is too old."""
    event = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
    return web.Response(text=json.dumps(event) + "\n", content_type="application/json")
