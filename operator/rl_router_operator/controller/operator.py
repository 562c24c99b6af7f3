"""The operator as a whole: its parts, how they are connected, started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from kubernetes.aio.client import Configuration

from ..cluster.client import Api, connection
from ..cluster.executor import Executor
from ..cluster.informers import Informers, Stores
from ..cluster.leader_election import Lease
from ..cluster.store import Store
from ..objects.kinds import ROUTER
from ..objects.router import Key
from . import endpoints
from .children import Children
from .metrics import Metrics, ready_of
from .pod_health import Ask, Asker, PodHealth
from .reconcile import Reconciler
from .settings import Settings
from .work_queue import WorkQueue
from .workers import Workers

_SETTLING_SECONDS = 1.0
"""Changes of children and pods come in bursts, and one reconciliation answers them all."""


class Operator:
    """One operator; `ask` asks an API pod for its health, which tests replace."""

    def __init__(self, settings: Settings, configuration: Configuration, ask: Ask) -> None:
        self.settings = settings
        self.queue = WorkQueue()
        self.metrics = Metrics(self._readiness)
        self.port = 0
        self._api = Api(configuration, self._write_seconds, self._wrote, settings.idle_timeout)
        self._stores = Stores(routers=Store(self._router_changed), objects=Store(self._object_changed))
        self._informers = Informers(
            self._api, self._stores, settings.namespaces, self._all_changed, settings.discovery_seconds
        )
        self._pod_health = PodHealth(ask, self._changed, settings.asking)
        self._lease = Lease(
            self._api, settings.own_namespace, settings.lease, settings.identity, self._leads_now, settings.lease_terms
        )
        children = Children(self._api, Executor(self._api), self._stores.objects, self._informers)
        self._reconciler = Reconciler(
            self._api, self._stores, self._informers, children, self._pod_health, settings.defaults
        )
        self._workers = Workers(settings.workers, self.queue, self._reconciler.reconcile, self._may_work, self.metrics)

    def leads(self) -> bool:
        """Returns whether this operator may write."""
        return self._lease.is_held()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop`; the Lease is released once the last reconciliation has ended."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._api.close)
            stack.push_async_callback(self._pod_health.close)
            standing = endpoints.Standing(self._workers.age, self.leads, self.obstacles)
            app = endpoints.application(standing, self.metrics.registry)
            runner, self.port = await endpoints.serve(app, self.settings.host, self.settings.port)
            stack.push_async_callback(runner.cleanup)
            # What starts first is ended last.
            work = (self._lease.run(), self._informers.run(), self._workers.run(), self._resync())
            await _first_of(stop, [_started(stack, each) for each in work])

    def obstacles(self) -> list[str]:
        """Returns what keeps the operator from being ready, each as a sentence."""
        missing = [*([self._lease.missing] if self._lease.missing else ()), *self._workers.missing_permissions()]
        return [*self._informers.obstacles(), *missing]

    async def _resync(self) -> None:
        """Reconciles everything now and then, also for what changes with time alone."""
        await self._informers.settled()
        while True:
            self._reconciler.compare_again()
            self._all_changed()
            self.metrics.resynced()
            await asyncio.sleep(self.settings.resync_seconds)

    def _may_work(self) -> bool:
        return self.leads() and self._informers.is_settled()

    def _router_changed(self, key: Key, _gone: bool) -> None:
        self.queue.add(key)

    def _object_changed(self, key: Key, gone: bool) -> None:
        self._changed(key, 0.0 if gone else _SETTLING_SECONDS)

    def _changed(self, key: Key, after: float = 0.0) -> None:
        if key in self._stores.routers:
            self.queue.add(key, after)

    def _all_changed(self) -> None:
        for key in self._stores.routers:
            self.queue.add(key)

    def _leads_now(self, leads: bool) -> None:
        self.metrics.leading.set(leads)
        if leads:
            self._all_changed()
        else:
            # Another operator leads: what this one knows will be outdated.
            self._reconciler.forget_all()
            self._workers.forget_missing_permissions()

    def _write_seconds(self) -> float:
        """Returns the seconds that a write may take now."""
        return self._lease.left()

    def _wrote(self, verb: str, kind: str) -> None:
        self.metrics.writes.labels(verb, kind).inc()

    def _readiness(self) -> list[str]:
        bodies = (self._stores.routers.get(ROUTER.kind, *key) for key in self._stores.routers)
        return [ready_of(body) for body in bodies if body]


def _started(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Returns a task that is cancelled with the stack."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return task


async def _first_of(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Waits for `stop`. A task that ends earlier has failed, and so has the operator."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done - {stopped}:
        if not stop.is_set():
            task.result()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Runs the operator with these settings until `stop`."""
    asker = Asker()
    try:
        await Operator(settings, await connection(settings.kubeconfig), asker).run(stop)
    finally:
        await asker.close()
