"""Asks the API's pods for their health: /health on the admin port says whether the router model decides."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import aiohttp
from pydantic import ValidationError
from pydantic_core import from_json
from rl_router_api.health import HealthDocument

from ..objects.manifest import Manifest
from ..objects.naming import ADMIN_PORT
from ..objects.observed import Health
from ..objects.router import Key
from ..status.pods import is_ready

_LIMIT_SECONDS = 5.0
_LIMIT_BYTES = 65_536
_MAXIMUM_REQUESTS = 512
"""Enough to ask a thousand pods that never answer every ten seconds."""

Ask = Callable[[str], Awaitable[Health]]
"""Asks the pod with an address for its health."""


@dataclass(frozen=True)
class Asking:
    """Seconds between two requests to an API pod: while its router is Ready, while it is not, and before the request
    that confirms a good answer of a pod without an answer that counts."""

    settled: float = 30.0
    unsettled: float = 10.0
    confirming: float = 1.0


class Asker:
    """Asks over HTTP: within 5 s, at most 64 KiB, without redirects or a proxy."""

    def __init__(self, port: int = ADMIN_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, address: str) -> Health:
        """Returns what the pod with the address reports."""
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
            # A connection that is kept open would outlive its pod.
            connector = aiohttp.TCPConnector(force_close=True, limit=_MAXIMUM_REQUESTS)
            timeout = aiohttp.ClientTimeout(total=_LIMIT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._session


async def _at_most(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """Returns the body, or its beginning if it is longer than the limit."""
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
    """An API pod. `reported` is its last answer, and `confirmed` the one that counts: the last that it gave twice.

    With `trusted` its first answer counts. Those are the pods that the operator finds at its start, when it does not
    know what the answer changes.
    """

    address: str
    trusted: bool
    asked: float = -math.inf
    reported: Health | None = None
    confirmed: Health | None = None

    def after(self, health: Health) -> _Pod:
        """Returns the pod after one more answer."""
        counts = health == self.reported or (self.trusted and self.reported is None)
        return replace(self, reported=health, confirmed=health if counts else self.confirmed)

    @property
    def is_promising(self) -> bool:
        """Whether no answer counts yet and the last one is good, so that it is about to be confirmed."""
        answer = self.reported.answer if self.reported else None
        return self.confirmed is None and answer is not None and answer.status == "ok"


@dataclass
class PodHealth:
    """Asks the ready API pods of every RouterDeployment, and calls `changed` when the answer that counts changes."""

    ask: Ask
    changed: Callable[[Key], None]
    asking: Asking
    clock: Callable[[], float] = time.monotonic
    _pods: dict[Key, dict[str, _Pod]] = field(default_factory=dict)
    _tasks: dict[tuple[Key, str, str], asyncio.Task[None]] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAXIMUM_REQUESTS))

    def look(self, key: Key, pods: tuple[Manifest, ...], *, settled: bool) -> dict[str, Health]:
        """Returns the answers that count, by pod name, and asks the pods whose turn it is."""
        trusted, before, now = key not in self._pods, self._pods.get(key, {}), self.clock()
        every = self.asking.settled if settled else self.asking.unsettled
        found = {}
        for name, address in _ready(pods):
            pod = before.get(name)
            if pod is None or pod.address != address:
                pod = _Pod(address, trusted)
            # A pod that does not answer is not asked again before its request has timed out.
            if now - pod.asked >= every and (key, name, address) not in self._tasks:
                pod = replace(pod, asked=now)
                self._start(key, name, address)
            found[name] = pod
        self._pods[key] = found
        return {name: pod.confirmed for name, pod in found.items() if pod.confirmed}

    def is_waiting(self, key: Key) -> bool:
        """Returns whether no pod has an answer that counts yet, and one may have it in a moment.

        A status that was written now would only say that the pods have not answered.
        """
        pods = self._pods.get(key, {}).values()
        expected = any(pod.reported is None or pod.is_promising for pod in pods)
        return expected and not any(pod.confirmed for pod in pods)

    def forget(self, key: Key) -> None:
        """Forgets a RouterDeployment that is gone."""
        self._pods.pop(key, None)

    def forget_all(self) -> None:
        """Forgets every pod: the next first answers count."""
        self._pods.clear()

    async def close(self) -> None:
        """Cancels the requests under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, key: Key, name: str, address: str) -> None:
        task = asyncio.create_task(self._hear(key, name, address))
        self._tasks[key, name, address] = task
        task.add_done_callback(lambda _: self._tasks.pop((key, name, address)))

    async def _hear(self, key: Key, name: str, address: str) -> None:
        pod = await self._heard(key, name, address)
        if pod and pod.is_promising:
            await asyncio.sleep(self.asking.confirming)
            await self._heard(key, name, address)

    async def _heard(self, key: Key, name: str, address: str) -> _Pod | None:
        """Asks a pod and returns it with its answer; None if it is gone."""
        async with self._slots:
            health = await self.ask(address)
        before = self._pods.get(key, {}).get(name)
        if before is None or before.address != address:
            return None
        after = self._pods[key][name] = before.after(health)
        is_first_and_bad = before.reported is None and not after.is_promising
        if after.confirmed != before.confirmed or is_first_and_bad:
            self.changed(key)
        return after


def _ready(pods: tuple[Manifest, ...]) -> list[tuple[str, str]]:
    """Returns (name, address) of the API's pods that are ready and not terminating."""
    return [
        (pod["metadata"]["name"], str(pod["status"]["podIP"]))
        for pod in pods
        if _is_api(pod) and pod["status"].get("podIP") and is_ready(pod)
    ]


def _is_api(pod: Manifest) -> bool:
    return (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component") == "api"
