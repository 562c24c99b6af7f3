"""Asking the API's pods how they are: their admin port's /health says whether the router model decides."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from pydantic import ValidationError
from pydantic_core import from_json
from rl_router_api.health import HealthDocument

from ..cluster.store import Key
from ..objects.manifest import Manifest
from ..objects.naming import ADMIN_PORT
from ..objects.observed import Health

_LIMIT_SECONDS = 5.0
_LIMIT_BYTES = 65_536
_AT_ONCE = 512
"""A thousand pods that keep silent until the limit are then still asked every ten seconds."""

Ask = Callable[[str], Awaitable[Health]]
"""Asks the pod of an address."""


@dataclass(frozen=True)
class Asking:
    """Seconds between two questions to an API pod about how it is: while its router is Ready, and while it is not."""

    settled: float = 30.0
    unsettled: float = 10.0


class Asker:
    """Asks over HTTP: 5 s and 64 KiB at most, no redirects, no proxy."""

    def __init__(self, port: int = ADMIN_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, address: str) -> Health:
        """What the pod of the address says."""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}/health"
        try:
            async with self._client().get(url, allow_redirects=False) as answer:
                return _read(answer.status, await _at_most(answer, _LIMIT_BYTES))
        except TimeoutError:
            return Health(None, f"no answer from {url} within {_LIMIT_SECONDS:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Health(None, f"{url} cannot be reached: {error or type(error).__name__}")

    async def close(self) -> None:
        """Closes the connections."""
        if self._session:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A connection that is kept would outlive its pod.
            connector = aiohttp.TCPConnector(force_close=True, limit=_AT_ONCE)
            timeout = aiohttp.ClientTimeout(total=_LIMIT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._session


async def _at_most(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, one byte more than the limit at most."""
    found = b""
    async for chunk in answer.content.iter_any():
        found += chunk
        if len(found) > limit:
            break
    return found


def _read(status: int, body: bytes) -> Health:
    if status != 200:
        return Health(None, f"/health answered {status}")
    if len(body) > _LIMIT_BYTES:
        return Health(None, f"/health answered more than {_LIMIT_BYTES // 1024} KiB")
    try:
        return Health(HealthDocument.model_validate(from_json(body)))
    except ValidationError:
        return Health(None, "its answer is not a router API's")
    except ValueError:
        return Health(None, "/health answered no JSON")


@dataclass(frozen=True)
class _Pod:
    """`said` is the last answer, `held` the one that counts: the last that was given twice. At the operator's start
    (`trusted`) the first one counts, since what it would change is not known."""

    address: str
    trusted: bool
    asked: float = -math.inf
    said: Health | None = None
    held: Health | None = None

    def heard(self, health: Health) -> _Pod:
        """With one answer more."""
        counts = health == self.said or (self.trusted and self.said is None)
        return replace(self, said=health, held=health if counts else self.held)


@dataclass
class Prober:
    """Asks the ready pods of every RouterDeployment that it is told of, and calls `changed` when an answer counts."""

    ask: Ask
    changed: Callable[[Key], None]
    asking: Asking
    clock: Callable[[], float] = time.monotonic
    _pods: dict[Key, dict[str, _Pod]] = field(default_factory=dict)
    _tasks: dict[tuple[Key, str, str], asyncio.Task[None]] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def look(self, key: Key, pods: tuple[Manifest, ...], *, settled: bool) -> dict[str, Health]:
        """What the ready pods said, by name; asks those that are due."""
        trusted, before = key not in self._pods, self._pods.get(key, {})
        every = self.asking.settled if settled else self.asking.unsettled
        found = {}
        for name, address in _ready(pods):
            known = before.get(name)
            if known is None or known.address != address:
                known = _Pod(address, trusted)
            # Pods that keep silent must not be asked faster than they are given up.
            if self.clock() - known.asked >= every and (key, name, address) not in self._tasks:
                known = replace(known, asked=self.clock())
                self._start(key, name, address)
            found[name] = known
        self._pods[key] = found
        return {name: pod.held for name, pod in found.items() if pod.held}

    def is_waiting(self, key: Key) -> bool:
        """Whether the first answers after the operator's start are still to come."""
        return any(pod.trusted and pod.said is None for pod in self._pods.get(key, {}).values())

    def forget(self, key: Key) -> None:
        """A RouterDeployment that is gone."""
        self._pods.pop(key, None)

    async def close(self) -> None:
        """Gives up what is being asked."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, key: Key, name: str, address: str) -> None:
        task = asyncio.create_task(self._hear(key, name, address))
        self._tasks[key, name, address] = task
        task.add_done_callback(lambda _: self._tasks.pop((key, name, address)))

    async def _hear(self, key: Key, name: str, address: str) -> None:
        async with self._slots:
            health = await self.ask(address)
        pod = self._pods.get(key, {}).get(name)
        if pod is None or pod.address != address:
            return
        now = self._pods[key][name] = pod.heard(health)
        if now.held != pod.held:
            self.changed(key)


def _ready(pods: tuple[Manifest, ...]) -> list[tuple[str, str]]:
    """(name, address) of the API's pods that are ready and not ending."""
    return [
        (pod["metadata"]["name"], str(pod["status"]["podIP"]))
        for pod in pods
        if _is_api(pod)
        and pod["status"].get("podIP")
        and _is_ready(pod["status"])
        and "deletionTimestamp" not in pod["metadata"]
    ]


def _is_api(pod: Manifest) -> bool:
    return (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component") == "api"


def _is_ready(status: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))
