"""Runs the router API in a real HTTP server, in the test's event loop, in front of scripted upstreams."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import uvicorn
from rl_router_api.config import Configuration
from rl_router_api.runtime.source import with_keys
from rl_router_api.server.app import App
from rl_router_api.server.worker import KEEP_ALIVE

from fakes.testbed.configuration import NAMES, router_section, target
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import events, exact
from fakes.testbed.waiting import until
from fakes.upstreams.exchange import Answer, Body
from fakes.upstreams.server import Upstream


class RunningRouter:
    """A running router and a client of the router.

    The attribute `log` contains the log lines that a test's routers have written since the latest router became ready.
    """

    def __init__(self, app: App, client: httpx.AsyncClient, log: list[Body]) -> None:
        self.app = app
        self.client = client
        self.log = log

    async def send(self, model: str = "router-tool-rl", **fields: Any) -> httpx.Response:
        """Sends a chat request to the router and returns the response."""
        return await self.client.post("/v1/chat/completions", json={"model": model, "messages": QUESTION, **fields})

    async def answer(self, **fields: Any) -> Body:
        """Returns the body of the answer to a chat request. Fails if the answer's status is not 200."""
        response = await self.send(**fields)
        assert response.status_code == 200, response.text
        return dict(exact(response.content))

    async def stream(self, **fields: Any) -> list[Any]:
        """Returns the events of a streamed answer. Fails if the answer's status is not 200."""
        response = await self.send(**{"stream": True, **fields})
        assert response.status_code == 200, response.text
        return events(response.content)

    async def admin(self, path: str) -> httpx.Response:
        """Sends a GET request for the path `path` to the router's admin endpoints, and returns the response."""
        transport = httpx.ASGITransport(self.app.admin)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            return await client.get(path)

    @property
    def ledgers(self) -> list[Body]:
        """Returns the log lines of finished requests."""
        return [line for line in self.log if line["message"] == "request"]

    @property
    def calls_in_flight(self) -> int:
        fleet = self.app.runtime.fleet
        return fleet.router_model.in_flight + sum(upstream.in_flight for _, upstream in fleet.targets)


class Setup:
    """A router and the upstreams of the router. Each target is an attribute, such as `alpha` or `beta`."""

    def __init__(self, router: RunningRouter, model: Upstream, targets: dict[str, Upstream]) -> None:
        self.router, self.model, self.targets = router, model, targets
        self.send, self.answer, self.stream = router.send, router.answer, router.stream
        self.client = router.client

    def __getattr__(self, name: str) -> Upstream:
        return self.targets[name]


class Testbed:
    """Starts upstreams and routers. The exit stack stops all of these except the routers of `running_router`."""

    __test__ = False

    def __init__(self, stack: AsyncExitStack, log: list[Body]) -> None:
        self.server: Callable[[App], AbstractAsyncContextManager[str]] = run_uvicorn
        """A function that returns a context manager, which runs an application in an HTTP server and yields the URL."""
        self._stack = stack
        self._log = log
        self._upstreams: list[Upstream] = []

    async def upstream(self, answer: Answer | None = None, host: str = "127.0.0.1") -> Upstream:
        """Starts an upstream on the address `host`.

        The upstream runs the script `answer` for requests for completions, unless a router is starting. Without a
        script, the upstream returns valid decisions and answers.
        """
        upstream = await self._stack.enter_async_context(Upstream(answer, host))
        self._upstreams.append(upstream)
        return upstream

    async def start_router(self, **sections: Any) -> RunningRouter:
        """Starts a router with the configuration `sections`, and waits until the router has probed all upstreams."""
        return await self._stack.enter_async_context(self.running_router(**sections))

    @asynccontextmanager
    async def running_router(self, **sections: Any) -> AsyncIterator[RunningRouter]:
        """Runs a router with the configuration `sections` until the end of the context.

        Yields the router after the router has probed all upstreams for the first time.
        """
        for upstream in self._upstreams:
            upstream.starting = True
        app = App(with_keys(Configuration.model_validate(sections)))
        async with (
            self.server(app) as url,
            httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, verify=False) as client,
        ):
            router = RunningRouter(app, client, self._log)
            await _probed(router)
            for upstream in self._upstreams:
                upstream.starting = False
            self._log.clear()
            yield router
            await until(lambda: not router.calls_in_flight, "the end of every upstream call")

    async def start(self, answer: Answer | None = None, /, *targets: Answer | None, **sections: Any) -> Setup:
        """Starts a router model with the script `answer`, a target for each script in `targets`, and a router.

        The argument `changes` maps the name of a target to changed fields of the target's configuration.
        """
        model = await self.upstream(answer)
        upstreams = {name: await self.upstream(answer) for name, answer in zip(NAMES, targets, strict=False)}
        changes = sections.pop("changes", {})
        entries = [target(name, upstream.url, **changes.get(name, {})) for name, upstream in upstreams.items()]
        sections["router"] = router_section(model.url, **sections.get("router", {}))
        return Setup(await self.start_router(targets=entries, **sections), model, upstreams)


@asynccontextmanager
async def run_uvicorn(app: App, http: str = "rl_router_api.server.connection:ApiConnection") -> AsyncIterator[str]:
    """Runs the application in uvicorn with the HTTP protocol implementation `http`, and yields the URL of the server.

    The server has no signal handlers. The server also runs without uvicorn's periodic tick, because the end of a
    test would have to wait for the next tick.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, http=http, lifespan="on", log_config=None, access_log=False, timeout_keep_alive=KEEP_ALIVE,
        )  # fmt: skip
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        assert server.started
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        await until(lambda: not server.server_state.connections, "the end of every connection")
        # uvicorn's own shutdown would wait 0.1 s for connections, although all of them are closed.
        for each in server.servers:
            each.close()
        await server.lifespan.shutdown()


async def _probed(router: RunningRouter) -> None:
    """Waits until the first probes of all upstreams have ended, so that a test's scripts do not get these probes."""

    def all_known() -> bool:
        # The endpoint `/health` does not report these states if API keys are configured.
        health = router.app.runtime.health()
        return all(each.state != "unknown" for each in (health.router_model, *health.targets.values()))

    await until(all_known, "the first probes")
    await until(lambda: not router.calls_in_flight, "the end of the first probes")
