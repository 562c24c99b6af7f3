"""Measures one operator in five phases: creation, rest, restart, deleted children and unresponsive pods."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from audit import Request, by_verb
from cluster import Cluster
from health import Pods
from processes import Process
from rl_router_operator import resources
from rl_router_operator.cluster.client import path_of
from rl_router_operator.objects.kinds import BY_NAME, ROUTER
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.control_plane import ADMIN, authorization

NAMESPACE = "default"
_CONCURRENT = 16
_TIMEOUT = 420.0
QUIET_SECONDS = 18.0
"""The number of seconds without a write after which the operator is at rest.

If a RouterDeployment is not Ready, a cycle of the operator's health checks takes at most 15 s: an interval of 10 s and
a timeout of 5 s.
"""
_DELETED = 100


@dataclass(frozen=True)
class Rest:
    """The figures of the operator in a period in which nobody changes an object.

    The figure `cpu_percent` is relative to one core, and the figure `memory` is in MiB.
    """

    seconds: float
    writes: int
    requests: int
    cpu_percent: float
    memory: float
    health_checks: int


@dataclass(frozen=True)
class BareClient:
    """The wall time and the CPU time, in seconds, that the bare client needs to create all children."""

    created: float
    cpu: float


@dataclass(frozen=True)
class Result:
    """The figures of one measurement of the operator with `size` RouterDeployments.

    Times are in seconds, and memory is in MiB. `requests` contains the result of `audit.by_verb`.
    """

    size: int
    bare_client: BareClient
    started: float
    started_cpu: float
    memory: float
    children: int
    created: float
    created_cpu: float
    settled: float
    settled_memory: float
    requests: Counter[str]
    reconciles: float
    rest: Rest
    restarted: Rest
    deleted: int
    repaired: float
    unresponsive: Rest
    max_open: int
    repaired_unresponsive: float


@dataclass
class Phases:
    """The phases of one measurement.

    The function `start` starts the operator or the bare client, and returns the process and its URL. The URL of the
    bare client is empty.
    """

    cluster: Cluster
    start: Callable[[], tuple[Process, str]]
    pods: Pods

    def __post_init__(self) -> None:
        self.operator, self.url = self.start()

    def stop(self) -> None:
        """Kills the process of the operator or of the bare client."""
        self.operator.stop()

    async def run_bare_client(self, size: int) -> BareClient:
        """Measures the bare client, which `start` has started, with `size` RouterDeployments."""
        await self._until(self._has_listed, "the bare client has listed the RouterDeployments")
        async with self._connected():
            return BareClient(*await self._create(size, size * len(_children()), time.time()))

    async def run(self, size: int, rest: float, bare_client: BareClient) -> Result:
        """Measures the operator with `size` RouterDeployments.

        The operator is measured for `rest` seconds at rest and again after a restart, and for half of this time with
        unresponsive pods.
        """
        self.operator.wait_until_it_answers(self.url + "/healthz")
        start = time.time()
        await self._until(self._is_ready, "the operator is ready")
        started, started_cpu, memory = time.time() - start, self.operator.cpu_seconds(), self.operator.memory_mb()
        async with self._connected():
            children, start = size * len(_children()), time.time()
            created, created_cpu = await self._create(size, children, start)
            settled = await self._settle(start, "the operator's last write for the new RouterDeployments")
            requests, reconciles = by_verb(self.cluster.audit.since(start)), await self._reconciles()
            settled_memory = self.operator.memory_mb()
            resting = await self._rest(rest)
            restarted = await self._restart(rest)
            repaired, deleted = await self._repair(size)
            await self._settle(time.time() - repaired, "the operator's last write for the recreated children")
            self.pods.unresponsive, self.pods.max_open = True, 0
            await self._settle(time.time(), "the operator's last write for the unresponsive pods")
            unresponsive = await self._rest(rest / 2)
            repaired_unresponsive, _ = await self._repair(size)
        return Result(
            size, bare_client, started, started_cpu, memory, children, created, created_cpu, settled, settled_memory,
            requests, reconciles, resting, restarted, deleted, repaired, unresponsive, self.pods.max_open,
            repaired_unresponsive,
        )  # fmt: skip

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        """Opens `client`, an HTTP client with the administrator's rights at the API server, until the context ends."""
        limits = httpx.Limits(max_connections=_CONCURRENT)
        server = self.cluster.server
        async with httpx.AsyncClient(
            base_url=server.url, verify=server.tls, headers=authorization(ADMIN), timeout=60, limits=limits
        ) as client:
            self.client = client
            yield

    async def _has_listed(self) -> bool:
        return bool(self.cluster.audit.read())

    async def _create(self, size: int, children: int, start: float) -> tuple[float, float]:
        """Creates `size` RouterDeployments, and waits until the measured program has created `children` children.

        Returns the seconds from `start` to the creation of the last child, and the CPU seconds that the measured
        program used during the call of the method.
        """
        before = self.operator.cpu_seconds()
        path = path_of(ROUTER, NAMESPACE)
        body = {"apiVersion": ROUTER.api_version, "kind": ROUTER.kind, "spec": {}}
        posts = (self.client.post(path, json={**body, "metadata": {"name": _name(number)}}) for number in range(size))
        creating = asyncio.create_task(_all(posts))
        last = await self._last_creation(start, children)
        await creating
        spent = self.operator.cpu_seconds() - before
        _log(f"{size} RouterDeployments: {children} children exist after {last - start:.1f} s")
        return last - start, spent

    async def _last_creation(self, since: float, count: int) -> float:
        """Waits until the measured program has created `count` objects after `since`.

        Returns the time of the last creation, in seconds since 1970.
        """

        async def all_created() -> bool:
            return sum(request.is_create for request in self.cluster.audit.since(since)) >= count

        await self._until(all_created, f"{count} children are created")
        return max(request.at for request in self.cluster.audit.requests if request.is_create)

    async def _settle(self, start: float, state: str) -> float:
        """Waits for a write after `start`, and then for `QUIET_SECONDS` without a write.

        Returns the seconds from `start` to the operator's last write.
        """

        async def is_quiet() -> bool:
            return 0.0 < self._last_write(start) < time.time() - QUIET_SECONDS

        await self._until(is_quiet, state)
        _log(f"{state} after {self._last_write(start) - start:.1f} s")
        return self._last_write(start) - start

    def _last_write(self, since: float) -> float:
        """Returns the time of the last write after `since` to an object other than a Lease, or 0 without a write."""
        return max((request.at for request in self.cluster.audit.since(since) if request.is_write), default=0.0)

    async def _rest(self, seconds: float) -> Rest:
        before, checks, start = self.operator.cpu_seconds(), self.pods.requested, time.time()
        await asyncio.sleep(seconds)
        requests: list[Request] = self.cluster.audit.since(start)
        cpu = 100 * (self.operator.cpu_seconds() - before) / (time.time() - start)
        writes = sum(request.is_write for request in requests)
        _log(f"measured for {seconds:g} s: {writes} writes, {cpu:.1f} % of a core, {self.operator.memory_mb():.0f} MiB")
        return Rest(seconds, writes, len(requests), cpu, self.operator.memory_mb(), self.pods.requested - checks)

    async def _restart(self, seconds: float) -> Rest:
        """Restarts the operator, and returns its figures in the first `seconds` seconds after it leads again.

        The figure `writes` counts all writes of the operator since the restart.
        """
        self.operator.stop()
        start = time.time()
        self.operator, self.url = self.start()
        self.operator.wait_until_it_answers(self.url + "/healthz")
        await self._until(self._leads, "the operator leads again")
        rest = await self._rest(seconds)
        writes = sum(request.is_write for request in self.cluster.audit.since(start))
        return replace(rest, writes=writes)

    async def _repair(self, size: int) -> tuple[float, int]:
        """Deletes at most `_DELETED` children.

        Returns the seconds until the deleted children exist again, and the number of deleted children.
        """
        selected = _selected_children(size)
        paths = [path_of(BY_NAME[kind], NAMESPACE, name) for kind, name in selected]
        start = time.time()
        await _all(self.client.delete(path, params={"propagationPolicy": "Background"}) for path in paths)
        last = await self._last_creation(start, len(selected))
        _log(f"{len(selected)} deleted children exist again after {last - start:.2f} s")
        return last - start, len(selected)

    async def _reconciles(self) -> float:
        text = (await self._get("/metrics")).text
        lines = (line for line in text.splitlines() if line.startswith("rl_router_operator_reconciles_total"))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    async def _is_ready(self) -> bool:
        return (await self._get("/readyz")).status_code == 200

    async def _leads(self) -> bool:
        return (await self._get("/readyz")).text.startswith("leader")

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(self.url + path)

    async def _until(self, condition: Callable[[], Awaitable[bool]], state: str) -> None:
        end = time.monotonic() + _TIMEOUT
        while not await condition():
            if time.monotonic() > end:
                raise SystemExit(
                    f"error: timeout after {_TIMEOUT:g} s while waiting for: {state}. Run the benchmark with"
                    " --keep FOLDER, and read the logs in this folder"
                )
            await asyncio.sleep(0.1)


async def _all(requests: Any) -> None:
    """Sends the requests, at most `_CONCURRENT` at a time.

    Raises HTTPStatusError if the API server rejects a request.
    """
    slots = asyncio.Semaphore(_CONCURRENT)

    async def send(request: Awaitable[httpx.Response]) -> None:
        async with slots:
            (await request).raise_for_status()

    await asyncio.gather(*map(send, requests))


def _name(number: int) -> str:
    return f"router-{number}"


def _children(name: str = "any") -> list[tuple[str, str]]:
    """Returns the pair (kind, name) of each child of a RouterDeployment with an empty spec."""
    router = read({"metadata": {"name": name, "namespace": NAMESPACE, "uid": "any"}, "spec": {}})
    return [(child["kind"], child["metadata"]["name"]) for child in resources.desired(router, Defaults())]


def _selected_children(size: int) -> list[tuple[str, str]]:
    """Returns at most `_DELETED` children of all kinds, from as many RouterDeployments as possible."""
    routers = [_children(_name(number)) for number in range(size)]
    children = [
        router[(number + turn) % len(router)]
        for turn in range(len(routers[0]))
        for number, router in enumerate(routers)
    ]
    return children[:_DELETED]


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
