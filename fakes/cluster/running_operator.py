"""Runs the operator in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import httpx
from rl_router_api.health import HealthDocument
from rl_router_operator.cluster.transport import connection
from rl_router_operator.controller.operator import Operator
from rl_router_operator.controller.settings import Settings
from rl_router_operator.objects.observed import Health

from .waiting import eventually

_HEALTHY = HealthDocument.model_validate(
    {"status": "ok", "configuration": {"state": "ok"}, "router_model": {"state": "ok"}, "targets": {}}
)


@dataclass
class RunningOperator:
    """A running operator, and the health reports that the operator gets from API pods.

    The attribute `healths` maps the address of a pod to one health report for all probes, or to an iterator with a
    health report for each probe. For other addresses, the operator gets the health report of a healthy pod.
    """

    operator: Operator
    task: asyncio.Task[None]
    stopped: asyncio.Event
    healths: dict[str, Health | Iterator[Health]] = field(default_factory=dict)

    async def stop(self) -> None:
        """Stops the operator in the same way as the signal SIGTERM, and waits until the operator has stopped."""
        self.stopped.set()
        await self.task

    async def get(self, endpoint: str) -> httpx.Response:
        """Returns the response of an endpoint that the operator serves."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.operator.port}{endpoint}")

    def reconciles(self, outcome: str = "ok") -> float:
        """Returns the number of the operator's reconciliations with the outcome `outcome`."""
        name = "rl_router_operator_reconciles_total"
        return self.operator.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0


Start = Callable[..., Awaitable[RunningOperator]]
"""The type of the fixture `start`, which starts an operator with changed settings."""


async def launch(settings: Settings) -> RunningOperator:
    """Starts an operator and waits until the operator serves its endpoints."""
    healths: dict[str, Health | Iterator[Health]] = {}

    async def probe(address: str) -> Health:
        health = healths.get(address, Health(_HEALTHY))
        return health if isinstance(health, Health) else next(health)

    operator = Operator(settings, await connection(settings.kubeconfig), probe)
    stopped = asyncio.Event()
    running = RunningOperator(operator, asyncio.create_task(operator.run(stopped)), stopped, healths)
    await eventually(lambda: _serves(running))
    return running


def _serves(running: RunningOperator) -> None:
    if running.task.done():
        running.task.result()
    assert running.operator.port
