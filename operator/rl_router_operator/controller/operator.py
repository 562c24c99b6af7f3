"""Creates, connects, starts and stops the parts of the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from kubernetes.aio.client import Configuration

from ..cluster.claims import Claims
from ..cluster.client import KubernetesClient
from ..cluster.executor import Executor
from ..cluster.informers import Informers, Stores
from ..cluster.leader_election import LeaderElection
from ..cluster.store import Store
from ..cluster.transport import connection
from ..objects.kinds import ROUTER
from ..objects.routerdeployment import Key
from . import endpoints
from .children import Children
from .metrics import Metrics, ready_of
from .pod_health import HealthClient, PodHealth, Probe
from .reconcile import Reconciler
from .settings import Settings
from .work_queue import WorkQueue
from .workers import Workers

_SETTLING_SECONDS = 1.0
"""The seconds from a change of a router's object, such as a pod, to the reconciliation.

The operator waits because changes often arrive in bursts. The operator does not wait after a deletion.
"""


class Operator:
    """One process of the operator, with all of its parts.

    The function `probe` returns the health of an API pod. Tests replace the function `probe`.
    """

    def __init__(self, settings: Settings, configuration: Configuration, probe: Probe) -> None:
        self.settings = settings
        self.queue = WorkQueue()
        self.metrics = Metrics(self._readiness)
        self.port = 0
        self._client = KubernetesClient(configuration, self._write_seconds, self._count_write, settings.idle_timeout)
        self._stores = Stores(routers=Store(self._router_changed), objects=Store(self._object_changed))
        self._informers = Informers(
            self._client, self._stores, settings.namespaces, self._all_changed, settings.discovery_seconds
        )
        self._pod_health = PodHealth(probe, self._changed, settings.probe_intervals)
        self._election = LeaderElection(
            self._client,
            settings.own_namespace,
            settings.lease,
            settings.identity,
            self._leadership_changed,
            settings.lease_terms,
        )
        self._claims = Claims(self._client, settings.scope, settings.claim_terms, self.leads, self._claims_changed)
        children = Children(self._client, Executor(self._client), self._stores.objects, self._informers)
        self._reconciler = Reconciler(
            self._client,
            self._stores,
            self._informers,
            children,
            self._pod_health,
            settings.defaults,
            settings.scope.operator,
            self._claims.seconds_until_takeover,
        )
        self._workers = Workers(settings.workers, self.queue, self._reconciler.reconcile, self._may_work, self.metrics)

    def leads(self) -> bool:
        """Returns whether this process is the leader. The leader may write in namespaces where its release acts."""
        return self._election.lease.is_held()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs the operator until `stop` is set, and releases the Lease after the last reconciliation has ended."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._client.close)
            stack.push_async_callback(self._pod_health.close)
            state = endpoints.OperatorState(self._workers.age, self.leads, self.obstacles)
            app = endpoints.application(state, self.metrics.registry)
            runner, self.port = await endpoints.serve(app, self.settings.host, self.settings.port)
            stack.push_async_callback(runner.cleanup)
            # The loop that starts first ends last, so that the leader election releases the Lease at the end.
            loops = (
                self._election.run(),
                self._claims.run(),
                self._informers.run(),
                self._workers.run(),
                self._resync(),
            )
            await _first_of(stop, [_started(stack, loop) for loop in loops])

    def obstacles(self) -> list[str]:
        """Returns the reasons why the operator is not ready, one text for each reason."""
        lease = self._election.lease.missing_permission
        missing = [*([lease] if lease else ()), *self._claims.obstacles(), *self._workers.missing_permissions()]
        return [*self._informers.obstacles(), *missing]

    async def _resync(self) -> None:
        """Queues all RouterDeployments every `resync_seconds` seconds, so that all children are compared again."""
        await self._informers.settled()
        while True:
            self._reconciler.forget_comparisons()
            self._all_changed()
            self.metrics.resynced()
            await asyncio.sleep(self.settings.resync_seconds)

    def _may_work(self, key: Key) -> bool:
        return self.leads() and self._informers.is_settled() and self._claims.acts_in(key[0])

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

    def _leadership_changed(self, leads: bool) -> None:
        self.metrics.leading.set(leads)
        if leads:
            self._all_changed()
        else:
            # Another process may become the leader and make the records of this process outdated.
            self._reconciler.forget_all()
            self._workers.forget_missing_permissions()
        self._claims.wake()

    def _claims_changed(self) -> None:
        """Queues the RouterDeployments in namespaces where this operator acts.

        The method also drops the records about the RouterDeployments in all other namespaces.
        """
        self.metrics.yields(self._claims.yields())
        for key in self._stores.routers:
            if self._claims.acts_in(key[0]):
                self.queue.add(key)
            else:
                self._reconciler.forget(key)
                self._workers.forget_missing_permission(key)

    def _write_seconds(self, namespace: str) -> float:
        """Returns the maximum duration in seconds of a write that starts now in a namespace, or 0 if none may start."""
        return min(self._election.lease.seconds_left(), self._claims.seconds_left(namespace))

    def _count_write(self, verb: str, kind: str) -> None:
        self.metrics.writes.labels(verb, kind).inc()

    def _readiness(self) -> list[str]:
        bodies = (self._stores.routers.get(ROUTER.kind, *key) for key in self._stores.routers)
        return [ready_of(body) for body in bodies if body]


def _started(stack: AsyncExitStack, loop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Starts the coroutine `loop` as a task that is cancelled when the exit stack `stack` is closed."""
    task = asyncio.create_task(loop)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return task


async def _first_of(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Waits until `stop` is set or a task ends, and raises the error of a task that ended before `stop` was set."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done - {stopped}:
        if not stop.is_set():
            task.result()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Runs the operator with the settings `settings` until the event `stop` is set."""
    health_client = HealthClient()
    try:
        await Operator(settings, await connection(settings.kubeconfig), health_client).run(stop)
    finally:
        await health_client.close()
