"""The operator's own endpoints: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

LONGEST_TURN = 60.0
"""Seconds without a turn of the reconcile loop after which /healthz fails."""


@dataclass(frozen=True)
class Standing:
    """The operator's state: the seconds since the last turn of the loop, whether it is the leader, and what keeps it
    from being ready, each as a sentence."""

    age: Callable[[], float]
    leads: Callable[[], bool]
    obstacles: Callable[[], list[str]]


def application(standing: Standing, registry: CollectorRegistry) -> web.Application:
    """Returns the application; none of its endpoints sends a request to the API server."""
    app = web.Application()

    async def alive(_: web.Request) -> web.Response:
        age = standing.age()
        return web.Response(text=f"last turn {age:.1f} s ago\n", status=200 if age < LONGEST_TURN else 503)

    async def ready(_: web.Request) -> web.Response:
        if obstacles := standing.obstacles():
            return web.Response(text="".join(f"{each}\n" for each in obstacles), status=503)
        return web.Response(text="leader\n" if standing.leads() else "standby\n")

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", metrics)])
    return app


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Starts serving and returns the port, which the system chooses if it is 0."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, int(runner.addresses[0][1])
