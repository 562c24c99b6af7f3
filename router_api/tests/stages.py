"""The real application under a real server, in the test's own event loop, in front of scripted upstreams."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
import uvicorn
from rl_router_api.accounting.log import JsonLines
from rl_router_api.config import Configuration
from rl_router_api.runtime.source import with_keys
from rl_router_api.server.app import App
from rl_router_api.server.worker import KEEP_ALIVE
from upstreams import SILENCE, Answer, Body, Upstream

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
ROUTER_PRICE = {"input": "0.05", "output": "0.1"}
PRICE = {"input": "1.25", "output": "10"}


async def until(reached: Callable[[], object], what: str = "what was waited for", within: float = 10) -> None:
    """Polls until `reached` says yes; fails after so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not reached():
        assert loop.time() < end, f"{what} never came"
        await asyncio.sleep(0.005)


def exact(data: str | bytes) -> Any:
    """JSON with its numbers as decimals."""
    return json.loads(data, parse_float=Decimal)


def events(data: bytes) -> list[Any]:
    """The data of each event of a stream, JSON decoded, comments left out; `[DONE]` as it is."""
    found = [part for part in data.decode().split("\n\n") if part.startswith("data:")]
    texts = [part.removeprefix("data:").strip() for part in found]
    return [text if text == "[DONE]" else exact(text) for text in texts]


class Served:
    """A serving application and a client of it; `log` holds every line that was logged, as JSON."""

    def __init__(self, app: App, client: httpx.AsyncClient, log: list[Body]) -> None:
        self.app = app
        self.client = client
        self.log = log

    async def ask(self, model: str = "router-tool-rl", **fields: Any) -> httpx.Response:
        """A completion."""
        return await self.client.post("/v1/chat/completions", json={"model": model, "messages": QUESTION, **fields})

    async def answer(self, **fields: Any) -> Body:
        """The body of an answer that must be a 200."""
        response = await self.ask(**fields)
        assert response.status_code == 200, response.text
        return dict(exact(response.content))

    async def stream(self, **fields: Any) -> list[Any]:
        """The events of a stream that must be a 200."""
        response = await self.ask(**{"stream": True, **fields})
        assert response.status_code == 200, response.text
        return events(response.content)

    @property
    def ledgers(self) -> list[Body]:
        """The log's lines about requests."""
        return [line for line in self.log if line["message"] == "request"]

    @property
    def calls_under_way(self) -> int:
        fleet = self.app.runtime.fleet
        return fleet.router_model.in_flight + sum(upstream.in_flight for _, upstream in fleet.targets)


class Lines(logging.Handler):
    """Keeps log lines as the application writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[Body] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(exact(self.format(record)))


class Stage:
    """What a test builds: upstreams, and routers in front of them."""

    def __init__(self, stack: AsyncExitStack, log: list[Body]) -> None:
        self.server: Callable[[App], AbstractAsyncContextManager[str]] = served_by
        """What serves the application, and gives its URL."""
        self._stack = stack
        self._log = log
        self._upstreams: list[Upstream] = []

    async def upstream(self, answer: Answer | None = None) -> Upstream:
        """A scripted server; without a script it decides and answers well."""
        made = await self._stack.enter_async_context(Upstream(answer))
        self._upstreams.append(made)
        return made

    async def serve(self, **sections: Any) -> Served:
        """The router with this configuration, serving and done with asking how its upstreams are."""
        return await self._stack.enter_async_context(self.serving(**sections))

    @asynccontextmanager
    async def serving(self, **sections: Any) -> AsyncIterator[Served]:
        """The same for as long as the context lasts."""
        for upstream in self._upstreams:
            upstream.rehearsing = True
        app = App(with_keys(Configuration.model_validate(sections)))
        async with (
            self.server(app) as url,
            httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, verify=False) as client,
        ):
            served = Served(app, client, self._log)
            await _acquainted(served)
            for upstream in self._upstreams:
                upstream.rehearsing = False
            self._log.clear()
            yield served
            await until(lambda: not served.calls_under_way, "the end of every upstream call")

    async def routed(self, answer: Answer | None = None, /, *targets: Answer | None, **sections: Any) -> Cast:
        """A router model and targets called `alpha`, `beta` and so on, a router in front of them."""
        model = await self.upstream(answer)
        asked = [await self.upstream(answer) for answer in targets]
        names = ("alpha", "beta", "gamma", "delta")
        changes = sections.pop("changes", {})
        made = [
            target(name, each.url, **changes.get(name, {})) for name, each in zip(names, asked, strict=False)
        ]  # fmt: skip
        sections["router"] = router_section(model.url, **sections.get("router", {}))
        served = await self.serve(targets=made, **sections)
        return Cast(served, model, dict(zip(names, asked, strict=False)))


class Cast:
    """A router with its upstreams."""

    def __init__(self, served: Served, model: Upstream, targets: dict[str, Upstream]) -> None:
        self.served, self.model, self.targets = served, model, targets
        self.ask, self.answer, self.stream = served.ask, served.answer, served.stream
        self.client = served.client

    def __getattr__(self, name: str) -> Upstream:
        return self.targets[name]


def router_section(url: str, **fields: Any) -> Body:
    """The configuration of a router model."""
    asked = {"model": "the-router", "context_length": 8192, "timeout": SILENCE, "price": ROUTER_PRICE}
    return {"base_url": url, "protocol": "tools", **asked, **fields}


def target(name: str, url: str, **fields: Any) -> Body:
    """The configuration of a target."""
    return {"name": name, "base_url": url, "timeout": SILENCE, "price": PRICE, **fields}


@asynccontextmanager
async def served_by(app: App, http: str = "rl_router_api.server.connection:ApiConnection") -> AsyncIterator[str]:
    """uvicorn's server without its signal handlers and its tick, which a test need not wait for."""
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
        # uvicorn's own shutdown waits a tenth of a second for connections; there are none.
        for each in server.servers:
            each.close()
        await server.lifespan.shutdown()


async def _acquainted(served: Served) -> None:
    """Waits for the first look at the upstreams, so that a test's script begins with the test's own requests."""

    def known() -> bool:
        # Not the endpoint's: that one tells the state alone where keys are wanted.
        health = served.app.runtime.health()
        return all(each.state != "unknown" for each in (health.router_model, *health.targets.values()))

    for _ in range(5_000):
        if known():
            break
        await asyncio.sleep(0.002)
    else:
        pytest.fail("the upstreams' state never became known")
    await until(lambda: not served.calls_under_way)
