"""Probes each ready API pod at the endpoint /health, to find out whether the router model and the targets work."""

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
from ..objects.routerdeployment import Key
from ..status.pods import is_ready

_TIMEOUT_SECONDS = 5.0
_MAXIMUM_BYTES = 65_536
_MAXIMUM_REQUESTS = 512
"""The maximum number of simultaneous probes of API pods.

With 512 simultaneous probes, the operator can probe 1,000 pods every 10 s, even if no pod responds.
"""

Probe = Callable[[str], Awaitable[Health]]
"""A function that returns the health of the API pod at an IP address."""


@dataclass(frozen=True)
class ProbeIntervals:
    """The intervals in seconds between two probes of an API pod.

    The interval `settled` applies while the pod's RouterDeployment is Ready, and the interval `unsettled` applies while
    the RouterDeployment is not Ready. The interval `confirming` applies after a good response of a pod whose health is
    not confirmed yet.
    """

    settled: float = 30.0
    unsettled: float = 10.0
    confirming: float = 1.0


class HealthClient:
    """Probes API pods over HTTP, without a proxy and without following redirects.

    A probe fails if the response takes more than 5 s or if the body of the response is larger than 64 KiB.
    """

    def __init__(self, port: int = ADMIN_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, address: str) -> Health:
        """Returns the health that the pod at the IP address `address` reports, or the error of the probe."""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}/health"
        try:
            async with self._client().get(url, allow_redirects=False) as response:
                return _read(response.status, await _body(response, _MAXIMUM_BYTES))
        except TimeoutError:
            return Health(None, f"{url} did not respond within {_TIMEOUT_SECONDS:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Health(None, f"the connection to {url} failed: {str(error) or type(error).__name__}")

    async def close(self) -> None:
        """Closes the connections to the API pods."""
        if self._session:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A connection that stays open could outlive its pod.
            connector = aiohttp.TCPConnector(force_close=True, limit=_MAXIMUM_REQUESTS)
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._session


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Returns the body of a response, or only the beginning of a body with more than `limit` bytes."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            break
    return body


def _read(status: int, body: bytes) -> Health:
    if status != 200:
        return Health(None, f"the endpoint /health returned status {status} instead of 200")
    if len(body) > _MAXIMUM_BYTES:
        return Health(None, f"the endpoint /health returned more than {_MAXIMUM_BYTES // 1024} KiB")
    try:
        return Health(HealthDocument.model_validate(from_json(body)))
    except ValidationError:
        return Health(None, "the endpoint /health did not return the health document of a router API")
    except ValueError:
        return Health(None, "the endpoint /health did not return JSON")


@dataclass(frozen=True)
class _Pod:
    """An API pod, with the results of the probes of the pod.

    The attribute `reported` is the health that the last probe returned. The attribute `confirmed` is the last health
    that two consecutive probes returned. If `trusted` is true, the health that the first probe returns is confirmed
    immediately. The pods that are ready when the operator first polls a RouterDeployment are trusted, because the
    operator does not know the earlier health of these pods.
    """

    address: str
    trusted: bool
    probed: float = -math.inf
    reported: Health | None = None
    confirmed: Health | None = None

    def after(self, health: Health) -> _Pod:
        """Returns the pod with `health` as the result of the last probe."""
        counts = health == self.reported or (self.trusted and self.reported is None)
        return replace(self, reported=health, confirmed=health if counts else self.confirmed)

    @property
    def is_promising(self) -> bool:
        """Returns whether the last probe returned a good health, and no health of the pod is confirmed yet."""
        document = self.reported.document if self.reported else None
        return self.confirmed is None and document is not None and document.status == "ok"


@dataclass
class PodHealth:
    """Probes the ready API pods of every RouterDeployment.

    Calls `on_change` when a confirmed health changes, and when the first probe of a pod returns a bad health.
    """

    probe: Probe
    on_change: Callable[[Key], None]
    intervals: ProbeIntervals
    clock: Callable[[], float] = time.monotonic
    _pods: dict[Key, dict[str, _Pod]] = field(default_factory=dict)
    _tasks: dict[tuple[Key, str, str], asyncio.Task[None]] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAXIMUM_REQUESTS))

    def poll(self, key: Key, pods: tuple[Manifest, ...], *, settled: bool) -> dict[str, Health]:
        """Returns the confirmed health of each pod that has one, by pod name, and starts the probes that are due."""
        trusted, previous, now = key not in self._pods, self._pods.get(key, {}), self.clock()
        interval = self.intervals.settled if settled else self.intervals.unsettled
        pods_by_name = {}
        for name, address in _ready(pods):
            pod = previous.get(name)
            if pod is None or pod.address != address:
                pod = _Pod(address, trusted)
            # A pod that does not respond is not probed again before its request has timed out.
            if now - pod.probed >= interval and (key, name, address) not in self._tasks:
                pod = replace(pod, probed=now)
                self._start(key, name, address)
            pods_by_name[name] = pod
        self._pods[key] = pods_by_name
        return {name: pod.confirmed for name, pod in pods_by_name.items() if pod.confirmed}

    def is_waiting(self, key: Key) -> bool:
        """Returns whether no pod has a confirmed health yet, but the health of a pod may soon be confirmed.

        Without a confirmed health, a status could only report that the pods have not responded.
        """
        pods = self._pods.get(key, {}).values()
        expected = any(pod.reported is None or pod.is_promising for pod in pods)
        return expected and not any(pod.confirmed for pod in pods)

    def forget(self, key: Key) -> None:
        """Drops the pods of a RouterDeployment that this operator no longer reconciles."""
        self._pods.pop(key, None)

    def forget_all(self) -> None:
        """Drops every pod, so that a single probe confirms the health of each pod that is ready at the next poll."""
        self._pods.clear()

    async def close(self) -> None:
        """Cancels the running probes of all pods."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, key: Key, name: str, address: str) -> None:
        task = asyncio.create_task(self._probe_pod(key, name, address))
        self._tasks[key, name, address] = task
        task.add_done_callback(lambda _: self._tasks.pop((key, name, address)))

    async def _probe_pod(self, key: Key, name: str, address: str) -> None:
        pod = await self._probe_once(key, name, address)
        if pod and pod.is_promising:
            await asyncio.sleep(self.intervals.confirming)
            await self._probe_once(key, name, address)

    async def _probe_once(self, key: Key, name: str, address: str) -> _Pod | None:
        """Probes a pod, and returns the pod with the result of the probe.

        Returns None if the operator no longer probes a pod with this name at this address.
        """
        async with self._slots:
            health = await self.probe(address)
        before = self._pods.get(key, {}).get(name)
        if before is None or before.address != address:
            return None
        after = self._pods[key][name] = before.after(health)
        is_first_and_bad = before.reported is None and not after.is_promising
        if after.confirmed != before.confirmed or is_first_and_bad:
            self.on_change(key)
        return after


def _ready(pods: tuple[Manifest, ...]) -> list[tuple[str, str]]:
    """Returns the name and the IP address of each API pod that is ready and not terminating."""
    return [
        (pod["metadata"]["name"], str(pod["status"]["podIP"]))
        for pod in pods
        if _is_api(pod) and pod["status"].get("podIP") and is_ready(pod)
    ]


def _is_api(pod: Manifest) -> bool:
    return (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component") == "api"
