"""Serves the operator's own endpoints /healthz, /readyz and /metrics."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

MAXIMUM_AGE_SECONDS = 60.0
"""The endpoint /healthz returns status 503 if a worker's current iteration has lasted at least this many seconds."""


@dataclass(frozen=True)
class OperatorState:
    """The functions that return the operator's state for its endpoints.

    The function `age` returns the seconds since the slowest worker began its current iteration. The function `leads`
    returns whether this process of the operator is the leader. The function `obstacles` returns the reasons why the
    operator is not ready, one text for each reason.
    """

    age: Callable[[], float]
    leads: Callable[[], bool]
    obstacles: Callable[[], list[str]]


def application(state: OperatorState, registry: CollectorRegistry) -> web.Application:
    """Returns the web application with the operator's endpoints. The endpoints send no requests to the API server."""
    app = web.Application()

    async def alive(_: web.Request) -> web.Response:
        age = state.age()
        text = f"the current iteration of the slowest worker started {age:.1f} s ago\n"
        return web.Response(text=text, status=200 if age < MAXIMUM_AGE_SECONDS else 503)

    async def ready(_: web.Request) -> web.Response:
        if obstacles := state.obstacles():
            return web.Response(text="".join(f"{reason}\n" for reason in obstacles), status=503)
        return web.Response(text="leader\n" if state.leads() else "standby\n")

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", metrics)])
    return app


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Starts the web server and returns the server's runner and port. If `port` is 0, the system chooses a free port.

    The host `::` means all IPv4 and IPv6 addresses.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    is_ipv6 = ":" in host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    # TCPSite would accept no IPv4 connections on `::`.
    listener = socket.create_server((host, port), family=family, dualstack_ipv6=is_ipv6)
    await web.SockSite(runner, listener).start()
    return runner, int(runner.addresses[0][1])
