"""Runs the reconcile loop, in which workers reconcile RouterDeployments from the work queue and handle failures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from ..cluster.client import NotLeadingError
from ..cluster.transport import UnreachableError
from ..log import log
from ..objects.refusal import RefusedError
from ..objects.routerdeployment import Key
from .metrics import Metrics
from .work_queue import WorkQueue

_POLL_SECONDS = 1.0
"""The maximum number of seconds for which a worker waits for the work queue in one iteration."""
_MAXIMUM_SECONDS = 45.0
"""The number of seconds after which a worker cancels a reconciliation. The reconciliation is retried after a pause."""


class Workers:
    """Reconciles the RouterDeployments in the work queue with `count` workers.

    A worker reconciles a RouterDeployment only if the function `may_work` returns True for the key of the
    RouterDeployment. The function `reconcile` returns the seconds until the next reconciliation of the
    RouterDeployment, or None if the RouterDeployment is gone.
    """

    def __init__(
        self,
        count: int,
        queue: WorkQueue,
        reconcile: Callable[[Key], Awaitable[float | None]],
        may_work: Callable[[Key], bool],
        metrics: Metrics,
    ) -> None:
        self._queue, self._reconcile, self._may_work, self._metrics = queue, reconcile, may_work, metrics
        self._iterations = [time.monotonic()] * count
        self._forbidden: dict[Key, str] = {}

    async def run(self) -> None:
        """Runs the workers until the task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(len(self._iterations)):
                tasks.create_task(self._work(number))

    def age(self) -> float:
        """Returns the seconds since the slowest worker began its current iteration."""
        return time.monotonic() - min(self._iterations)

    def missing_permissions(self) -> list[str]:
        """Returns the API server's message for each RouterDeployment whose status the operator may not write."""
        return list(self._forbidden.values())

    def forget_missing_permission(self, key: Key) -> None:
        """Drops the message about a RouterDeployment that this operator no longer reconciles."""
        self._forbidden.pop(key, None)

    def forget_missing_permissions(self) -> None:
        """Drops all messages about missing permissions, because the next leader itself reports missing permissions."""
        self._forbidden.clear()

    async def _work(self, number: int) -> None:
        """Runs one worker.

        The worker iterates even without work, because /healthz fails if a worker begins no iteration for 60 s.
        """
        while True:
            self._iterations[number] = time.monotonic()
            # Without this pause, many reconciliations in a row that send no requests would delay the renewal of the
            # Lease.
            await asyncio.sleep(0)
            key = await self._queue.get(_POLL_SECONDS)
            if key is None:
                continue
            if self._may_work(key):
                await self._handle(key)
            else:
                # Every RouterDeployment is queued again when the operator may work.
                self._queue.forget(key)

    async def _handle(self, key: Key) -> None:
        began = time.monotonic()
        outcome = "ok"
        try:
            async with asyncio.timeout(_MAXIMUM_SECONDS):
                self._done(key, await self._reconcile(key))
        except NotLeadingError:
            outcome = "not leading"
            self._queue.forget(key)
        except (RefusedError, UnreachableError, TimeoutError) as error:
            outcome = "failed"
            self._failed(key, error)
        except Exception:
            outcome = "crashed"
            message = "the reconciliation of the RouterDeployment %s crashed. The operator tries again"
            logging.getLogger(__name__).exception(message, "/".join(key))
            self._metrics.errors.labels("crash").inc()
            self._queue.failed(key)
        finally:
            self._metrics.seconds.observe(time.monotonic() - began)
            self._metrics.reconciles.labels(outcome).inc()

    def _done(self, key: Key, pause: float | None) -> None:
        self._forbidden.pop(key, None)
        self._queue.done(key)
        if pause is None:
            self._queue.forget(key)
        else:
            self._queue.add(key, pause)

    def _failed(self, key: Key, error: Exception) -> None:
        reason = error.reason if isinstance(error, RefusedError) else "unreachable"
        self._metrics.errors.labels(reason or "unknown").inc()
        if isinstance(error, RefusedError) and error.is_missing_permission:
            self._forbid(key, error.message)
        self._queue.failed(key)

    def _forbid(self, key: Key, message: str) -> None:
        """Records and logs a missing permission to write the status, because the status cannot report this permission.

        The method does not log a message again if the same message is recorded for the RouterDeployment.
        """
        if self._forbidden.get(key) != message:
            self._forbidden[key] = message
            advice = "Add this permission to the operator's ClusterRole or Role"
            log(logging.ERROR, f"{message}. {advice}", router="/".join(key))
