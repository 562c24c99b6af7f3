"""Runs routers that reload the configuration from a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from rl_router_api.runtime.source import Source
from rl_router_api.server.app import App

from fakes.testbed.keys import bearer
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import metric
from fakes.testbed.router import run_uvicorn
from fakes.testbed.waiting import until
from fakes.upstreams.exchange import Body


def as_yaml(configuration: Body | str) -> str:
    """Returns a configuration as YAML. A configuration that is already a string is returned unchanged."""
    return configuration if isinstance(configuration, str) else str(yaml.safe_dump(configuration))


class ReloadingRouter:
    """A running router that reads the configuration from the file `path`."""

    def __init__(self, app: App, client: httpx.AsyncClient, path: Path) -> None:
        self.app, self.client, self.path = app, client, path

    def write(self, configuration: Body | str) -> None:
        """Replaces the configuration file."""
        fresh = self.path.with_suffix(".fresh")
        fresh.write_text(as_yaml(configuration))
        fresh.replace(self.path)

    def reload(self, configuration: Body | str) -> None:
        """Replaces the configuration file and makes the router reload the file at once."""
        self.write(configuration)
        self.app.runtime.reload()

    async def send(self, model: str = "alpha", **fields: Any) -> httpx.Response:
        """Sends a chat request to the router and returns the response."""
        body = {"model": model, "messages": QUESTION, **fields}
        return await self.client.post("/v1/chat/completions", json=body)

    async def admits(self, key: str) -> bool:
        """Returns whether the router admits a request with the API key `key`.

        Fails unless the router answers a request without an API key with the status 401.
        """
        assert (await self.send()).status_code == 401
        body = {"model": "alpha", "messages": QUESTION}
        return (await self.client.post("/v1/chat/completions", json=body, headers=bearer(key))).status_code == 200

    async def targets(self) -> list[str]:
        """Returns the model names that `/v1/models` lists, except names that begin with `router`."""
        models = (await self.client.get("/v1/models")).json()["data"]
        return [model["id"] for model in models if not model["id"].startswith("router")]

    async def health(self) -> Body:
        return dict((await self.client.get("/health")).json())

    async def refused_metric(self) -> int:
        """Returns 1 if the router's metrics report an invalid configuration file or keys file, otherwise 0."""
        return int(metric((await self.client.get("/metrics")).text, "rl_router_configuration_refused"))

    async def breaker_metrics(self) -> set[str]:
        """Returns the lines with the values of the metric `rl_router_breaker_open`."""
        lines = (await self.client.get("/metrics")).text.splitlines()
        return {line for line in lines if line.startswith("rl_router_breaker_open{")}

    async def until_targets(self, expected: list[str]) -> None:
        """Waits until `/v1/models` of the router lists exactly the targets `expected` in this order."""

        async def listed() -> bool:
            return await self.targets() == expected

        await until(listed, f"the targets {expected}")


class ConfigFile:
    """A configuration file and its routers. The exit stack stops all routers except those of `running`."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.path, self.state = folder / "router.yaml", folder / "state"
        self.state.mkdir()
        self._stack = stack

    async def start(self, configuration: Body | str, *, state: bool = False) -> ReloadingRouter:
        """Writes the configuration file and starts a router.

        If `state` is true, the router keeps copies of the last valid configuration file and keys file.
        """
        return await self._stack.enter_async_context(self.running(configuration, state=state))

    @asynccontextmanager
    async def running(self, configuration: Body | str, *, state: bool = False) -> AsyncIterator[ReloadingRouter]:
        """Writes the configuration file and runs a router until the end of the context."""
        self.path.write_text(as_yaml(configuration))
        async with self._running(state=state) as router:
            yield router

    async def start_unchanged(self) -> ReloadingRouter:
        """Starts a router with the existing configuration file."""
        return await self._stack.enter_async_context(self._running())

    @asynccontextmanager
    async def _running(self, *, state: bool = False) -> AsyncIterator[ReloadingRouter]:
        source = Source(str(self.path), state=str(self.state) if state else None)
        app = App(source.start(), source)
        async with (
            run_uvicorn(app) as url,
            httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, verify=False) as client,
        ):
            yield ReloadingRouter(app, client, self.path)
