"""What is done to one operator, in order, and what is noted of it."""

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
_AT_ONCE = 16
_LIMIT = 420.0
_QUIET = 18.0
"""Seconds; longer than until a pod is asked again, and answers."""
_DELETED = 100


@dataclass(frozen=True)
class Rest:
    """A while in which nothing is done to anything."""

    seconds: float
    writes: int
    requests: int
    cpu_percent: float
    memory: float
    asked: int


@dataclass(frozen=True)
class Floor:
    """Seconds, of the clock and of its CPU, in which a bare client makes all children."""

    made: float
    cpu: float


@dataclass(frozen=True)
class Result:
    """Times in seconds, memory in MiB, requests in all."""

    size: int
    floor: Floor
    started: float
    started_cpu: float
    memory: float
    children: int
    made: float
    made_cpu: float
    settled: float
    settled_memory: float
    requests: Counter[str]
    looks: float
    rest: Rest
    restarted: Rest
    deleted: int
    repaired: float
    unreachable: Rest
    most_waiting: int
    repaired_then: float


@dataclass
class Phases:
    """`start` starts an operator, or what stands in its place, and says where it serves its own endpoints."""

    cluster: Cluster
    start: Callable[[], tuple[Process, str]]
    pods: Pods

    def __post_init__(self) -> None:
        self.operator, self.url = self.start()

    def stop(self) -> None:
        """Ends the operator at once."""
        self.operator.stop()

    async def run_floor(self, size: int) -> Floor:
        """The bare client's part, for so many RouterDeployments; it is the operator here."""
        await self._until(self._has_listed, "the bare client has listed the RouterDeployments")
        async with self._connected():
            return Floor(*await self._make(size, size * len(_children()), time.time()))

    async def run(self, size: int, rest: float, floor: Floor) -> Result:
        """Everything, for so many RouterDeployments."""
        self.operator.until_it_answers(self.url + "/healthz")
        began = time.time()
        await self._until(self._is_ready, "the operator is ready")
        started, started_cpu, memory = time.time() - began, self.operator.cpu_seconds(), self.operator.memory_mb()
        async with self._connected():
            children, began = size * len(_children()), time.time()
            made, made_cpu = await self._make(size, children, began)
            settled = await self._settle(began, "every RouterDeployment is said to be ready")
            requests, looks = by_verb(self.cluster.audit.since(began)), await self._looks()
            settled_memory = self.operator.memory_mb()
            resting = await self._rest(rest)
            restarted = await self._restart(rest)
            repaired, deleted = await self._repair(size)
            await self._settle(time.time() - repaired, "what was deleted runs again")
            self.pods.silent, self.pods.most_waiting = True, 0
            await self._settle(time.time(), "every RouterDeployment is said to be unreachable")
            silent = await self._rest(rest / 2)
            repaired_then, _ = await self._repair(size)
        return Result(
            size, floor, started, started_cpu, memory, children, made, made_cpu, settled, settled_memory, requests,
            looks, resting, restarted, deleted, repaired, silent, self.pods.most_waiting, repaired_then,
        )  # fmt: skip

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        """The administrator's connection to the API server."""
        limits = httpx.Limits(max_connections=_AT_ONCE)
        server = self.cluster.server
        async with httpx.AsyncClient(
            base_url=server.url, verify=server.tls, headers=authorization(ADMIN), timeout=60, limits=limits
        ) as client:
            self.client = client
            yield

    async def _has_listed(self) -> bool:
        return bool(self.cluster.audit.read())

    async def _make(self, size: int, children: int, began: float) -> tuple[float, float]:
        """Seconds, of the clock and of the CPU, from the first RouterDeployment until the last child is there."""
        before = self.operator.cpu_seconds()
        path = path_of(ROUTER, NAMESPACE)
        body = {"apiVersion": ROUTER.api_version, "kind": ROUTER.kind, "spec": {}}
        posts = (self.client.post(path, json={**body, "metadata": {"name": _name(each)}}) for each in range(size))
        creating = asyncio.create_task(_all(posts))
        last = await self._created(began, children)
        await creating
        spent = self.operator.cpu_seconds() - before
        _say(f"{size} RouterDeployments: {children} children after {last - began:.1f} s")
        return last - began, spent

    async def _created(self, since: float, count: int) -> float:
        """When the operator had made so many objects."""

        async def enough() -> bool:
            return sum(each.is_create for each in self.cluster.audit.since(since)) >= count

        await self._until(enough, f"{count} children are made")
        return max(each.at for each in self.cluster.audit.requests if each.is_create)

    async def _settle(self, began: float, what: str) -> float:
        """Seconds until the operator's last write before a quiet while."""

        async def quiet() -> bool:
            return 0.0 < self._wrote(began) < time.time() - _QUIET

        await self._until(quiet, what)
        _say(f"{what} after {self._wrote(began) - began:.1f} s")
        return self._wrote(began) - began

    def _wrote(self, since: float) -> float:
        """When it wrote last, other than to its Lease; 0 where it did not."""
        return max((each.at for each in self.cluster.audit.since(since) if each.is_write), default=0.0)

    async def _rest(self, seconds: float) -> Rest:
        before, asked, began = self.operator.cpu_seconds(), self.pods.asked, time.time()
        await asyncio.sleep(seconds)
        found: list[Request] = self.cluster.audit.since(began)
        cpu = 100 * (self.operator.cpu_seconds() - before) / (time.time() - began)
        writes = sum(each.is_write for each in found)
        _say(f"at rest for {seconds:g} s: {writes} writes, {cpu:.1f} % of a core, {self.operator.memory_mb():.0f} MiB")
        return Rest(seconds, writes, len(found), cpu, self.operator.memory_mb(), self.pods.asked - asked)

    async def _restart(self, seconds: float) -> Rest:
        """Kills the operator; the while begins when the next one leads."""
        self.operator.stop()
        began = time.time()
        self.operator, self.url = self.start()
        self.operator.until_it_answers(self.url + "/healthz")
        await self._until(self._leads, "the operator leads again")
        found = await self._rest(seconds)
        writes = sum(each.is_write for each in self.cluster.audit.since(began))
        return replace(found, writes=writes)

    async def _repair(self, size: int) -> tuple[float, int]:
        """Seconds from when the first of many children is deleted until the last is back, and how many they are."""
        victims = _victims(size)
        paths = [path_of(BY_NAME[kind], NAMESPACE, name) for kind, name in victims]
        began = time.time()
        await _all(self.client.delete(path, params={"propagationPolicy": "Background"}) for path in paths)
        last = await self._created(began, len(victims))
        _say(f"{len(victims)} deleted children are back after {last - began:.2f} s")
        return last - began, len(victims)

    async def _looks(self) -> float:
        text = (await self._own("/metrics")).text
        lines = (line for line in text.splitlines() if line.startswith("rl_router_operator_reconciles_total"))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    async def _is_ready(self) -> bool:
        return (await self._own("/readyz")).status_code == 200

    async def _leads(self) -> bool:
        return (await self._own("/readyz")).text.startswith("leader")

    async def _own(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(self.url + path)

    async def _until(self, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
        end = time.monotonic() + _LIMIT
        while not await is_so():
            if time.monotonic() > end:
                raise SystemExit(f"error: not within {_LIMIT:g} s: {what}")
            await asyncio.sleep(0.1)


async def _all(requests: Any) -> None:
    """Makes the requests, a few at once; whatever is refused ends the run."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(request: Awaitable[httpx.Response]) -> None:
        async with slots:
            (await request).raise_for_status()

    await asyncio.gather(*map(one, requests))


def _name(number: int) -> str:
    return f"router-{number}"


def _children(name: str = "any") -> list[tuple[str, str]]:
    """(kind, name) of what a RouterDeployment with an empty spec becomes."""
    router = read({"metadata": {"name": name, "namespace": NAMESPACE, "uid": "any"}, "spec": {}})
    return [(each["kind"], each["metadata"]["name"]) for each in resources.desired(router, Defaults())]


def _victims(size: int) -> list[tuple[str, str]]:
    """A hundred children, or all where there are fewer, of every kind in turn, spread over the RouterDeployments."""
    each = [_children(_name(number)) for number in range(size)]
    turns = [children[(at + turn) % len(children)] for turn in range(len(each[0])) for at, children in enumerate(each)]
    return turns[:_DELETED]


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
