"""The operator as a whole: its parts, how they are wired, started and stopped."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import Any

from kubernetes.aio.client import Configuration

from .. import resources, status
from ..cluster.apply import Children
from ..cluster.client import Api, NotLeadingError, RefusedError, UnreachableError, connection
from ..cluster.informers import Sight
from ..cluster.leader_election import Lease
from ..cluster.roster import Roster
from ..cluster.store import Cache, Key
from ..log import log
from ..objects.manifest import Manifest
from ..objects.observed import Observed
from ..objects.router import Router
from . import endpoints, kopf_handlers
from .metrics import Metrics, ready_of
from .pod_health import Ask, Asker, Prober
from .reconcile import Reconciler
from .settings import Settings
from .work_queue import Queue

_TURN_SECONDS = 1.0
_LONGEST_LOOK = 45.0


class Operator:
    """One operator; `ask` is how the API's pods are asked, which tests replace."""

    def __init__(self, settings: Settings, configuration: Configuration, ask: Ask) -> None:
        self.settings = settings
        self.queue = Queue()
        self.metrics = Metrics(self._readiness)
        self.port = 0
        self._turns = [time.monotonic()] * settings.workers
        self._forbidden: dict[str, str] = {}
        self._api = Api(configuration, self._write_seconds, self._wrote, settings.silent_seconds)
        self._cache = Cache(self._changed)
        self.roster = Roster(self._api, settings.namespaces, self.queue.add, settings.resync_seconds)
        self._sight = Sight(self._api, self._cache, settings.namespaces, self._recovered, settings.discovery_seconds)
        self._prober = Prober(ask, self._changed, settings.asking)
        self._lease = Lease(
            self._api, settings.own_namespace, settings.lease, settings.identity, self._leads_now, settings.lease_terms
        )
        self._reconciler = Reconciler(
            self._api,
            self.roster,
            self._cache,
            self._sight,
            Children(self._api, self._cache, self._sight),
            self._prober,
            partial(_desired, settings),
            _status_of,
            status.invalid,
        )

    def leads(self) -> bool:
        """Whether this operator may write."""
        return self._lease.is_held()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop`; the Lease is given back once the last look has ended."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._api.close)
            stack.push_async_callback(self._prober.close)
            standing = endpoints.Standing(self.age, self.leads, self.obstacles)
            app = endpoints.application(standing, self.metrics.registry)
            runner, self.port = await endpoints.serve(app, self.settings.host, self.settings.port)
            stack.push_async_callback(runner.cleanup)
            lease = _started(stack, self._lease.run())
            watching = [_started(stack, each) for each in (self.roster.run(), self._sight.run(), self._follow())]
            workers = [_started(stack, self._work(number)) for number in range(self.settings.workers)]
            ticking = _started(stack, self._resync())
            await _first_of(stop, [lease, ticking, *watching, *workers])

    def age(self) -> float:
        """Seconds since the last turn of the reconcile loop, of the worker that is furthest behind."""
        return time.monotonic() - min(self._turns)

    def obstacles(self) -> list[str]:
        """What keeps the operator from being ready."""
        found = [] if self.roster.synced.is_set() else ["RouterDeployments have not been listed yet"]
        found += [] if self._sight.is_settled() else ["the children have not been listed yet"]
        missing = (self.roster.trouble, self._lease.missing, *self._forbidden.values())
        return [*found, *(each for each in missing if each)]

    async def _follow(self) -> None:
        """kopf, from when RouterDeployments are there to be followed."""
        await self.roster.synced.wait()
        connect = partial(connection, self.settings.kubeconfig)
        await kopf_handlers.run(self.roster.saw, connect, self.settings.namespaces)

    async def _work(self, number: int) -> None:
        """The reconcile loop of one worker. It turns whether or not the API server is there."""
        while True:
            self._turns[number] = time.monotonic()
            # A look that asks the API server nothing never waits, and a thousand of them would hold up the Lease.
            await asyncio.sleep(0)
            key = await self.queue.get(_TURN_SECONDS)
            if key is None:
                continue
            if not self.leads() or not self._sight.is_settled():
                # All are asked for again as soon as that changes.
                self.queue.forget(key)
                continue
            await self._look(key)

    async def _look(self, key: Key) -> None:
        """One look, counted; what fails is looked at again."""
        began = time.monotonic()
        outcome = "ok"
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                again = await self._reconciler.reconcile(key)
            self._forbidden.pop(_name(key), None)
            self.queue.done(key)
            if again is None:
                self.queue.forget(key)
            else:
                self.queue.add(key, again)
        except NotLeadingError:
            outcome = "not leading"
            self.queue.forget(key)
        except (RefusedError, UnreachableError, TimeoutError) as error:
            outcome = "failed"
            self._failed(key, error)
        except Exception:
            outcome = "crashed"
            logging.getLogger(__name__).exception("the look at %s crashed", _name(key))
            self.metrics.errors.labels("crash").inc()
            self.queue.failed(key)
        finally:
            self.metrics.seconds.observe(time.monotonic() - began)
            self.metrics.reconciles.labels(outcome).inc()

    def _failed(self, key: Key, error: Exception) -> None:
        reason = error.reason if isinstance(error, RefusedError) else "unreachable"
        self.metrics.errors.labels(reason or "unknown").inc()
        if isinstance(error, RefusedError) and error.is_missing_permission:
            self._forbid(_name(key), error.message)
        self.queue.failed(key)

    def _forbid(self, name: str, message: str) -> None:
        """The status cannot say that the status may not be written: the log and readiness do."""
        if self._forbidden.get(name) != message:
            self._forbidden[name] = message
            log(logging.ERROR, message, router=name)

    async def _resync(self) -> None:
        """Looks at everything now and then, also at what only time changes."""
        await self._sight.settled()
        while True:
            self._reconciler.doubt()
            self._all()
            self.metrics.resynced()
            await asyncio.sleep(self.settings.resync_seconds)

    def _all(self) -> None:
        for key in self.roster:
            self.queue.add(key)

    def _changed(self, key: Key) -> None:
        """A child, a pod or an answer of one changed."""
        if self.roster.get(key) is not None:
            self.queue.add(key)

    def _recovered(self) -> None:
        """A kind can be seen again, or no longer: RouterDeployments may have been missed as well."""
        self.roster.look_again()
        self._all()

    def _leads_now(self, leads: bool) -> None:
        self.metrics.leading.set(leads)
        if leads:
            self._all()

    def _write_seconds(self) -> float:
        """How long a write may take now."""
        return self._lease.left()

    def _wrote(self, verb: str, kind: str) -> None:
        self.metrics.writes.labels(verb, kind).inc()

    def _readiness(self) -> list[str]:
        return [ready_of(body) for key in self.roster if (body := self.roster.get(key))]


def _desired(settings: Settings, router: Router) -> tuple[Manifest, ...]:
    return resources.desired(router, settings.defaults)


def _status_of(router: Router, observed: Observed, now: datetime) -> dict[str, Any]:
    return status.status_of(router, observed, now)


def _name(key: Key) -> str:
    return "/".join(key)


def _started(stack: AsyncExitStack, work: Any) -> asyncio.Task[None]:
    """A task that is ended with the stack."""
    task: asyncio.Task[None] = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return task


async def _first_of(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Waits for `stop`. A task that ends before has failed, and so has the operator."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done - {stopped}:
        if not stop.is_set():
            task.result()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """The operator of these settings, until `stop`."""
    asker = Asker()
    try:
        await Operator(settings, await connection(settings.kubeconfig), asker).run(stop)
    finally:
        await asker.close()
